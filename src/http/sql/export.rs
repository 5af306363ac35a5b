//! Answers that are kept: all rows, sent as they come, with bounded memory.
//!
//! As long as an export is small, its head is kept back, so that headers and status say what became of it: an error is a problem, and a
//! cancelled one is marked as partial. Once more than [`HEAD_BYTES`] are there, sending begins. What goes wrong after that breaks the
//! transfer off, which no client takes for the end; only JSON can still say by itself that it is partial.

use super::format::{Ending, Format, Writer};
use crate::http::problem::Problem;
use crate::http::{App, EPOCH_HEADER, PARTIAL_HEADER, TRUNCATED_HEADER};
use crate::model::Epoch;
use crate::sql::query::{Cut, Piece, QueryError, Running};
use arrow::datatypes::{Schema, SchemaRef};
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// So much is kept back before sending begins.
const HEAD_BYTES: usize = 1 << 20;
/// Pieces on their way to the client; each has about as many bytes as one of the answer.
const PIECES_MAX: usize = 2;
/// A client that takes nothing for so long has gone.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// An export on its way.
struct Export {
    running: Running,
    writer: Writer,
    epoch: Epoch,
}

enum Step {
    More,
    End(Ending),
}

/// How an export began.
enum Begun {
    /// It has ended already.
    Whole(Response),
    /// Its head, and the rest that comes.
    Large(Vec<u8>, Box<Export>),
}

pub async fn respond(
    app: &Arc<App>,
    running: Running,
    format: Format,
) -> Result<Response, Problem> {
    // Rows become text beside the queries, not where requests are answered.
    let (told, heard) = oneshot::channel();
    app.queries.beside(export(running, format, told));
    heard
        .await
        .map_err(|_| Problem::from(QueryError::Stopping))?
}

async fn export(
    running: Running,
    format: Format,
    mut told: oneshot::Sender<Result<Response, Problem>>,
) {
    let content_type = format.content_type();
    let begun = tokio::select! {
        begun = begin(running, &format) => begun,
        // Nobody waits for it any more.
        () = told.closed() => return,
    };
    match begun {
        Ok(Begun::Whole(response)) => drop(told.send(Ok(response))),
        Err(problem) => drop(told.send(Err(problem))),
        Ok(Begun::Large(head, export)) => {
            let (sender, receiver) = mpsc::channel(PIECES_MAX);
            let first = stream::iter([Ok(Bytes::from(head))]);
            let rest = stream::unfold(
                receiver,
                |mut it| async move { Some((it.recv().await?, it)) },
            );
            let headers = [
                (header::CONTENT_TYPE.as_str(), content_type.to_owned()),
                (EPOCH_HEADER, export.epoch.to_string()),
            ];
            let body = Body::from_stream(first.chain(rest));
            if told.send(Ok((headers, body).into_response())).is_ok() {
                send(*export, sender).await;
            }
        }
    }
}

async fn begin(mut running: Running, format: &Format) -> Result<Begun, Problem> {
    let (schema, epoch, cancelled) = match running.next().await {
        Ok(Piece::Planned { schema, epoch, .. }) => (schema, epoch, false),
        Ok(Piece::Rows { .. } | Piece::Done { .. }) => {
            return Err(unwritable("rows came before their columns".to_owned()));
        }
        Err(QueryError::Cancelled) => {
            let none: SchemaRef = Arc::new(Schema::empty());
            (none, running.epoch_now(), true)
        }
        Err(error) => return Err(error.into()),
    };
    let writer = Writer::new(format, &schema).map_err(unwritable)?;
    let mut export = Export {
        running,
        writer,
        epoch,
    };
    let mut head = export.writer.take();
    let ending = loop {
        if cancelled {
            break export.ending(false, Some(Cut::Cancelled));
        }
        match export.step().await? {
            Step::End(ending) => break ending,
            Step::More => head.extend(export.writer.take()),
        }
        if HEAD_BYTES < head.len() {
            return Ok(Begun::Large(head, Box::new(export)));
        }
    };
    head.extend(export.writer.finish(&ending).map_err(unwritable)?);
    let headers = [
        (
            header::CONTENT_TYPE.as_str(),
            format.content_type().to_owned(),
        ),
        (EPOCH_HEADER, ending.epoch.to_string()),
        (TRUNCATED_HEADER, ending.truncated.to_string()),
        (PARTIAL_HEADER, ending.partial.is_some().to_string()),
    ];
    Ok(Begun::Whole((headers, head).into_response()))
}

fn unwritable(text: String) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "export_failed", text)
        .hint("cast columns of unusual types to TEXT, or ask for another format")
}

impl Export {
    fn ending(&self, truncated: bool, partial: Option<Cut>) -> Ending {
        Ending {
            epoch: self.epoch,
            elapsed: self.running.elapsed(),
            truncated,
            partial,
        }
    }

    async fn step(&mut self) -> Result<Step, Problem> {
        match self.running.next().await {
            Ok(Piece::Rows { batch, .. }) => {
                self.writer.write(&batch).map_err(unwritable)?;
                Ok(Step::More)
            }
            Ok(Piece::Done { truncated }) => Ok(Step::End(self.ending(truncated, None))),
            Ok(Piece::Planned { .. }) => Ok(Step::More),
            Err(QueryError::Cancelled) => Ok(Step::End(self.ending(false, Some(Cut::Cancelled)))),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends all that is still to come.
    async fn send_rest(mut self, sender: &Sender) -> Result<(), Problem> {
        loop {
            match self.step().await? {
                Step::More => push(sender, self.writer.take()).await?,
                Step::End(ending) => {
                    if ending.partial.is_some() && !self.writer.tells_its_ending() {
                        return Err(QueryError::Cancelled.into());
                    }
                    let last = self.writer.finish(&ending).map_err(unwritable)?;
                    return push(sender, last).await;
                }
            }
        }
    }
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

async fn send(export: Export, sender: Sender) {
    if let Err(problem) = export.send_rest(&sender).await {
        // Without it the client would take what it has for all.
        let _ = sender.send(Err(std::io::Error::other(problem))).await;
    }
}

async fn push(sender: &Sender, bytes: Vec<u8>) -> Result<(), Problem> {
    if bytes.is_empty() {
        return Ok(());
    }
    match tokio::time::timeout(STALLED_AFTER, sender.send(Ok(bytes.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(QueryError::Cancelled.into()),
    }
}
