//! Connections: taken within a bound, and closed when they wait too long or their reader takes nothing.
//!
//! ```text
//! accepted ──► new: must send a request soon ──► busy: being answered ──► waiting: may send another for a while ──► busy …
//! ```
//!
//! Descriptors are shared with the lake and the sources, for which some are kept free. When there is no place for a connection, the one that has
//! been waiting longest makes room; if all are busy, the new one is told so. Whatever a connection does, nobody else waits for it: a request that
//! does not come, a body that stops, and a reader that takes nothing each have a time, after which the connection is closed and counted.

use super::App;
use super::tls::Tls;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::server::TlsStream;

/// What a connection holds of a request or an answer.
const BUFFER_BYTES: usize = 64 << 10;
/// What the system holds of an answer that was not sent yet.
const UNSENT_BYTES: u32 = 128 << 10;
/// How often connections are looked through for those that wait too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long nothing is accepted after descriptors have run out.
const PAUSE: Duration = Duration::from_millis(50);
/// The whole answer to a client that speaks HTTP where HTTPS is spoken.
const NOT_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 39\r\n\r\nthis address speaks HTTPS: use https://";
/// How a client of TLS begins.
const HANDSHAKE: u8 = 22;
/// The whole answer to a connection for which there is no place.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be, and how long they may take.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections: usize,
    /// Connections take no descriptor with this number or a higher one, so that those above are left to the lake and the sources.
    pub descriptors: usize,
    /// The first request must be there by then.
    pub first: Duration,
    /// So must every later one, after the last was answered.
    pub next: Duration,
    /// A reader that takes nothing for so long is cut off.
    pub stalled: Duration,
}

/// Most connections, however many descriptors there are.
const CONNECTIONS_MAX: usize = 10_000;

impl Limits {
    /// For a process that may have so many descriptors: at least a third, and at most 512, are not for connections.
    pub fn of(descriptors: usize) -> Self {
        let spare = (descriptors / 3).min(512);
        let ours = descriptors - spare;
        Limits {
            connections: ours.min(CONNECTIONS_MAX),
            descriptors: ours,
            first: Duration::from_secs(10),
            next: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// For a process with as many descriptors as systems grant as a rule.
    fn default() -> Self {
        Limits::of(1_024)
    }
}

/// Raises the number of descriptors that this process may have as far as it is allowed to, and tells it.
pub fn raise_descriptors() -> usize {
    /// Some libraries walk through all that are possible.
    const MOST: libc::rlim_t = 1 << 20;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls only read or write the struct they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 256;
        }
        let wanted = libc::rlimit {
            rlim_cur: limit.rlim_max.min(MOST).max(limit.rlim_cur),
            rlim_max: limit.rlim_max,
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) == 0 {
            limit = wanted;
        }
    }
    usize::try_from(limit.rlim_cur.min(MOST)).unwrap_or(CONNECTIONS_MAX)
}

/// All connections of a server.
pub struct Connections {
    limits: Limits,
    open: Mutex<Open>,
    counts: Counts,
}

#[derive(Default)]
struct Open {
    number: u64,
    count: usize,
    /// Those that are not being answered, by how long they have been waiting.
    waiting: BTreeMap<(Instant, u64), Waiting>,
}

struct Waiting {
    /// It has not sent a request yet.
    is_new: bool,
    close: Arc<Notify>,
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Closed because they sent nothing in time, or made room.
    pub closed: AtomicU64,
    /// There was no place for them.
    pub refused: AtomicU64,
    /// Their readers took nothing.
    pub stalled: AtomicU64,
    /// Panics of handlers and streams.
    pub panics: AtomicU64,
}

