//! Sessions of the page: a cookie says who it is, until when, and that we said so.
//!
//! `name.expires.signature`: the signature is HMAC-SHA256 over name, expiry and the hash of the user's token, so that a new token
//! ends the sessions of the old one, and nothing has to be remembered between processes and starts but the key.

use super::token::hex;
use super::{TokenHash, User};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use subtle::ConstantTimeEq;

/// What a signature is for; another use of the same key gives others.
const PURPOSE: &[u8] = b"tidelake session 1";
const KEY_BYTES: usize = 32;

/// Signs cookies.
#[derive(Clone)]
pub struct SessionKey([u8; KEY_BYTES]);

impl SessionKey {
    /// One that ends with this process, and all its sessions with it.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(SessionKey(bytes))
    }

    /// One that all processes have which share this secret.
    pub fn derived(secret: &[u8]) -> Self {
        SessionKey(mac(secret, &[b"tidelake session key 1"]))
    }

    /// One that is kept in a file only its owner can read, and made if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read or made, or is no key.
    pub fn kept(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        if !path.exists() {
            // Whole before it has its name, and a second process takes the key of the first.
            let key = SessionKey::random()?;
            let made = path.with_extension(hex(&SessionKey::random()?.0[..8]));
            let written =
                write_privately(&made, &key.0).and_then(|()| std::fs::hard_link(&made, path));
            let _ = std::fs::remove_file(&made);
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let mut file = std::fs::File::open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(std::io::Error::other("others can read it; chmod 600 it"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let wrong = |_| std::io::Error::other("it is not 32 bytes long; remove it");
        bytes.try_into().map(SessionKey).map_err(wrong)
    }

    pub(super) fn sign(&self, name: &str, token: &TokenHash, expires_s: u64) -> String {
        let signature = hex(&self.signature(name, token, expires_s));
        format!("{name}.{expires_s}.{signature}")
    }

    pub(super) fn is_signed(&self, session: &str, user: &User, now_s: u64) -> bool {
        let Some((name, expires, signature)) = parts(session) else {
            return false;
        };
        let Ok(expires_s) = expires.parse::<u64>() else {
            return false;
        };
        let expected = hex(&self.signature(name, &user.token, expires_s));
        let is_ours: bool = expected.as_bytes().ct_eq(signature.as_bytes()).into();
        is_ours && now_s < expires_s
    }

    fn signature(&self, name: &str, token: &TokenHash, expires_s: u64) -> [u8; 32] {
        let parts = [
            PURPOSE,
            name.as_bytes(),
            token.bytes(),
            &expires_s.to_be_bytes(),
        ];
        mac(&self.0, &parts)
    }
}

fn write_privately(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// HMAC-SHA256 over parts, each behind its length, so that no two lists of parts read alike.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(it) => it,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The user that a session names, who need not be the one it was made for.
pub(super) fn name_of(session: &str) -> Option<&str> {
    parts(session).map(|it| it.0)
}

/// Name, expiry and signature; names have dots, the others have none.
fn parts(session: &str) -> Option<(&str, &str, &str)> {
    let (rest, signature) = session.rsplit_once('.')?;
    let (name, expires) = rest.rsplit_once('.')?;
    Some((name, expires, signature))
}
