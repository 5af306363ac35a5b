//! Models that this process scores with, by their ids: a plan names a model, and evaluates it without a lake at hand.
//!
//! An id is the hash of a model's content, so an entry means the same to everyone in the process and is never replaced. Nothing is removed: what a dataflow is bound to
//! is scored with until the process ends, and query processes, which load models for queries, are ended when they have grown.

use super::Model;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

static KEPT: LazyLock<RwLock<HashMap<String, Arc<Model>>>> = LazyLock::new(RwLock::default);

/// Makes a model known under its id to all plans of this process.
pub fn keep(model: Model) -> Arc<Model> {
    let mut all = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    let entry = all.entry(model.id().to_owned());
    Arc::clone(entry.or_insert_with(|| Arc::new(model)))
}

/// The model of an id, if it was made known.
pub fn kept(id: &str) -> Option<Arc<Model>> {
    let all = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    all.get(id).map(Arc::clone)
}
