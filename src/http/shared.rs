//! What streams say, made once for all who are at the same place.
//!
//! A thousand readers of a view hear the same rows. So a topic does not write into a stream: it names what it would say by topic, filter and
//! the places it leads from and to ([`Key`]), and how that text is made. The first to ask makes it, apart from the threads that serve; all others
//! get the same bytes. A text lies in pieces, so that a connection holds no more of it than its socket takes.
//!
//! All rows of a large view are kept for some seconds: who comes later gets the same ones, and then the changes since. All texts together are
//! bounded, however many readers hold them: when they take too much memory, the next one is made when some reader has read or was cut off.

use super::App;
use super::problem::Problem;
use super::stream::Kind;
use crate::model::Epoch;
use axum::body::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as TurnMutex, OnceCell};

/// A text is cut into pieces of this length.
const PIECE_BYTES: usize = 64 << 10;
/// A text is kept for others who come to the same place so long.
const KEPT: Duration = Duration::from_secs(1);
/// All rows of a view are kept longer if they are more than this.
const LARGE_BYTES: usize = 1 << 20;
const LARGE_KEPT: Duration = Duration::from_secs(5);
/// Bytes of all texts that anybody holds.
const HELD_BYTES_MAX: usize = 256 << 20;
const FULL_WAIT: Duration = Duration::from_millis(50);

/// Which text. Equal keys are equal texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The topic with its filter.
    pub topic: Arc<str>,
    pub from: u64,
    pub to: u64,
    /// What else it depends on.
    pub more: u64,
}

/// How a text is made.
pub type Make = Box<dyn FnOnce(&App) -> Text + Send>;

/// One thing to say, and where its hearer is then.
#[derive(Debug, Default)]
pub struct Text {
    /// None if there is nothing to say.
    pub event: Option<Kind>,
    pub pieces: Vec<Bytes>,
    pub epoch: Epoch,
    pub number: u64,
    /// Told with the next text.
    pub dropped: u64,
    /// There was no way to it from where the reader was.
    pub lost: bool,
    pub(super) held: Held,
}

/// Its share of the bytes that anybody holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: usize,
    all: Option<Arc<AtomicUsize>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            all.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Writes a text piece by piece.
#[derive(Default)]
pub struct Writer {
    pieces: Vec<Bytes>,
    piece: String,
}

impl Writer {
    /// The piece at hand. It may become longer than a piece by what is added at a time.
    pub fn piece(&mut self) -> &mut String {
        if PIECE_BYTES <= self.piece.len() {
            let full = std::mem::replace(&mut self.piece, String::with_capacity(PIECE_BYTES));
            self.pieces.push(full.into());
        }
        &mut self.piece
    }

    /// What was written so far, as one text at an epoch.
    pub fn text(mut self, event: Kind, epoch: Epoch) -> Text {
        if !self.piece.is_empty() {
            self.pieces.push(self.piece.into());
        }
        Text {
            event: Some(event),
            pieces: self.pieces,
            epoch,
            ..Text::default()
        }
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.piece().push_str(text);
        Ok(())
    }
}

impl Text {
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

type Cell = Arc<OnceCell<Arc<Text>>>;
type Turn = Arc<TurnMutex<Option<(Instant, Arc<Text>)>>>;

/// The texts that may be asked for again.
#[derive(Default)]
pub struct Shared {
    kept: Mutex<Kept>,
    held: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Kept {
    texts: HashMap<Key, (Instant, Cell)>,
    /// All rows of a view, by topic. Their maker has the turn.
    snapshots: HashMap<Arc<str>, Turn>,
    pruned: Option<Instant>,
}

impl Shared {
    /// Bytes of texts that anybody holds.
    pub fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The text of that name, made now if nobody has asked for it yet.
    ///
    /// # Errors
    /// If the server is shutting down.
    pub async fn text(&self, app: &Arc<App>, key: Key, make: Make) -> Result<Arc<Text>, Problem> {
        let cell = {
            let mut kept = self.kept();
            kept.prune();
            let made = kept.texts.entry(key);
            Arc::clone(&made.or_insert_with(|| (Instant::now(), Cell::default())).1)
        };
        let made = cell.get_or_try_init(|| self.make(app, make)).await?;
        Ok(Arc::clone(made))
    }

    /// All rows of a view as they are now. Those of a large one may be some seconds old, if the changes since are still known.
    ///
    /// # Errors
    /// If the server is shutting down.
    pub async fn snapshot(
        &self,
        app: &Arc<App>,
        topic: &Arc<str>,
        view: &str,
        make: Make,
    ) -> Result<Arc<Text>, Problem> {
        let turn = {
            let mut kept = self.kept();
            kept.prune();
            Arc::clone(kept.snapshots.entry(Arc::clone(topic)).or_default())
        };
        let mut last = turn.lock().await;
        if let Some((made, text)) = last.as_ref() {
            let is_current = text.epoch == app.hub.epoch();
            let is_kept = LARGE_BYTES <= text.bytes() && made.elapsed() < LARGE_KEPT;
            if is_current || (is_kept && app.hub.reaches(view, app.hub.heard(text.epoch))) {
                return Ok(Arc::clone(text));
            }
        }
        // Before the next one is made, this one is let go.
        *last = None;
        let text = self.make(app, make).await?;
        *last = Some((Instant::now(), Arc::clone(&text)));
        Ok(text)
    }

    async fn make(&self, app: &Arc<App>, make: Make) -> Result<Arc<Text>, Problem> {
        while HELD_BYTES_MAX <= self.held_bytes() {
            self.kept().prune();
            tokio::time::sleep(FULL_WAIT).await;
        }
        let with = Arc::clone(app);
        let mut text = app.workers.apart(move || make(&with)).await?;
        let bytes = text.bytes();
        self.held.fetch_add(bytes, Ordering::Relaxed);
        text.held = Held {
            bytes,
            all: Some(Arc::clone(&self.held)),
        };
        Ok(Arc::new(text))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets what nobody should come back for.
    fn prune(&mut self) {
        let now = Instant::now();
        if self.pruned.is_some_and(|it| now < it + KEPT / 4) {
            return;
        }
        self.pruned = Some(now);
        self.texts.retain(|_, it| now < it.0 + KEPT);
        self.snapshots.retain(|_, turn| match turn.try_lock() {
            Ok(last) => last.as_ref().is_some_and(|it| now < it.0 + LARGE_KEPT),
            Err(_) => true,
        });
    }
}
