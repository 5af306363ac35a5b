//! Who holds a lake, and whether it still lives.
//!
//! ```text
//! claim: the manifest names the holder ─ every 3 s: alive.json, one more beat ─ stop: alive.json says "released"
//! ```
//!
//! Manifests alone keep a lake whole: a process that claims it fences the one before. This keeps a second instance, started by mistake, from doing that to one
//! that works. A holder on the same machine is asked for by its process, so a restart after a crash waits for nothing. One elsewhere is
//! watched for a sign of life; no clock is asked, since those of two machines differ.

use super::Error;
use crate::lake::{Holder, Manifest, Store};
use crate::supervise;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often a holder gives a sign of life.
const BEAT_EVERY: Duration = Duration::from_millis(3_000 / FASTER);
/// A holder elsewhere that gives none for so long is dead.
const SILENT_MAX: Duration = Duration::from_millis(10_000 / FASTER);
const LOOK_EVERY: Duration = Duration::from_millis(500 / FASTER);
/// Tests do not wait.
const FASTER: u64 = if cfg!(test) { 50 } else { 1 };
/// What is said at a stop is not worth a longer wait.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// Writers of leases in this process.
static OWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn own() -> std::sync::MutexGuard<'static, BTreeSet<String>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last sign of life in a lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Alive {
    writer: String,
    beat: u64,
    released: bool,
}

/// A lake that is held; signs of life are given until it is dropped.
pub(super) struct Lease {
    store: Store,
    dataflow: String,
    writer: String,
    beating: JoinHandle<()>,
}

/// This process, as manifests name it.
pub fn this_process() -> Holder {
    let read = |path: &str| std::fs::read_to_string(path).map(|it| it.trim().to_owned());
    let pid = std::process::id();
    // Processes are known by their numbers within one namespace of one boot.
    let boot = read("/proc/sys/kernel/random/boot_id");
    let space = std::fs::read_link("/proc/self/ns/pid");
    let machine = match (boot, space) {
        (Ok(boot), Ok(space)) => format!("{boot} {}", space.display()),
        // A machine that does not tell is taken for another one each time: signs of life decide.
        (Err(_), _) | (_, Err(_)) => uuid::Uuid::new_v4().to_string(),
    };
    Holder {
        machine,
        host: read("/proc/sys/kernel/hostname")
            .unwrap_or_else(|_| "a machine without a name".to_owned()),
        pid,
        started: started(pid).unwrap_or(0),
    }
}

/// When a process was started, in ticks since the boot; nothing if it has ended.
pub fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    match state {
        "Z" | "X" | "x" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// Waits until the holder of the newest manifest has shown that it is dead, if it does not show so at once.
///
/// # Errors
/// If it lives.
pub(super) async fn wait_for(store: &Store, newest: &Manifest) -> Result<(), Error> {
    let Some(holder) = &newest.holder else {
        return Ok(());
    };
    let held = |by: String| Error::Held {
        lake: store.url.to_string(),
        dataflow: newest.dataflow.clone(),
        by,
    };
    if holder.machine == this_process().machine {
        let lives = match holder.pid == std::process::id() {
            true => own().contains(&newest.writer),
            false => started(holder.pid) == Some(holder.started),
        };
        // It may hold the lake that this one is a copy of.
        let let_go = async || {
            alive(store, newest)
                .await
                .map(|it| it.is_some_and(|it| it.released))
        };
        return match lives && !let_go().await? {
            true => Err(held(format!("process {} of this machine", holder.pid))),
            false => Ok(()),
        };
    }
    let first = alive(store, newest).await?;
    if first.as_ref().is_some_and(|it| it.released) {
        return Ok(());
    }
    tracing::info!(
        host = holder.host,
        pid = holder.pid,
        "the lake was held by process {} on {}; looking whether it is still there",
        holder.pid,
        holder.host
    );
    let began = Instant::now();
    while began.elapsed() < SILENT_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = alive(store, newest).await?;
        if now.as_ref().is_some_and(|it| it.released) {
            return Ok(());
        }
        let since = store.newest_manifest(&newest.dataflow).await?;
        if now != first || since.is_some_and(|it| it.number != newest.number) {
            return Err(held(format!("process {} on {}", holder.pid, holder.host)));
        }
    }
    Ok(())
}

/// Who holds a lake for a dataflow, as a look at it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody since its holder let go of it, or ended on this machine.
    Free,
    /// Its holder lives: it runs on this machine, or gave a sign of life while it was looked at.
    Held,
    /// Its holder is on another machine and gave no sign of life.
    Silent,
}

/// Whether the holder that a manifest names still holds the lake. One on another machine is watched for a sign of life.
///
/// # Errors
/// If the lake cannot be read.
pub async fn hold(store: &Store, newest: &Manifest) -> Result<Hold, Error> {
    let Some(holder) = &newest.holder else {
        return Ok(Hold::Free);
    };
    if holder.machine == this_process().machine {
        return Ok(match started(holder.pid) == Some(holder.started) {
            true => Hold::Held,
            false => Hold::Free,
        });
    }
    let first = alive(store, newest).await?;
    let is_released = |it: &Option<Alive>| it.as_ref().is_some_and(|it| it.released);
    let began = Instant::now();
    // Two beats, of which one may come late.
    while !is_released(&first) && began.elapsed() < 2 * BEAT_EVERY {
        tokio::time::sleep(LOOK_EVERY).await;
        match alive(store, newest).await? {
            now if is_released(&now) => return Ok(Hold::Free),
            now if now != first => return Ok(Hold::Held),
            _ => {}
        }
    }
    Ok(match is_released(&first) {
        true => Hold::Free,
        false => Hold::Silent,
    })
}

