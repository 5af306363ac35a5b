//! The first words on a connection: who dials, that both sides have the cluster's secret, and what the listener answers.
//!
//! ```text
//! dialler                                   listener
//!   hello (who, which cluster, nonce)  ──►
//!                                      ◄──  challenge (nonce, proof)      with a secret only; else the answer at once
//!   proof                              ──►
//!                                      ◄──  answer
//! ```
//!
//! A proof is HMAC-SHA256 under the secret over the side, the whole hello and the listener's nonce (`auth::Secret`). Nobody is told anything,
//! and nothing long is read, before it is there. What follows on the connection is not encrypted: that is for the network to do.

use super::Member;
use super::links::{read_frame, write_frame};
use crate::auth::{Secret, Side};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::net::TcpStream;

/// Processes of different versions of this protocol do not talk to each other.
pub(super) const PROTOCOL: u32 = 3;
/// How long the other side may take for its next word; a welcome may be long, and each byte of it counts as a word.
const WORD_WITHIN: Duration = Duration::from_secs(5);
/// How long a dialler may take until it is known, however it spreads its words.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// What is read from somebody who has not proved anything is not longer.
const STRANGER_BYTES_MAX: usize = 1 << 12;
/// An answer is not longer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

type Nonce = [u8; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Control,
    Data,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub protocol: u32,
    pub process: usize,
    pub processes: usize,
    pub workers: usize,
    pub fingerprint: String,
    pub kind: Kind,
    /// None for the first word to process 0, who tells it.
    pub generation: Option<u64>,
    /// Of a process that has a secret.
    nonce: Option<Nonce>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Welcome {
        generation: u64,
        content: Vec<u8>,
    },
    /// Process 0 is there and prepares the beginning, which may take long: ask again.
    Preparing,
    /// `again` if it may be different later.
    Refused {
        reason: String,
        again: bool,
    },
    /// Not the last word: prove that you have the secret, as this does.
    Challenge {
        nonce: Nonce,
        proof: [u8; 32],
    },
}

impl Answer {
    pub fn never(reason: impl Into<String>) -> Self {
        Answer::Refused {
            reason: reason.into(),
            again: false,
        }
    }
}

/// Says who this is, and returns what the listener says to that.
pub(super) async fn greet(
    socket: &mut TcpStream,
    member: &Member,
    kind: Kind,
    generation: Option<u64>,
) -> std::io::Result<Answer> {
    let hello = Hello {
        protocol: PROTOCOL,
        process: member.process,
        processes: member.hosts.len(),
        workers: member.workers,
        fingerprint: member.fingerprint.clone(),
        kind,
        generation,
        nonce: member.secret.is_some().then(nonce).transpose()?,
    };
    write_frame(socket, &hello).await?;
    let Some(secret) = &member.secret else {
        return match read_frame(socket, ANSWER_BYTES_MAX, WORD_WITHIN).await? {
            Answer::Challenge { .. } => Ok(Answer::never(
                "it asks for a secret that this process was not given",
            )),
            answer => Ok(answer),
        };
    };
    match read_frame(socket, STRANGER_BYTES_MAX, WORD_WITHIN).await? {
        Answer::Challenge { nonce, proof } => {
            let said = said(&hello)?;
            let said = [said.as_slice(), &nonce];
            if !secret.is_proved(Side::Listener, &said, &proof) {
                return Ok(Answer::never(
                    "the process it found has another secret; give all the same --cluster-secret-file",
                ));
            }
            write_frame(socket, &secret.prove(Side::Dialler, &said)).await?;
            read_frame(socket, ANSWER_BYTES_MAX, WORD_WITHIN).await
        }
        // A side that refuses or asks to wait needs to prove nothing.
        answer @ (Answer::Refused { .. } | Answer::Preparing) => Ok(answer),
        Answer::Welcome { .. } => Ok(Answer::never(
            "the process it found let it in without proving that it has the secret",
        )),
    }
}

/// Hears who dials, within a time. One that does not have the secret is told so, and an error here.
pub(super) async fn hear(socket: &mut TcpStream, member: &Member) -> std::io::Result<Hello> {
    match tokio::time::timeout(HEARD_WITHIN, heard(socket, member)).await {
        Ok(heard) => heard,
        Err(_) => Err(std::io::Error::other("it did not say who it is in time")),
    }
}

async fn heard(socket: &mut TcpStream, member: &Member) -> std::io::Result<Hello> {
    let hello: Hello = read_frame(socket, STRANGER_BYTES_MAX, WORD_WITHIN).await?;
    let refusal = match (&member.secret, hello.nonce) {
        (None, None) => return Ok(hello),
        (Some(secret), Some(_)) => match has_secret(socket, secret, &hello).await? {
            true => return Ok(hello),
            false => {
                "it has another secret than this process; give all the same --cluster-secret-file"
            }
        },
        (Some(_), None) => {
            "it has no secret, and the cluster does; give all the same --cluster-secret-file"
        }
        (None, Some(_)) => {
            "it has a secret, and this process has none; give all the same --cluster-secret-file"
        }
    };
    write_frame(socket, &Answer::never(refusal)).await?;
    Err(std::io::Error::other(refusal))
}

async fn has_secret(
    socket: &mut TcpStream,
    secret: &Secret,
    hello: &Hello,
) -> std::io::Result<bool> {
    let nonce = nonce()?;
    let said = said(hello)?;
    let said = [said.as_slice(), &nonce];
    let proof = secret.prove(Side::Listener, &said);
    write_frame(socket, &Answer::Challenge { nonce, proof }).await?;
    let proof: [u8; 32] = read_frame(socket, STRANGER_BYTES_MAX, WORD_WITHIN).await?;
    Ok(secret.is_proved(Side::Dialler, &said, &proof))
}

fn nonce() -> std::io::Result<Nonce> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// A hello as it was sent.
fn said(hello: &Hello) -> std::io::Result<Vec<u8>> {
    postcard::to_stdvec(hello).map_err(std::io::Error::other)
}
