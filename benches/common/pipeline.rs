//! The whole program on a dataflow: started, watched over HTTP, stopped, and its usage taken.

use super::{Done, STEP_MAX, Used, reap, repository};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a run needs beyond its dataflow.
pub struct Run<'a> {
    pub program: &'a Path,
    /// A folder with `dataflow.sql`.
    pub dataflow: &'a Path,
    pub lake: &'a Path,
    pub workers: usize,
    /// More arguments, such as `--input`.
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
}

/// A running program. Dropping it without `stop` kills it.
pub struct Running {
    child: Child,
    pub address: String,
    began: Instant,
    stopped: bool,
}

impl Running {
    pub fn start(run: &Run<'_>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| it.local_addr())
            .expect("a free port")
            .port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(run.program)
            .arg("run")
            .arg(run.dataflow)
            .arg("--lake")
            .arg(run.lake)
            .args(["--listen", &address, "--workers", &run.workers.to_string()])
            .args(run.arguments)
            .envs(run.environment.iter().cloned())
            .env("TIDELAKE_LOG", "warn")
            .current_dir(repository())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program can be started");
        Running {
            child,
            address,
            began: Instant::now(),
            stopped: false,
        }
    }

    /// JSON from a path of the API; nothing while the program does not answer.
    pub fn get(&self, path: &str) -> Option<Value> {
        block_on(async {
            let url = format!("http://{}{path}", self.address);
            reqwest::get(url).await.ok()?.json().await.ok()
        })
    }

    /// Text from a path of the API; nothing while the program does not answer.
    pub fn text(&self, path: &str) -> Option<String> {
        block_on(async {
            let url = format!("http://{}{path}", self.address);
            reqwest::get(url).await.ok()?.text().await.ok()
        })
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the sources have brought so many records into complete epochs.
    pub fn wait_for(&self, records: u64) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < STEP_MAX, "the pipeline took too long");
            if records <= self.counted().0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all that was read is in the lake: a first commit of thousands of folders takes longer than a stop may.
    fn wait_for_commit(&self) {
        let began = Instant::now();
        let is_committed = |status: &serde_json::Value| {
            let sources = status["sources"].as_array().into_iter().flatten();
            let mut partitions =
                sources.flat_map(|it| it["partitions"].as_array().into_iter().flatten());
            partitions.all(|it| it["committed"] == it["offset"])
        };
        while !self
            .get("/api/v1/status")
            .is_some_and(|it| is_committed(&it))
        {
            assert!(began.elapsed() < STEP_MAX, "the commit took too long");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Records and bytes that every reader can see.
    pub fn counted(&self) -> (u64, u64) {
        let status = self.get("/api/v1/status").unwrap_or_default();
        let sources = status["sources"].as_array().cloned().unwrap_or_default();
        let sum = |name: &str| sources.iter().filter_map(|it| it[name].as_u64()).sum();
        (sum("records"), sum("bytes"))
    }

    /// Commits what was read, ends the program, and takes what it used.
    pub fn stop(mut self) -> Used {
        self.stopped = true;
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let used = reap(&self.child);
        assert!(used.success, "the program did not stop cleanly");
        used
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a dataflow over input that is all there; from the start of the process until readers see every record. What it used
/// includes the last commit.
pub fn drain(run: &Run<'_>, records: u64) -> (Done, Used) {
    let running = Running::start(run);
    running.wait_for(records);
    let wall_s = running.began.elapsed().as_secs_f64();
    let (counted, bytes) = running.counted();
    assert_eq!(counted, records, "every record was counted once");
    running.wait_for_commit();
    (
        Done {
            records,
            bytes,
            wall_s,
            cpu_s: None,
            peak_mib: None,
        },
        running.stop(),
    )
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for one request")
        .block_on(future)
}
