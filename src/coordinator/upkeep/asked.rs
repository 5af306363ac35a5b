//! Upkeep that the process with the lake is asked for: a request in the lake, and what became of it.

use crate::coordinator::{Error, lease};
use crate::lake::{OptimizeRequest, Optimized, Store};
use std::time::Duration;

/// How often whoever asked looks whether it is done, and after how many looks whether who was asked still lives.
const DONE_EVERY: Duration = Duration::from_millis(500);
const ALIVE_AFTER: u32 = 10;

/// A new id for a request; requests are done in the order of their ids.
pub fn request_id(request: &OptimizeRequest) -> String {
    format!("{:020}-{}", request.asked_ms, uuid::Uuid::new_v4())
}

/// Leaves a request to whoever holds the lake, and waits; nothing if that one has ended before it was done. Whoever stops waiting takes the request back.
///
/// # Errors
/// If the lake cannot be used; the request may be done all the same.
pub async fn ask(
    store: &Store,
    dataflow: &str,
    id: &str,
    request: &OptimizeRequest,
) -> Result<Option<Optimized>, Error> {
    store.ask_upkeep(dataflow, id, request).await?;
    let mut looks = 0_u32;
    loop {
        tokio::time::sleep(DONE_EVERY).await;
        if let Some(done) = store.upkeep_done(dataflow, id).await? {
            return Ok(Some(done));
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(ALIVE_AFTER) && is_held(store, dataflow).await?.is_none() {
            store.take_back_upkeep(dataflow, id).await?;
            // It may have been done in the meantime.
            return Ok(store.upkeep_done(dataflow, id).await?);
        }
    }
}

/// Whether a process holds a dataflow of this lake.
///
/// # Errors
/// If the lake cannot be read.
pub async fn is_held(store: &Store, dataflow: &str) -> Result<Option<String>, Error> {
    let Some(newest) = store.newest_manifest(dataflow).await? else {
        return Ok(None);
    };
    match lease::wait_for(store, &newest).await {
        Ok(()) => Ok(None),
        Err(Error::Held { by, .. }) => Ok(Some(by)),
        Err(error) => Err(error),
    }
}
