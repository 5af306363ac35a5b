//! Control connections once the cluster stands: messages in order, a sign of life twice a second, and the word when one is lost.
//!
//! They have a thread of their own, so that a busy process is not taken for a dead one.

use super::Timings;
use crate::supervise;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A message is not larger than this: a commit's state differences are the largest.
const FRAME_BYTES_MAX: usize = 1 << 30;
/// How long a good-bye may take: a process that does not read does not keep the others.
const BYE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    /// A sign of life, with the sender's wall clock.
    Beat {
        wall_ms: u64,
    },
    Message(Vec<u8>),
    /// Nothing more will come, and that is meant so.
    Bye,
}

/// What comes from the other processes.
#[derive(Debug)]
pub enum Event {
    Message { from: usize, bytes: Vec<u8> },
    Lost { from: usize, reason: String },
}

/// The control connections of one process. Messages queue without bound here; their senders have bounds of their own.
pub struct Links {
    pub process: usize,
    to: Arc<Vec<Option<UnboundedSender<Frame>>>>,
    events: UnboundedReceiver<Event>,
    skews_ms: Arc<Vec<AtomicI64>>,
}

/// Sends messages; clones are cheap.
#[derive(Clone)]
pub struct Sender {
    process: usize,
    to: Arc<Vec<Option<UnboundedSender<Frame>>>>,
    skews_ms: Arc<Vec<AtomicI64>>,
}

impl Links {
    /// Takes the connected sockets over; none at the own number.
    pub(super) fn start(
        process: usize,
        sockets: Vec<Option<StdTcpStream>>,
        timings: Timings,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (event, events) = unbounded_channel();
        let skews_ms: Arc<Vec<AtomicI64>> =
            Arc::new(sockets.iter().map(|_| AtomicI64::new(0)).collect());
        let mut to = Vec::new();
        let mut ends = Vec::new();
        for (from, socket) in sockets.into_iter().enumerate() {
            let Some(socket) = socket else {
                to.push(None);
                continue;
            };
            socket.set_nonblocking(true)?;
            let (sender, frames) = unbounded_channel();
            to.push(Some(sender));
            ends.push((from, socket, frames));
        }
        let skews = Arc::clone(&skews_ms);
        supervise::thread("cluster", move || {
            runtime.block_on(carry(ends, timings, event, skews));
        })?;
        Ok(Links {
            process,
            to: Arc::new(to),
            events,
            skews_ms,
        })
    }

    /// For those who have something to say.
    pub fn sender(&self) -> Sender {
        Sender {
            process: self.process,
            to: Arc::clone(&self.to),
            skews_ms: Arc::clone(&self.skews_ms),
        }
    }

    /// The next message or loss; nothing when all others have said good-bye.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Sender {
    /// Sends to one other process. Nothing happens if it is gone: `Event::Lost` tells that.
    pub fn send(&self, process: usize, message: Vec<u8>) {
        if let Some(to) = &self.to[process] {
            let _ = to.send(Frame::Message(message));
        }
    }

    /// Sends to all others.
    pub fn send_all(&self, message: &[u8]) {
        for process in (0..self.to.len()).filter(|it| *it != self.process) {
            self.send(process, message.to_vec());
        }
    }

    /// Tells all others that the end of the connection is meant, and waits until that is on its way: a process that ended at once
    /// would take its last word with it.
    pub async fn bye(&self) {
        for to in self.to.iter().flatten() {
            let _ = to.send(Frame::Bye);
        }
        let sent = async {
            for to in self.to.iter().flatten() {
                to.closed().await;
            }
        };
        let _ = tokio::time::timeout(BYE_MAX, sent).await;
    }

    /// How far the clock of each process is ahead of this one's, in milliseconds, as of its last sign of life.
    pub fn skews_ms(&self) -> Vec<i64> {
        self.skews_ms
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .collect()
    }
}

