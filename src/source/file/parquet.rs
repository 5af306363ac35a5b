//! Parquet files, read as the lines of JSON that their rows are.
//!
//! A file is whole once it has its footer, and is not changed after that; until then it cannot be opened, which health tells.

use crate::source::json_rows;
use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows that are lines at once: to look at the first ones costs no more than these.
const ROWS: usize = 1024;

pub(super) struct Lines {
    /// Nothing once a batch could not be read.
    rows: Option<ParquetRecordBatchReader>,
    lines: Vec<u8>,
    /// Bytes of `lines` that were handed over.
    taken: usize,
}

impl Lines {
    /// Opens a file that is whole.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(file: impl ChunkReader + 'static) -> io::Result<Self> {
        let refused = |it: ParquetError| {
            io::Error::other(format!(
                "it is no whole Parquet file ({it}); it is read once it has its footer"
            ))
        };
        let rows = guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(refused)?;
            builder.with_batch_size(ROWS).build().map_err(refused)
        });
        Ok(Lines {
            rows: Some(rows?),
            lines: Vec::new(),
            taken: 0,
        })
    }

    fn next(&mut self) -> io::Result<Option<RecordBatch>> {
        let mut rows = self.rows.take().ok_or_else(damaged)?;
        let batch = guarded(|| rows.next().transpose().map_err(io::Error::other))?;
        self.rows = Some(rows);
        Ok(batch)
    }
}

/// The reader of Parquet takes what a file says of itself for true, and panics at some damage.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged()))
}

fn damaged() -> io::Error {
    io::Error::other("it is a damaged Parquet file")
}

/// The lines of a whole file, up to so many bytes.
pub(crate) fn lines_of(file: Bytes, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    Lines::of(file)?.take(bytes_max).read_to_end(&mut lines)?;
    Ok(lines)
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.lines.len() {
            let Some(batch) = self.next()? else {
                return Ok(0);
            };
            self.lines.clear();
            self.taken = 0;
            guarded(|| json_rows::append(&batch, &mut self.lines).map_err(io::Error::other))?;
        }
        let rest = &self.lines[self.taken..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}
