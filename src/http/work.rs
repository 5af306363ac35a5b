//! Work that takes a while, apart from the threads that serve connections.
//!
//! Whatever reads files, or walks through more rows than a page shows, is done here: a few at a time, so that the processor is left to the
//! engine, and health, metrics and streams go on meanwhile.

use super::problem::Problem;
use axum::http::StatusCode;
use tokio::sync::Semaphore;

/// Works of all requests and streams at a time; others wait for their turn.
const AT_A_TIME: usize = 2;

/// Who does it.
pub struct Workers(Semaphore);

impl Default for Workers {
    fn default() -> Self {
        Workers(Semaphore::new(AT_A_TIME))
    }
}

impl Workers {
    /// Does it when it is its turn. A panic in there is one of the caller.
    ///
    /// # Errors
    /// If the server is shutting down.
    pub async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let stopping = || {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is shutting down",
            )
        };
        let _turn = self.0.acquire().await.map_err(|_| stopping())?;
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(stopping()),
            },
        }
    }
}
