//! What the server and a query process say to each other, over one socket.
//!
//! ```text
//! server                          query process
//!   Ask { sql, catalog }  ──────►   parses, finds the relations
//!                         ◄──────   Wants { live views }
//!   View, rows…, Go       ──────►   plans, runs
//!                         ◄──────   Planned, rows…, Done | Failed
//! ```
//!
//! A frame is a tag, a length, and so many bytes: a message in postcard, or a piece of an Arrow IPC stream. The socket's buffer is the
//! flow control: the side that is ahead waits. A frame longer than [`FRAME_BYTES_MAX`] is an error on either side.

use super::QueryError;
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest piece of an answer or a view.
pub const FRAME_BYTES_MAX: usize = 80 << 20;

/// What can be named in a query, and where it lies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The live views, and how many rows each had when this was asked.
    pub live: BTreeMap<String, u64>,
    /// How many rows [`ERRORS`](crate::model::ERRORS) has; none as of an earlier time, or if there is no engine.
    pub errors: Option<u64>,
    /// Names of those whose rows are not known as of the time that is asked about.
    pub gone: BTreeSet<String>,
    /// Plain views with their queries, in their order of use.
    pub plain: Vec<(String, String)>,
    /// Names of the stored tables.
    pub stored: BTreeSet<String>,
    pub sources: BTreeSet<String>,
    pub json: JsonColumns,
    /// What is told of relations and columns. It is only there for a question about them.
    pub meanings: Meanings,
    /// Where the lake is, if there is one. Its credentials are in the environment.
    pub lake: Option<String>,
    /// Versions that stored tables are read at; others are read at their newest.
    pub versions: BTreeMap<String, u64>,
    /// What live views cost, in words, for EXPLAIN of a query that reads them.
    pub costs: BTreeMap<String, String>,
}

/// Columns that are JSON, by relation.
pub type JsonColumns = BTreeMap<String, BTreeSet<String>>;

/// What the text of the dataflow tells of its relations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Meanings {
    /// Comments, by relation.
    pub relations: BTreeMap<String, String>,
    /// By relation and column.
    pub columns: BTreeMap<String, BTreeMap<String, ColumnMeaning>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMeaning {
    pub role: String,
    pub unit: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum ToProcess {
    Ask {
        sql: String,
        /// At most so many rows are wanted.
        rows: Option<u64>,
        catalog: Box<Catalog>,
    },
    /// The rows that follow are those of this live view.
    View { name: String },
    /// All views are there.
    Go,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum FromProcess {
    /// The live views whose rows are needed, and everything that the statement names.
    Wants {
        views: Vec<String>,
        tables: Vec<String>,
    },
    /// Rows follow.
    Planned,
    Done {
        /// Whether there were more rows than wanted.
        truncated: bool,
        /// Whether the process is as it was before, and can be asked again.
        reusable: bool,
    },
    Failed {
        error: QueryError,
        reusable: bool,
    },
}

#[derive(Debug)]
pub enum Frame {
    Message(Vec<u8>),
    Rows(Vec<u8>),
}

const MESSAGE: u8 = 1;
const ROWS: u8 = 2;

fn wrong(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

impl Frame {
    pub fn message(message: &impl Serialize) -> io::Result<Frame> {
        postcard::to_stdvec(message)
            .map(Frame::Message)
            .map_err(io::Error::other)
    }

    /// The message in it.
    ///
    /// # Errors
    /// If it holds rows, or something else than such a message.
    pub fn read_message<T: DeserializeOwned>(&self) -> io::Result<T> {
        match self {
            Frame::Message(bytes) => postcard::from_bytes(bytes).map_err(io::Error::other),
            Frame::Rows(_) => Err(wrong("rows where a message was expected")),
        }
    }

    fn parts(&self) -> io::Result<([u8; 5], &[u8])> {
        let (tag, bytes) = match self {
            Frame::Message(it) => (MESSAGE, it),
            Frame::Rows(it) => (ROWS, it),
        };
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|_| bytes.len() <= FRAME_BYTES_MAX)
            .ok_or_else(|| wrong(format!("a frame of {} bytes is too long", bytes.len())))?;
        let [a, b, c, d] = length.to_le_bytes();
        Ok(([tag, a, b, c, d], bytes))
    }

    fn length(head: [u8; 5]) -> io::Result<usize> {
        let [_, a, b, c, d] = head;
        usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .ok()
            .filter(|it| *it <= FRAME_BYTES_MAX)
            .ok_or_else(|| wrong("a frame is too long"))
    }

    fn of(tag: u8, bytes: Vec<u8>) -> io::Result<Frame> {
        match tag {
            MESSAGE => Ok(Frame::Message(bytes)),
            ROWS => Ok(Frame::Rows(bytes)),
            _ => Err(wrong(format!("frame of unknown kind {tag}"))),
        }
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let (head, bytes) = self.parts()?;
        to.write_all(&head)?;
        to.write_all(bytes)
    }

    pub fn read(from: &mut impl Read) -> io::Result<Frame> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let mut bytes = vec![0; Frame::length(head)?];
        from.read_exact(&mut bytes)?;
        Frame::of(head[0], bytes)
    }

    pub async fn send(&self, to: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
        let (head, bytes) = self.parts()?;
        to.write_all(&head).await?;
        to.write_all(bytes).await
    }

    /// Not to be cancelled in the middle and then gone on with.
    pub async fn receive(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Frame> {
        let mut head = [0; 5];
        from.read_exact(&mut head).await?;
        let mut bytes = vec![0; Frame::length(head)?];
        from.read_exact(&mut bytes).await?;
        Frame::of(head[0], bytes)
    }
}

/// Batches into frames. The first frame holds the schema alone.
pub struct RowsOut(StreamWriter<Vec<u8>>);

impl RowsOut {
    pub fn new(schema: &SchemaRef) -> Result<(RowsOut, Frame), ArrowError> {
        let mut rows = RowsOut(StreamWriter::try_new(Vec::new(), schema)?);
        let frame = rows.take();
        Ok((rows, frame))
    }

    pub fn batch(&mut self, batch: &RecordBatch) -> Result<Frame, ArrowError> {
        self.0.write(batch)?;
        Ok(self.take())
    }

    pub fn end(mut self) -> Result<Frame, ArrowError> {
        self.0.finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Frame {
        Frame::Rows(std::mem::take(self.0.get_mut()))
    }
}

/// Frames into batches. Columns point into the bytes that came.
pub struct RowsIn {
    pub schema: SchemaRef,
    decoder: StreamDecoder,
}

impl RowsIn {
    /// From the first frame.
    pub fn new(first: Vec<u8>) -> Result<RowsIn, ArrowError> {
        let schema = Arc::new(try_schema_from_ipc_buffer(&first)?);
        let mut rows = RowsIn {
            schema,
            decoder: StreamDecoder::new(),
        };
        let none = rows.frame(first)?;
        match none.is_empty() {
            true => Ok(rows),
            false => Err(ArrowError::IpcError("rows before their schema".to_owned())),
        }
    }

    pub fn frame(&mut self, bytes: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut buffer = Buffer::from_vec(bytes);
        let mut batches = Vec::new();
        while !buffer.is_empty() {
            batches.extend(self.decoder.decode(&mut buffer)?);
        }
        Ok(batches)
    }
}
