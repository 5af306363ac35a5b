//! Coming together: every process finds every other one of its generation, or says for whom it waited.

use super::handshake::{self, Answer, Hello, Kind, PROTOCOL, hear};
use super::links::{Links, write_frame};
use super::{Error, Member};
use socket2::{SockRef, TcpKeepalive};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two attempts to reach a process that does not listen yet.
const RETRY: Duration = Duration::from_millis(100);
/// Connections that are heard at a time; there are two of each process.
const HEARD_AT_ONCE: usize = 1_024;
/// When a process first says for whom it waits, and how often it says so then.
const FIRST_WORD: Duration = Duration::from_secs(2);
const WORD_EVERY: Duration = Duration::from_secs(10);
/// What process 0 tells the others before they may begin.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// Rises with every start of the cluster.
    pub generation: u64,
    /// For the caller: what to go on from.
    pub content: Vec<u8>,
}

/// A process among all others.
pub struct Joined {
    pub welcome: Welcome,
    /// One connection to every other process, for the engine; none to itself.
    pub data: Vec<Option<std::net::TcpStream>>,
    pub links: Links,
}

/// Joins the cluster. `prepare` runs in process 0 only, before anyone is let in.
///
/// # Errors
/// If the own address cannot be listened on, a process is of another kind, or the deadline passes.
pub async fn join(
    member: &Member,
    prepare: impl Future<Output = Result<Welcome, String>>,
) -> Result<Joined, Error> {
    let address = member.hosts[member.process].clone();
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let processes = member.hosts.len();
    let mut sockets: Vec<(Option<TcpStream>, Option<TcpStream>)> =
        (0..processes).map(|_| (None, None)).collect();
    let welcome = if member.process == 0 {
        tokio::select! {
            prepared = prepare => prepared.map_err(Error::Prepare)?,
            never = ask_to_wait(member, &listener) => match never {},
        }
    } else {
        let deadline = Instant::now() + member.timings.join;
        let (socket, welcome) = dial(member, 0, Kind::Control, None, deadline).await?;
        sockets[0].0 = Some(socket);
        welcome
    };
    let deadline = Instant::now() + member.timings.join;
    let (dialled, accepted) = tokio::try_join!(
        dial_lower(member, &welcome, deadline),
        accept_higher(member, &listener, &welcome, deadline)
    )?;
    for (process, kind, socket) in dialled.into_iter().chain(accepted) {
        match kind {
            Kind::Control => sockets[process].0 = Some(socket),
            Kind::Data => sockets[process].1 = Some(socket),
        }
    }
    let lost = |process: usize, it: std::io::Error| Error::Lost {
        process,
        reason: it.to_string(),
    };
    let mut control = Vec::new();
    let mut data = Vec::new();
    for (process, (for_control, for_data)) in sockets.into_iter().enumerate() {
        let plain = |it: Option<TcpStream>| it.map(TcpStream::into_std).transpose();
        control.push(plain(for_control).map_err(|it| lost(process, it))?);
        data.push(plain(for_data).map_err(|it| lost(process, it))?);
    }
    let links = Links::start(member.process, control, member.timings)
        .map_err(|it| lost(member.process, it))?;
    Ok(Joined {
        welcome,
        data,
        links,
    })
}

/// Where other processes of the cluster knock. Each is heard apart, so that one who says nothing keeps nobody waiting.
struct Door<'a> {
    member: &'a Member,
    listener: &'a TcpListener,
    hearing: JoinSet<(TcpStream, SocketAddr, std::io::Result<Hello>)>,
}

impl<'a> Door<'a> {
    fn of(member: &'a Member, listener: &'a TcpListener) -> Self {
        Door {
            member,
            listener,
            hearing: JoinSet::new(),
        }
    }

    /// The next process that is known to be one. May be dropped at any time, and asked again.
    async fn next(&mut self) -> (TcpStream, SocketAddr, Hello) {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.hearing.len() < HEARD_AT_ONCE => {
                    let Ok((mut socket, from)) = accepted else {
                        tokio::time::sleep(RETRY).await;
                        continue;
                    };
                    let member = self.member.clone();
                    self.hearing.spawn(async move {
                        let hello = hear(&mut socket, &member).await;
                        (socket, from, hello)
                    });
                }
                Some(heard) = self.hearing.join_next() => match heard {
                    Ok((socket, from, Ok(hello))) => return (socket, from, hello),
                    Ok((_, from, Err(reason))) => {
                        tracing::warn!(%from, %reason, "a connection to the cluster was closed");
                    }
                    Err(error) => tracing::error!("a process could not be heard: {error}"),
                },
            }
        }
    }
}

/// Tells everyone who connects that there is something to wait for.
async fn ask_to_wait(member: &Member, listener: &TcpListener) -> std::convert::Infallible {
    let mut door = Door::of(member, listener);
    loop {
        let (mut socket, _, _) = door.next().await;
        let _ = write_frame(&mut socket, &Answer::Preparing).await;
    }
}

async fn dial_lower(
    member: &Member,
    welcome: &Welcome,
    deadline: Instant,
) -> Result<Vec<(usize, Kind, TcpStream)>, Error> {
    let mut sockets = Vec::new();
    for process in 0..member.process {
        for kind in [Kind::Control, Kind::Data] {
            if (process, kind) == (0, Kind::Control) {
                continue;
            }
            let generation = Some(welcome.generation);
            let (socket, _) = dial(member, process, kind, generation, deadline).await?;
            sockets.push((process, kind, socket));
        }
    }
    Ok(sockets)
}

