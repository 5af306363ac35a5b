//! Who may ask: users, their roles, and the tokens by which they are known.
//!
//! ```text
//! [[users]]                      a token of 256 random bits        ──► SHA-256 ──► the user whose line has this hash
//! name = "grafana"               a session cookie of the page      ──► HMAC    ──► the user it names, until it expires
//! role = "metrics"
//! token = "sha256:…"
//! ```
//!
//! The file holds hashes only: reading it does not let one ask. It is read again whenever it changes; what it then says is in
//! force for the next request, and for streams that are open. A file that is not understood changes nothing, and is told.
//!
//! A token is as long as a key, so it needs no salt and no slow hash, which are for what people can remember.

mod secrets;
mod session;
mod token;
mod users;

pub use secrets::{Secret, SecretError, Side};
pub use session::SessionKey;
pub use token::{Token, TokenHash};
pub use users::{Role, User, Users, check_name};

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a process is called that asks itself; no name of a user has a space.
const OWN_NAME: &str = "this process";

/// Where users are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of their own, with `[[users]]`.
    File(PathBuf),
    /// The file with settings, with `[[auth.users]]`.
    Settings(PathBuf),
}

impl Source {
    pub fn path(&self) -> &Path {
        match self {
            Source::File(path) | Source::Settings(path) => path,
        }
    }
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read users from {path}: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("users in {path} are not understood: {reason}")]
    NotUnderstood { path: String, reason: String },
    #[error("the system has no randomness to give: {0}")]
    NoRandomness(std::io::Error),
}

/// A user as known when a request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    token: TokenHash,
}

/// The users of a server, as the file has them now.
pub struct Auth {
    source: Source,
    key: SessionKey,
    /// By which this process asks itself; nobody else has it.
    own: Token,
    own_hash: TokenHash,
    users: RwLock<Arc<Users>>,
    /// Why the file as it is now is not in force.
    problem: Mutex<Option<String>>,
    changed: watch::Sender<u64>,
}

impl Auth {
    /// Reads the users; `key` signs the cookies of the page.
    ///
    /// # Errors
    /// If the file cannot be read or is not understood.
    pub fn open(source: Source, key: SessionKey) -> Result<Arc<Self>, Error> {
        let users = read(&source)?;
        let own = Token::random().map_err(Error::NoRandomness)?;
        Ok(Arc::new(Auth {
            source,
            key,
            own_hash: own.hash(),
            own,
            users: RwLock::new(Arc::new(users)),
            problem: Mutex::new(None),
            changed: watch::Sender::new(0),
        }))
    }

    /// The user of a token.
    pub fn by_token(&self, token: &str) -> Option<Caller> {
        if !Token::is_one(token) {
            return None;
        }
        let token = TokenHash::of(token);
        if self.own_hash == token {
            return Some(Caller {
                name: OWN_NAME.to_owned(),
                role: Role::Metrics,
                token,
            });
        }
        self.users().of_token(&token).map(Caller::of)
    }

    /// By which this process asks itself how it is doing: a token with the role of metrics, until it ends.
    pub fn own_token(&self) -> &str {
        self.own.as_str()
    }

    /// The user of a session, unless it has expired or was made for another token of theirs. Times are seconds since 1970.
    pub fn by_session(&self, session: &str, now_s: u64) -> Option<Caller> {
        let name = session::name_of(session)?;
        let users = self.users();
        let user = users.named(name)?;
        self.key
            .is_signed(session, user, now_s)
            .then(|| Caller::of(user))
    }

    /// What the cookie of a user holds; good until `expires_s`.
    pub fn session(&self, caller: &Caller, expires_s: u64) -> String {
        self.key.sign(&caller.name, &caller.token, expires_s)
    }

    /// Whether the user is there as before: with this token, and with a role that may no less.
    pub fn is_still(&self, caller: &Caller) -> bool {
        let users = self.users();
        let user = users.named(&caller.name);
        user.is_some_and(|it| it.token == caller.token && caller.role <= it.role)
    }

    /// Changes when the users do.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.users().iter().count()
    }

    /// Where they are named.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Why the file as it is now is not in force, if it is not.
    pub fn problem(&self) -> Option<String> {
        let problem = self.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again. What is not understood leaves the users as they are.
    pub fn reload(&self) {
        let read = read(&self.source);
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(users) => {
                if problem.take().is_some() {
                    tracing::info!("users are understood again");
                }
                drop(problem);
                if *self.users() == users {
                    return;
                }
                tracing::info!(users = users.iter().count(), "users have changed");
                *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
                self.changed.send_modify(|it| *it += 1);
            }
            Err(error) => {
                let text = error.to_string();
                if problem.as_ref() != Some(&text) {
                    tracing::error!("{text}; the users of before stay");
                }
                *problem = Some(text);
            }
        }
    }

    /// Keeps up with the file, for as long as it is polled.
    pub async fn follow(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            self.reload();
        }
    }

    fn users(&self) -> Arc<Users> {
        let users = self.users.read();
        Arc::clone(&users.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Caller {
    fn of(user: &User) -> Self {
        Caller {
            name: user.name.clone(),
            role: user.role,
            token: user.token.clone(),
        }
    }
}

fn read(source: &Source) -> Result<Users, Error> {
    let path = source.path().display().to_string();
    let text = match std::fs::read_to_string(source.path()) {
        Ok(it) => it,
        Err(source) => return Err(Error::Unreadable { path, source }),
    };
    let users = match source {
        Source::File(_) => Users::parse(&text),
        Source::Settings(_) => Users::parse_settings(&text),
    };
    users.map_err(|reason| Error::NotUnderstood { path, reason })
}

#[cfg(test)]
mod tests;
