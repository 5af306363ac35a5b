//! Who may reach a server and how it is protected: users, TLS, the secret of a cluster, and the refusal to be open by mistake.

use super::exit;
use super::serve::Companion;
use super::settings::Settings;
use crate::auth::{Auth, Secret, SessionKey, Source};
use crate::http::{Component, Health, Tls, TlsFiles};
use anyhow::{Context, Result};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The part of the health that tells of access.
const COMPONENT: &str = "access";

#[derive(Args)]
pub struct AccessArguments {
    /// File with users: only these are answered, and `tidelake token new` makes their lines. Read again when it changes.
    #[arg(long, env = "TIDELAKE_AUTH_FILE", value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Certificate and those between it and a root, in PEM: the server then speaks HTTPS. Read again when it changes.
    #[arg(
        long,
        env = "TIDELAKE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    #[arg(
        long,
        env = "TIDELAKE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// File with the secret by which the processes of a cluster know each other, at least 32 bytes: `openssl rand -hex 32`.
    #[arg(long, env = "TIDELAKE_CLUSTER_SECRET_FILE", value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// Serve an address that other machines reach without asking for users: anyone can read, write and query.
    #[arg(long, env = "TIDELAKE_INSECURE")]
    insecure: bool,
}

/// What protects a server.
pub struct Protection {
    pub auth: Option<Arc<Auth>>,
    pub tls: Option<Arc<Tls>>,
    /// Tells of it in the health; nothing where a server of this machine alone has no users.
    pub companion: Option<Companion>,
}

