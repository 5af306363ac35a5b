//! What the server says to a query process, and what it makes of the answer.

use super::pool::Process;
use super::protocol::{Frame, FromProcess, RowsIn, RowsOut, ToProcess};
use super::{Inner, Piece, QueryError};
use crate::model::{ERRORS, Epoch, Row, batch_of_rows, errors_rows, errors_schema};
use crate::trace::Span;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows of a live view go to a query process in pieces of so many.
const VIEW_ROWS: usize = 8_192;

/// How a conversation ended.
struct End {
    /// Whether the answer was cut off.
    result: Result<bool, QueryError>,
    /// Whether the process can be asked again.
    reusable: bool,
}

/// Why a conversation did not come to its end.
enum Broken {
    /// The process is gone, or said what it should not.
    Process(io::Error),
    /// Nobody wants the answer.
    Unwanted,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Process(error)
    }
}

impl From<ArrowError> for Broken {
    fn from(error: ArrowError) -> Self {
        Broken::Process(io::Error::other(error))
    }
}

/// What is asked.
pub struct Asked<'a> {
    pub question: &'a ToProcess,
    /// The epoch that live views are of, if not the newest.
    pub as_of: Option<Epoch>,
    /// The trace that tells how it went.
    pub span: &'a Span,
}

pub type Pieces = mpsc::Sender<Result<Piece, QueryError>>;

impl Inner {
    /// Asks a process, and passes on what it says but for the last piece, which it returns; nothing if
    /// nobody wants it any more.
    pub(super) async fn converse(
        &self,
        mut process: Process,
        asked: &Asked<'_>,
        out: &Pieces,
    ) -> Option<Result<Piece, QueryError>> {
        match self.exchange(&mut process, asked, out).await {
            Ok(End { result, reusable }) => {
                if reusable {
                    self.pool.give_back(process);
                }
                Some(result.map(|truncated| Piece::Done { truncated }))
            }
            Err(Broken::Unwanted) => None,
            Err(Broken::Process(error)) => Some(Err(process.why(error).await)),
        }
    }

    async fn exchange(
        &self,
        process: &mut Process,
        asked: &Asked<'_>,
        out: &Pieces,
    ) -> Result<End, Broken> {
        let span = asked.span;
        let step = span.child("plan");
        process.say(asked.question).await?;
        let (views, tables) = match process.hear().await? {
            FromProcess::Wants { views, tables } => (views, tables),
            other => return end_of(other),
        };
        drop(step);
        let step = span.child("views");
        if step.is_recorded() {
            step.set("tidelake.views", views.join(", "));
        }
        let epoch = match self.send_views(process, views, asked.as_of).await? {
            Ok(epoch) => epoch,
            Err(error) => {
                return Ok(End {
                    result: Err(error),
                    // It waits for rows that do not come.
                    reusable: false,
                });
            }
        };
        drop(step);
        if span.is_recorded() {
            span.set("db.collection.name", tables.join(", "));
        }
        span.set("tidelake.epoch", epoch.0 as i64);
        let step = span.child("execute");
        process.say(&ToProcess::Go).await?;
        match process.hear().await? {
            FromProcess::Planned => {}
            other => return end_of(other),
        }
        let mut rows = match process.receive().await? {
            Frame::Rows(first) => RowsIn::new(first)?,
            message @ Frame::Message(_) => return end_of(message.read_message()?),
        };
        let planned = Piece::Planned {
            schema: Arc::clone(&rows.schema),
            epoch,
            tables,
        };
        out.send(Ok(planned)).await.map_err(|_| Broken::Unwanted)?;
        let mut count = 0;
        loop {
            match process.receive().await? {
                Frame::Rows(frame) => {
                    let bytes = frame.len();
                    for batch in rows.frame(frame)? {
                        count += batch.num_rows();
                        let piece = Ok(Piece::Rows { batch, bytes });
                        out.send(piece).await.map_err(|_| Broken::Unwanted)?;
                    }
                }
                message @ Frame::Message(_) => {
                    drop(step);
                    span.set("db.response.returned_rows", count as i64);
                    return end_of(message.read_message()?);
                }
            }
        }
    }

    /// Sends the rows of live views, all of one epoch: the newest, or an earlier one.
    async fn send_views(
        &self,
        process: &mut Process,
        views: Vec<String>,
        as_of: Option<Epoch>,
    ) -> Result<Result<Epoch, QueryError>, Broken> {
        // A query that waits here holds no rows yet.
        let _room = self.copies.acquire().await.map_err(io::Error::other)?;
        let (epoch, snapshots) = match as_of {
            None => self.hub.snapshots(&views),
            Some(epoch) => match self.hub.snapshots_as_of(&views, epoch) {
                Ok(snapshots) => (epoch, snapshots),
                Err(oldest) => {
                    let text = format!("epoch {epoch} is no longer kept; the oldest is {oldest}");
                    return Ok(Err(QueryError::rejected(text)));
                }
            },
        };
        for (name, rows) in views.into_iter().zip(snapshots) {
            let schema = self.hub.view(&name).map(|it| it.schema);
            let (rows, schema) = match (rows, schema) {
                (Some(rows), Some(schema)) => (rows, schema),
                _ if name == ERRORS => (errors_rows(&self.hub.left_out()), errors_schema()),
                _ => continue,
            };
            process.say(&ToProcess::View { name }).await?;
            send_view(process, &schema, &rows).await?;
        }
        Ok(Ok(epoch))
    }
}

fn end_of(last: FromProcess) -> Result<End, Broken> {
    match last {
        FromProcess::Done {
            truncated,
            reusable,
        } => Ok(End {
            result: Ok(truncated),
            reusable,
        }),
        FromProcess::Failed { error, reusable } => Ok(End {
            result: Err(error),
            reusable,
        }),
        FromProcess::Wants { .. } | FromProcess::Planned => {
            Err(io::Error::other("it spoke out of turn").into())
        }
    }
}

/// Rows of a live view, as a table in which any column may be null: what the plan promised is not needed here.
async fn send_view(process: &mut Process, schema: &SchemaRef, rows: &[Row]) -> Result<(), Broken> {
    let fields = schema
        .fields()
        .iter()
        .map(|it| Field::new(it.name(), it.data_type().clone(), true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let (mut out, head) = RowsOut::new(&schema)?;
    process.send(&head).await?;
    for part in rows.chunks(VIEW_ROWS) {
        let frame = out.batch(&batch_of_rows(&schema, part.iter())?)?;
        process.send(&frame).await?;
        tokio::task::yield_now().await;
    }
    process.send(&out.end()?).await?;
    Ok(())
}
