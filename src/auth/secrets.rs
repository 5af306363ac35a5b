//! A secret that processes of a cluster share, and how one proves to another that it has it.
//!
//! Both sides choose a nonce; each sends HMAC-SHA256 under the secret over its side, both nonces, and what was said so far. Neither learns
//! the secret from the other, and a proof is good for one connection.

use super::session::mac;
use crate::model::secret;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// Shorter ones can be guessed.
const BYTES_MIN: usize = 32;

/// What the processes of a cluster have in common and nobody else has.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("could not read the cluster's secret from {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the cluster's secret has {bytes} bytes, it needs at least {BYTES_MIN}; `openssl rand -hex 32` makes one"
    )]
    Short { bytes: usize },
}

/// Which side of a connection proves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Dialler,
    Listener,
}

impl Secret {
    /// From a file; white space at its ends is not part of it.
    ///
    /// # Errors
    /// If it cannot be read, or what it has is too short.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let text = text.trim();
        secret::conceal(text);
        Secret::new(text.as_bytes())
    }

    /// From its bytes.
    ///
    /// # Errors
    /// If it is too short.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        match bytes.len() {
            short if short < BYTES_MIN => Err(SecretError::Short { bytes: short }),
            _ => Ok(Secret(bytes.to_owned())),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Proves to the other side that this one has the secret.
    pub fn prove(&self, side: Side, said: &[&[u8]]) -> [u8; 32] {
        let side: &[u8] = match side {
            Side::Dialler => b"tidelake dialler 1",
            Side::Listener => b"tidelake listener 1",
        };
        let parts: Vec<&[u8]> = std::iter::once(side).chain(said.iter().copied()).collect();
        mac(&self.0, &parts)
    }

    /// Whether the other side has the secret.
    pub fn is_proved(&self, side: Side, said: &[&[u8]], proof: &[u8]) -> bool {
        self.prove(side, said).ct_eq(proof).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("***")
    }
}