async fn dial(
    member: &Member,
    process: usize,
    kind: Kind,
    generation: Option<u64>,
    mut deadline: Instant,
) -> Result<(TcpStream, Welcome), Error> {
    let address = &member.hosts[process];
    let mut last = String::new();
    let mut next_word = Instant::now() + FIRST_WORD;
    loop {
        if next_word <= Instant::now() {
            next_word += WORD_EVERY;
            tracing::info!("waiting for process {process} at {address}: {last}");
        }
        let attempt = tokio::time::timeout_at(deadline, greet(member, address, kind, generation));
        match attempt.await {
            Ok(Ok((
                socket,
                Answer::Welcome {
                    generation,
                    content,
                },
            ))) => {
                return Ok((
                    socket,
                    Welcome {
                        generation,
                        content,
                    },
                ));
            }
            Ok(Ok((_, Answer::Preparing))) => {
                deadline = Instant::now() + member.timings.join;
                "it prepares the beginning".clone_into(&mut last);
            }
            Ok(Ok((
                _,
                Answer::Refused {
                    reason,
                    again: false,
                },
            ))) => {
                return Err(Error::Refused {
                    process: member.process,
                    reason,
                });
            }
            Ok(Ok((
                _,
                Answer::Refused {
                    reason,
                    again: true,
                },
            ))) => last = reason,
            Ok(Ok((_, Answer::Challenge { .. }))) => {
                "it asks again for the secret".clone_into(&mut last);
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {
                return Err(Error::Deadline {
                    limit: member.timings.join,
                    waiting_for: format!("process {process} at {address}: {last}"),
                });
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn greet(
    member: &Member,
    address: &str,
    kind: Kind,
    generation: Option<u64>,
) -> std::io::Result<(TcpStream, Answer)> {
    let mut socket = TcpStream::connect(address).await?;
    tune(&socket, member, kind)?;
    let answer = handshake::greet(&mut socket, member, kind, generation).await?;
    Ok((socket, answer))
}

async fn accept_higher(
    member: &Member,
    listener: &TcpListener,
    welcome: &Welcome,
    deadline: Instant,
) -> Result<Vec<(usize, Kind, TcpStream)>, Error> {
    let mut missing: BTreeSet<(usize, Kind)> = (member.process + 1..member.hosts.len())
        .flat_map(|it| [(it, Kind::Control), (it, Kind::Data)])
        .collect();
    let mut sockets: Vec<(usize, Kind, TcpStream)> = Vec::new();
    let mut door = Door::of(member, listener);
    let mut next_word = Instant::now() + FIRST_WORD;
    while !missing.is_empty() {
        let until = deadline.min(next_word);
        let Ok(heard) = tokio::time::timeout_at(until, door.next()).await else {
            let who: BTreeSet<usize> = missing.iter().map(|it| it.0).collect();
            if until < deadline {
                next_word += WORD_EVERY;
                for process in who {
                    let address = &member.hosts[process];
                    tracing::info!("waiting for process {process} at {address} to connect");
                }
                continue;
            }
            let who: Vec<String> = who.iter().map(usize::to_string).collect();
            return Err(Error::Deadline {
                limit: member.timings.join,
                waiting_for: format!("process {} did not connect", who.join(", ")),
            });
        };
        let (mut socket, from, hello) = heard;
        let answer = judge(member, welcome, &hello);
        let fine = matches!(answer, Answer::Welcome { .. });
        if let Answer::Refused { reason, .. } = &answer {
            tracing::warn!(%from, process = hello.process, reason, "a process was not let in");
        }
        if write_frame(&mut socket, &answer).await.is_err() || !fine {
            continue;
        }
        if tune(&socket, member, hello.kind).is_err() {
            continue;
        }
        // A process that tried again replaces its earlier connection.
        sockets.retain(|it| (it.0, it.1) != (hello.process, hello.kind));
        missing.remove(&(hello.process, hello.kind));
        sockets.push((hello.process, hello.kind, socket));
    }
    Ok(sockets)
}

/// Whether a process may join, and if not, why.
fn judge(member: &Member, welcome: &Welcome, hello: &Hello) -> Answer {
    let never = |reason: String| Answer::never(reason);
    if hello.protocol != PROTOCOL {
        return never(format!(
            "it speaks version {} of the cluster's protocol, this is version {PROTOCOL}; run the same build everywhere",
            hello.protocol
        ));
    }
    let (processes, workers) = (member.hosts.len(), member.workers);
    if (hello.processes, hello.workers) != (processes, workers) {
        return never(format!(
            "it was started for {} processes of {} workers, the cluster has {processes} of {workers}",
            hello.processes, hello.workers
        ));
    }
    if hello.fingerprint != member.fingerprint {
        return never("its dataflow or its build is another one; give all processes the same folder and settings".to_owned());
    }
    if hello.process <= member.process || processes <= hello.process {
        return never(format!(
            "its number {} is not one that process {} waits for; are two processes started with one number?",
            hello.process, member.process
        ));
    }
    match hello.generation {
        Some(generation) if generation != welcome.generation => Answer::Refused {
            reason: format!(
                "it belongs to generation {generation}, this is generation {}",
                welcome.generation
            ),
            again: true,
        },
        None if member.process != 0 => Answer::Refused {
            reason: "only process 0 tells the generation".to_owned(),
            again: true,
        },
        asked => Answer::Welcome {
            generation: welcome.generation,
            content: if asked.is_none() {
                welcome.content.clone()
            } else {
                Vec::new()
            },
        },
    }
}

/// No delay for small messages; a host that vanished is noticed although it says nothing.
fn tune(socket: &TcpStream, member: &Member, kind: Kind) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    if kind == Kind::Control {
        socket.set_tcp_user_timeout(Some(member.timings.silence))?;
    }
    Ok(())
}
