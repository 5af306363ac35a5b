//! The program as the shell starts it: runs it, waits for what it says, and takes its end.
//!
//! Nothing outlives a test: what is still running when its `Running` is dropped is killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// The program, or the one that `TIDELAKE_PROGRAM` names, without what the environment of the tests would set.
pub fn tidelake(arguments: &[&str]) -> Command {
    let program = std::env::var("TIDELAKE_PROGRAM");
    let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_tidelake").to_owned());
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("TIDELAKE_") || name.starts_with("KAFKA_") {
            command.env_remove(name);
        }
    }
    // Not among the instances of whoever runs the tests.
    command.env("TIDELAKE_STATE_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// Standard output.
    pub printed: String,
    /// Standard error.
    pub said: String,
}

impl Ended {
    /// Runs to the end.
    pub fn of(command: &mut Command) -> Self {
        spawn(command).end()
    }

    /// Asserts the exit code, and a part of what it said.
    pub fn expect(&self, code: i32, said: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.said.contains(said), "{said:?} is not in {self:?}");
    }
}

/// Runs to the end with these arguments.
pub fn run(arguments: &[&str]) -> Ended {
    Ended::of(&mut tidelake(arguments))
}

/// A running program.
pub struct Running {
    child: Child,
    printed: Option<std::thread::JoinHandle<String>>,
    /// Locked by none: a receiver alone could not be shared among threads.
    lines: Mutex<Receiver<String>>,
    said: String,
}

pub fn spawn(command: &mut Command) -> Running {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let (to, lines) = channel();
    let error = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in error.lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    Running {
        child,
        printed: Some(printed),
        lines: Mutex::new(lines),
        said: String::new(),
    }
}

impl Running {
    /// Waits until a line of its standard error has this in it, and returns the line.
    pub fn wait_for(&mut self, text: &str) -> String {
        let limit = Instant::now() + LIMIT;
        loop {
            let rest = limit.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.get_mut().unwrap().recv_timeout(rest) else {
                panic!("{text:?} was waited for; it said {}", self.said);
            };
            self.said += &line;
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until it serves, and returns host and port.
    pub fn address(&mut self) -> String {
        let line = self.wait_for("serving http://");
        let after = line.split("http://").nth(1).unwrap();
        after.split('/').next().unwrap().to_owned()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to a child of ours that was not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let limit = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < limit,
                "it does not end; it said {}",
                self.said
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        while let Ok(line) = self.lines.get_mut().unwrap().recv_timeout(LIMIT) {
            self.said += &line;
            self.said.push('\n');
        }
        Ended {
            code: status.code(),
            printed: self.printed.take().unwrap().join().unwrap(),
            said: std::mem::take(&mut self.said),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
