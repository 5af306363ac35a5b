//! Tokens: 256 random bits as text, and the hash that is kept of them.

use crate::model::secret::TOKEN_PREFIX;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;

const HASH_PREFIX: &str = "sha256:";
const BYTES: usize = 32;

/// A token that was made just now. It is shown once; only its hash is kept.
pub struct Token(String);

impl Token {
    /// Makes one from the system's randomness.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Token(format!("{TOKEN_PREFIX}{}", hex(&bytes))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }

    /// Whether a text has the form of a token. A password of somebody's own has not, and could be guessed.
    pub(super) fn is_one(text: &str) -> bool {
        let digits = text.strip_prefix(TOKEN_PREFIX).unwrap_or_default();
        digits.len() == 2 * BYTES && digits.bytes().all(|it| it.is_ascii_hexdigit())
    }
}

/// SHA-256 of a token, written `sha256:` and 64 hexadecimal digits. Compared in constant time.
#[derive(Clone)]
pub struct TokenHash([u8; BYTES]);

impl TokenHash {
    /// The hash of a token's whole text.
    pub fn of(token: &str) -> Self {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }

    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Display for TokenHash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{HASH_PREFIX}{}", hex(&self.0))
    }
}

/// Does not show the hash: who compares two logs need not learn whose token stayed the same.
impl fmt::Debug for TokenHash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{HASH_PREFIX}…")
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(TOKEN_PREFIX) {
            return Err(
                "the file holds hashes, not tokens: everyone who has read the file knows this token; make another with `tidelake token new`"
                    .to_owned(),
            );
        }
        let digits = text
            .strip_prefix(HASH_PREFIX)
            .filter(|it| it.len() == 2 * BYTES && it.is_ascii());
        let bytes = digits.and_then(|it| {
            let pairs = (0..BYTES).map(|at| u8::from_str_radix(&it[2 * at..2 * at + 2], 16));
            pairs.collect::<Result<Vec<u8>, _>>().ok()
        });
        match bytes.and_then(|it| it.try_into().ok()) {
            Some(bytes) => Ok(TokenHash(bytes)),
            None => Err(format!(
                "a token is written `{HASH_PREFIX}` and 64 hexadecimal digits, as `tidelake token new` prints it"
            )),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