impl AccessArguments {
    /// Opens what the arguments name, for a server at this address.
    ///
    /// # Errors
    /// If a file is not as it should be, or the server would be open to other machines without users.
    pub fn open(&self, settings: &Settings, address: SocketAddr) -> Result<Protection> {
        let wrong = |text: String| exit::coded(exit::CONFIGURATION, text);
        let source = match (&self.auth_file, settings.users()) {
            (Some(file), None) => Some(Source::File(file.clone())),
            (None, Some(file)) => Some(Source::Settings(file)),
            (None, None) => None,
            (Some(file), Some(settings)) => {
                return Err(wrong(format!(
                    "users are named in {} and in [auth] of {}; keep one of them",
                    file.display(),
                    settings.display()
                )));
            }
        };
        self.refuse_exposure(source.is_some(), address)?;
        let auth = match source {
            Some(source) => {
                let key = self.session_key()?;
                let auth = Auth::open(source, key);
                Some(auth.map_err(|it| wrong(it.to_string()))?)
            }
            None => None,
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => {
                let files = TlsFiles {
                    certificates: certificates.clone(),
                    key: key.clone(),
                };
                Some(Tls::open(files).map_err(|it| wrong(it.to_string()))?)
            }
            _ => None,
        };
        if auth.is_some() && tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(%address, "tokens come over the network unencrypted unless a proxy in front speaks HTTPS: give --tls-cert and --tls-key");
        }
        let companion = companion(address, auth.clone(), tls.clone());
        Ok(Protection {
            auth,
            tls,
            companion,
        })
    }

    fn refuse_exposure(&self, has_users: bool, address: SocketAddr) -> Result<()> {
        if has_users || address.ip().is_loopback() {
            return Ok(());
        }
        if !self.insecure {
            return Err(exit::coded(
                exit::CONFIGURATION,
                format!(
                    "{address} can be reached from other machines, and without users anyone there could read, write and query: name users with --auth-file (`tidelake token new` makes one), listen on 127.0.0.1, or say --insecure"
                ),
            ));
        }
        tracing::warn!(%address, "INSECURE: anyone who reaches this address can read, write and query, since --insecure was given and there are no users");
        Ok(())
    }

    /// The secret of the cluster at these hosts.
    ///
    /// # Errors
    /// If it cannot be read, or there is none and a process is on another machine.
    pub fn secret(&self, hosts: &[String]) -> Result<Option<Secret>> {
        let wrong = |text: String| exit::coded(exit::CONFIGURATION, text);
        if let Some(path) = &self.cluster_secret_file {
            let secret = Secret::read(path).map_err(|it| wrong(it.to_string()))?;
            return Ok(Some(secret));
        }
        let elsewhere = hosts.iter().find(|it| !is_of_this_machine(it));
        match elsewhere {
            Some(host) if !self.insecure => Err(wrong(format!(
                "{host} is reached over a network, where anything could say that it is a process of this cluster: give all processes --cluster-secret-file with the same secret, or say --insecure"
            ))),
            Some(host) => {
                tracing::warn!(%host, "INSECURE: any machine that reaches the addresses of this cluster can join it as one of its processes, since --insecure was given and there is no secret");
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Signs the page's cookies: the same key in all processes of a cluster and in all starts, if there is a place to keep one.
    fn session_key(&self) -> Result<SessionKey> {
        if let Some(path) = &self.cluster_secret_file {
            let secret = Secret::read(path)?;
            return Ok(SessionKey::derived(secret.bytes()));
        }
        let given = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let state = match given("XDG_STATE_HOME") {
            Some(it) => Some(PathBuf::from(it)),
            None => given("HOME").map(|it| PathBuf::from(it).join(".local/state")),
        };
        let kept = state.map(|it| it.join("tidelake/session.key"));
        let error = match &kept {
            Some(path) => match SessionKey::kept(path) {
                Ok(key) => return Ok(key),
                Err(error) => format!("{}: {error}", path.display()),
            },
            None => "there is no home folder".to_owned(),
        };
        tracing::warn!(
            error,
            "people have to sign in again after the next start: the key of their sessions cannot be kept"
        );
        SessionKey::random().context("the system has no randomness to give")
    }

    /// The same arguments for another process, which must find them as if they had been typed.
    pub fn arguments(&self) -> Vec<String> {
        let files = [
            ("--auth-file", &self.auth_file),
            ("--tls-cert", &self.tls_cert),
            ("--tls-key", &self.tls_key),
        ];
        let files = files.into_iter().filter_map(|(flag, file)| {
            let file = file.as_ref()?;
            Some([flag.to_owned(), file.display().to_string()])
        });
        let insecure = self.insecure.then(|| "--insecure".to_owned());
        files.flatten().chain(insecure).collect()
    }

    /// The file with the cluster's secret, if one was named.
    pub fn secret_file(&self) -> Option<&PathBuf> {
        self.cluster_secret_file.as_ref()
    }

    /// How a server with these arguments is addressed.
    pub fn scheme(&self) -> &'static str {
        match self.tls_cert {
            Some(_) => "https",
            None => "http",
        }
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |it| it.0);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

fn companion(
    address: SocketAddr,
    auth: Option<Arc<Auth>>,
    tls: Option<Arc<Tls>>,
) -> Option<Companion> {
    let is_open = !address.ip().is_loopback();
    if auth.is_none() && tls.is_none() && !is_open {
        return None;
    }
    Some(Arc::new(move || {
        let problems = [
            auth.as_ref().and_then(|it| it.problem()),
            tls.as_ref().and_then(|it| it.problem()),
        ];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        if auth.is_none() && is_open {
            let detail = format!(
                "anyone who reaches {address} can read, write and query, as --insecure has it"
            );
            return Component {
                headline: "Insecure: no users".to_owned(),
                ..Component::new(COMPONENT, Health::Degraded, detail)
            };
        }
        if !problems.is_empty() {
            let detail = format!(
                "{}; what was read before stays in force",
                problems.join("; ")
            );
            return Component {
                headline: "Degraded: a file with users or keys is wrong".to_owned(),
                ..Component::new(COMPONENT, Health::Degraded, detail)
            };
        }
        let users = match auth.as_ref().map(|it| it.count()) {
            Some(1) => "1 user".to_owned(),
            Some(count) => format!("{count} users"),
            None => "no users".to_owned(),
        };
        let transport = match (tls.is_some(), is_open) {
            (true, _) => "HTTPS",
            (false, true) => "HTTP, so that a proxy in front has to speak HTTPS",
            (false, false) => "HTTP on this machine",
        };
        Component::new(COMPONENT, Health::Ok, format!("{users}, {transport}"))
    }))
}

#[cfg(test)]
mod tests;