/// The last sign of life of a manifest's writer.
async fn alive(store: &Store, newest: &Manifest) -> Result<Option<Alive>, Error> {
    let bytes = store.sign_of_life(&newest.dataflow).await?;
    // What cannot be read is no sign of life; nothing else depends on it.
    let alive: Option<Alive> = bytes.and_then(|it| serde_json::from_slice(&it).ok());
    Ok(alive.filter(|it| it.writer == newest.writer))
}

impl Lease {
    /// Holds the lake that this claim was made of.
    pub fn of(store: &Store, claim: &Manifest) -> Self {
        own().insert(claim.writer.clone());
        let (dataflow, writer) = (claim.dataflow.clone(), claim.writer.clone());
        let beating = {
            let (store, dataflow, writer) = (store.clone(), dataflow.clone(), writer.clone());
            supervise::task("sign-of-life", async move {
                let mut every = tokio::time::interval(BEAT_EVERY);
                for beat in 0.. {
                    every.tick().await;
                    // One that does not arrive is missed by nobody: the health says how the lake is, and commits go on without it.
                    let _ = tell(&store, &dataflow, &writer, beat, false).await;
                }
            })
        };
        Lease {
            store: store.clone(),
            dataflow,
            writer,
            beating,
        }
    }

    /// Lets go of it, so that nobody waits for signs of life.
    pub async fn release(self) {
        self.beating.abort();
        let told = tell(&self.store, &self.dataflow, &self.writer, 0, true);
        let _ = tokio::time::timeout(RELEASE_WITHIN, told).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beating.abort();
        own().remove(&self.writer);
    }
}

async fn tell(
    store: &Store,
    dataflow: &str,
    writer: &str,
    beat: u64,
    released: bool,
) -> Result<(), Error> {
    let alive = Alive {
        writer: writer.to_owned(),
        beat,
        released,
    };
    let bytes = serde_json::to_vec(&alive).map_err(|it| Error::State(it.to_string()))?;
    Ok(store.give_sign_of_life(dataflow, bytes).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(holder: Holder, writer: &str) -> Manifest {
        Manifest {
            writer: writer.to_owned(),
            holder: Some(holder),
            ..Manifest::empty("d")
        }
    }

    #[tokio::test]
    async fn a_process_of_this_machine_is_respected_for_as_long_as_it_runs() {
        let store = Store::open("memory:///lake").expect("a lake");
        let here = this_process();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("a process");
        let other = Holder {
            pid: child.id(),
            started: started(child.id()).expect("it runs"),
            ..here.clone()
        };
        let reused = Holder {
            started: other.started + 1,
            ..other.clone()
        };
        let refused = wait_for(&store, &manifest(other.clone(), "w")).await;
        assert!(matches!(refused, Err(Error::Held { .. })));
        let free = wait_for(&store, &manifest(reused, "w")).await;
        assert!(free.is_ok(), "another process has its number now");
        child.kill().expect("it can be ended");
        while started(other.pid).is_some() {
            tokio::task::yield_now().await;
        }
        let free = wait_for(&store, &manifest(other.clone(), "w")).await;
        assert!(free.is_ok(), "it has ended, and nobody has taken note yet");
        child.wait().expect("it has ended");
        assert!(wait_for(&store, &manifest(other, "w")).await.is_ok());

        let own = manifest(here, "own");
        let lease = Lease::of(&store, &own);
        assert!(wait_for(&store, &own).await.is_err());
        let copy = Store::open("memory:///copy").expect("a lake");
        assert!(wait_for(&copy, &own).await.is_err());
        tell(&copy, "d", "own", 0, true).await.expect("it is told");
        let free = wait_for(&copy, &own).await;
        assert!(
            free.is_ok(),
            "the process holds the lake that this is a copy of"
        );
        lease.release().await;
        assert!(wait_for(&store, &own).await.is_ok());
    }

    #[tokio::test]
    async fn one_elsewhere_is_respected_for_as_long_as_it_gives_signs_of_life() {
        let store = Store::open("memory:///lake").expect("a lake");
        let elsewhere = Holder {
            machine: "another".to_owned(),
            ..this_process()
        };
        let claim = manifest(elsewhere, "w");
        let lease = Lease::of(&store, &claim);
        let refused = wait_for(&store, &claim).await;
        let refused = refused.expect_err("it lives").to_string();
        assert!(refused.contains("--take-over"), "{refused}");
        assert_eq!(hold(&store, &claim).await.ok(), Some(Hold::Held));
        drop(lease);
        assert!(wait_for(&store, &claim).await.is_ok(), "it is silent");
        assert_eq!(hold(&store, &claim).await.ok(), Some(Hold::Silent));
        let lease = Lease::of(&store, &claim);
        lease.release().await;
        assert!(wait_for(&store, &claim).await.is_ok(), "it let go");
        assert_eq!(hold(&store, &claim).await.ok(), Some(Hold::Free));
    }
}