impl Connections {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Connections {
            limits,
            open: Mutex::default(),
            counts: Counts::default(),
        })
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn count(&self) -> usize {
        self.open().count
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection with this descriptor, for which another may have to go.
    fn enter(self: &Arc<Self>, descriptor: usize) -> Option<Place> {
        let mut open = self.open();
        let is_full =
            self.limits.connections <= open.count || self.limits.descriptors <= descriptor;
        if is_full && !self.close_oldest(&mut open) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        open.number += 1;
        open.count += 1;
        let number = open.number;
        drop(open);
        let place = Place {
            all: Arc::clone(self),
            number,
            close: Arc::default(),
            since: Mutex::new(None),
        };
        place.wait(true);
        Some(place)
    }

    /// Closes the connection that has been waiting longest; false if all are busy.
    fn close_oldest(&self, open: &mut Open) -> bool {
        let Some((_, oldest)) = open.waiting.pop_first() else {
            return false;
        };
        oldest.close.notify_one();
        self.counts.closed.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Closes those that have not sent their first request in time.
    fn close_silent(&self) {
        let mut open = self.open();
        let now = Instant::now();
        let late = |(since, _): &(Instant, u64), it: &Waiting| {
            let limit = match it.is_new {
                true => self.limits.first,
                false => self.limits.next,
            };
            *since + limit <= now
        };
        let over: Vec<(Instant, u64)> = open
            .waiting
            .iter()
            .take_while(|it| it.0.0 + self.limits.first <= now)
            .filter(|it| late(it.0, it.1))
            .map(|it| *it.0)
            .collect();
        for key in over {
            if let Some(waiting) = open.waiting.remove(&key) {
                waiting.close.notify_one();
                self.counts.closed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One connection among all.
struct Place {
    all: Arc<Connections>,
    number: u64,
    close: Arc<Notify>,
    /// Since when it has been waiting; nothing while it is being answered.
    since: Mutex<Option<Instant>>,
}

impl Place {
    fn wait(&self, is_new: bool) {
        let now = Instant::now();
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        let close = Arc::clone(&self.close);
        let waiting = Waiting { is_new, close };
        self.all.open().waiting.insert((now, self.number), waiting);
    }

    fn work(&self) {
        let since = self
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(since) = since {
            self.all.open().waiting.remove(&(since, self.number));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work();
        self.all.open().count -= 1;
    }
}

/// The body of an answer: when it is over, its connection waits for the next request.
struct Answering {
    body: Body,
    place: Arc<Place>,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.place.wait(false);
    }
}

/// Takes connections until told to end; then waits until all are closed.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    router: Router,
    mut ending: watch::Receiver<bool>,
) {
    let all = Arc::clone(&app.connections);
    let mut tasks = tokio::task::JoinSet::new();
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut told = 0;
    loop {
        let accepted = tokio::select! {
            _ = ending.wait_for(|it| *it) => break,
            _ = look.tick() => {
                all.close_silent();
                told = tell_stalled(&all, told);
                continue;
            }
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Mostly there are no more descriptors, and those of connections are the ones we may close.
            all.close_oldest(&mut all.open());
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let descriptor = usize::try_from(stream.as_raw_fd()).unwrap_or(usize::MAX);
        match all.enter(descriptor) {
            Some(place) => {
                let router = router.clone();
                let tls = app.tls.clone();
                tasks.spawn(connection(stream, tls, router, place, ending.clone()));
            }
            None => {
                let _ = stream.try_write(NO_PLACE);
            }
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Says once a second how many readers were cut off; returns how many that are in all.
fn tell_stalled(all: &Connections, told: u64) -> u64 {
    let stalled = all.counts.stalled.load(Ordering::Relaxed);
    if told < stalled {
        tracing::warn!(
            readers = stalled - told,
            "readers that took nothing for {} s were cut off",
            all.limits.stalled.as_secs()
        );
    }
    stalled
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    router: Router,
    place: Place,
    ending: watch::Receiver<bool>,
) {
    prepare(&stream, &place.all.limits);
    let Some(tls) = tls else {
        return answer(stream, router, place, ending).await;
    };
    let close = Arc::clone(&place.close);
    let accepted = tokio::select! {
        accepted = encrypted(stream, &tls) => accepted,
        // It has as long for the handshake as for its first request.
        () = close.notified() => return,
    };
    match accepted {
        Ok(Some(stream)) => answer(stream, router, place, ending).await,
        Ok(None) => {}
        Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
    }
}

/// The connection with TLS around it; nothing if the client did not speak it and was told so.
async fn encrypted(stream: TcpStream, tls: &Tls) -> std::io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        let _ = stream.try_write(NOT_HTTPS);
        return Ok(None);
    }
    tls.acceptor().accept(stream).await.map(Some)
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    place: Place,
    mut ending: watch::Receiver<bool>,
) {
    let all = Arc::clone(&place.all);
    let place = Arc::new(place);
    let close = Arc::clone(&place.close);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        place.work();
        let answer = inner.call(request);
        let place = Arc::clone(&place);
        async move {
            let answer = answer.await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| Answering { body, place }))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut is_ending = false;
    let result = loop {
        tokio::select! {
            result = super::caught(connection.as_mut()) => break result,
            () = close.notified() => return,
            _ = ending.wait_for(|it| *it), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) if is_stalled(&error) => {
            all.counts.stalled.fetch_add(1, Ordering::Relaxed);
        }
        // The client went away, or did not speak HTTP: nothing that anybody here could mend.
        Ok(Err(error)) => tracing::debug!("a connection ended: {error}"),
        Err(text) => {
            all.counts.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a stream ended with a panic, which is a bug: {text}");
        }
    }
}

/// The system cuts off clients that take nothing, also what lies in its own buffers, and does not let these grow.
fn prepare(stream: &TcpStream, limits: &Limits) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(stream);
        let _ = socket.set_tcp_user_timeout(Some(limits.stalled));
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
    }
}

fn is_stalled(error: &hyper::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            return cause.kind() == std::io::ErrorKind::TimedOut;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests;
