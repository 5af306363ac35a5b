//! Users as a file names them.

use super::TokenHash;
use crate::model::secret;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;

const NAME_CHARACTERS_MAX: usize = 64;

/// What a user may do; each role may all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read metrics and the health.
    Metrics,
    /// Read views, the log and the lake, and query them.
    Read,
    /// Push records, act on incidents, save queries and boards, replay dead letters, start proofs.
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Metrics => "metrics",
            Role::Read => "read",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Role::Metrics, Role::Read, Role::Admin];
        let found = all.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no role; there are read, admin and metrics"))
    }
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub role: Role,
    #[serde(deserialize_with = "hash")]
    pub token: TokenHash,
}

fn hash<'de, D: Deserializer<'de>>(from: D) -> Result<TokenHash, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// All users; their names and tokens are different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users(Vec<User>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    users: Vec<User>,
}

/// Of the settings only this table is read here.
#[derive(Deserialize)]
struct InSettings {
    auth: Named,
}

impl Users {
    /// Of a file of their own.
    ///
    /// # Errors
    /// What is wrong with it, in words; never a part of a token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named: Named = toml::from_str(text).map_err(|it| told(&it))?;
        Users::checked(named.users)
    }

    /// Of the table `[auth]` of the settings.
    ///
    /// # Errors
    /// As of a file of their own.
    pub fn parse_settings(text: &str) -> Result<Self, String> {
        let settings: InSettings = toml::from_str(text).map_err(|it| told(&it))?;
        Users::checked(settings.auth.users)
    }

    fn checked(users: Vec<User>) -> Result<Self, String> {
        if users.is_empty() {
            return Err("it names no user, so nobody could ask".to_owned());
        }
        let mut names = BTreeSet::new();
        for (at, user) in users.iter().enumerate() {
            let name = &user.name;
            // What stands there may be a token in the wrong place, so it is not repeated.
            check_name(name).map_err(|it| format!("the name of user {} {it}", at + 1))?;
            if !names.insert(name) {
                return Err(format!("there are two users `{name}`"));
            }
            if let Some(other) = users[..at].iter().find(|it| it.token == user.token) {
                return Err(format!("`{name}` and `{}` have the same token", other.name));
            }
        }
        Ok(Users(users))
    }

    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.0.iter()
    }

    /// Whose token this is. Takes as long for one as for another.
    pub fn of_token(&self, token: &TokenHash) -> Option<&User> {
        let mut found = None;
        for user in &self.0 {
            if user.token == *token {
                found = Some(user);
            }
        }
        found
    }

    pub fn named(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|it| it.name == name)
    }
}

/// Whether this can be the name of a user.
///
/// # Errors
/// What a name has, as the end of a sentence; the name is not in it.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_short = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-@+".contains(it);
    let is_token = name.starts_with(secret::TOKEN_PREFIX);
    match is_short && name.chars().all(is_plain) && !is_token {
        true => Ok(()),
        false => Err(format!(
            "is no name; one has 1 to {NAME_CHARACTERS_MAX} letters, digits, and . _ - @ +, and does not begin like a token"
        )),
    }
}

/// What the reader of TOML says, without the line it quotes and without tokens, which may stand in any place.
fn told(error: &toml::de::Error) -> String {
    let message = secret::redact(error.message());
    match error.span().map(|it| it.start) {
        Some(at) => format!("{message} (at byte {at})"),
        None => message.into_owned(),
    }
}