async fn carry(
    ends: Vec<(usize, StdTcpStream, UnboundedReceiver<Frame>)>,
    timings: Timings,
    events: UnboundedSender<Event>,
    skews_ms: Arc<Vec<AtomicI64>>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    for (from, socket, frames) in ends {
        let lost = |reason: String| Event::Lost { from, reason };
        match TcpStream::from_std(socket) {
            Ok(socket) => {
                let (read, write) = socket.into_split();
                tasks.spawn(send(write, frames, timings));
                let (events, skews_ms) = (events.clone(), Arc::clone(&skews_ms));
                tasks.spawn(async move {
                    if let Err(reason) = receive(from, read, timings, &events, &skews_ms).await {
                        let _ = events.send(Event::Lost { from, reason });
                    }
                });
            }
            Err(error) => {
                let _ = events.send(lost(error.to_string()));
            }
        }
    }
    drop(events);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Ends with the sender, after a good-bye, or when the connection fails, which the receiving half tells.
async fn send(mut socket: OwnedWriteHalf, mut frames: UnboundedReceiver<Frame>, timings: Timings) {
    let mut beat = tokio::time::interval(timings.beat);
    loop {
        let frame = tokio::select! {
            biased;
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                None => return,
            },
            _ = beat.tick() => Frame::Beat { wall_ms: crate::model::wall_ms() },
        };
        let last = matches!(frame, Frame::Bye);
        if write_frame(&mut socket, &frame).await.is_err() || last {
            return;
        }
    }
}

async fn receive(
    from: usize,
    mut socket: OwnedReadHalf,
    timings: Timings,
    events: &UnboundedSender<Event>,
    skews_ms: &[AtomicI64],
) -> Result<(), String> {
    loop {
        let frame = read_frame::<Frame>(&mut socket, FRAME_BYTES_MAX, timings.silence);
        match frame.await {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                return Err(format!(
                    "no sign of life for {} ms",
                    timings.silence.as_millis()
                ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err("its connection was closed without a good-bye".to_owned());
            }
            Err(error) => return Err(format!("its connection broke: {error}")),
            Ok(Frame::Beat { wall_ms }) => {
                let skew = wall_ms as i64 - crate::model::wall_ms() as i64;
                skews_ms[from].store(skew, Ordering::Relaxed);
            }
            Ok(Frame::Message(bytes)) => {
                if events.send(Event::Message { from, bytes }).is_err() {
                    return Ok(());
                }
            }
            Ok(Frame::Bye) => return Ok(()),
        }
    }
}

/// Writes a length and that many bytes.
pub(super) async fn write_frame<T: Serialize>(
    socket: &mut (impl AsyncWriteExt + Unpin),
    content: &T,
) -> std::io::Result<()> {
    let bytes = postcard::to_stdvec(content).map_err(std::io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    socket.write_all(&length.to_le_bytes()).await?;
    socket.write_all(&bytes).await?;
    socket.flush().await
}

/// Reads what `write_frame` wrote. Any single byte counts as a sign of life, so a large message may take its time.
pub(super) async fn read_frame<T: DeserializeOwned>(
    socket: &mut (impl AsyncReadExt + Unpin),
    bytes_max: usize,
    silence: Duration,
) -> std::io::Result<T> {
    let mut length = [0; 4];
    read_exact(socket, &mut length, silence).await?;
    let length = u32::from_le_bytes(length) as usize;
    if bytes_max < length {
        return Err(std::io::Error::other(format!(
            "a message of {length} bytes was announced"
        )));
    }
    let mut bytes = vec![0; length];
    read_exact(socket, &mut bytes, silence).await?;
    postcard::from_bytes(&bytes).map_err(std::io::Error::other)
}

async fn read_exact(
    socket: &mut (impl AsyncReadExt + Unpin),
    bytes: &mut [u8],
    silence: Duration,
) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match tokio::time::timeout(silence, socket.read(&mut bytes[filled..])).await?? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            more => filled += more,
        }
    }
    Ok(())
}
