//! TLS by rustls: one certificate, read again when its files change, so that a renewed one needs no restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where certificate and key are, both PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server's certificate, then those between it and a root.
    pub certificates: PathBuf,
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read {path}: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("{path} has no {what} in PEM: {reason}")]
    NoPem {
        path: String,
        what: &'static str,
        reason: String,
    },
    #[error("certificate {certificates} and key {key} cannot be used: {source}")]
    Unusable {
        certificates: String,
        key: String,
        source: rustls::Error,
    },
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}

/// A certificate that is kept up to date.
pub struct Tls {
    files: Files,
    kept: Arc<Kept>,
    config: Arc<ServerConfig>,
    /// As the files were when they were last read.
    read: Mutex<Option<[SystemTime; 2]>>,
    problem: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Kept(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Kept {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&kept))
    }
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// If they cannot be read or do not fit each other.
    pub fn open(files: Files) -> Result<Arc<Self>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let read = times(&files);
        let key = read_key(&files, &provider)?;
        let kept = Arc::new(Kept(RwLock::new(Arc::new(key))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Provider)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&kept) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(Tls {
            files,
            kept,
            config: Arc::new(config),
            read: Mutex::new(read),
            problem: Mutex::new(None),
        }))
    }

    /// What makes a connection one of TLS.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Why the files as they are now are not in use, if they are not.
    pub fn problem(&self) -> Option<String> {
        let problem = self.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again if they have changed. What cannot be used leaves the certificate as it is.
    pub fn reload(&self) {
        let now = times(&self.files);
        {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if *read == now {
                return;
            }
            *read = now;
        }
        let key = read_key(&self.files, self.config.crypto_provider());
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match key {
            Ok(key) => {
                *problem = None;
                tracing::info!("the certificate was read again");
                let mut kept = self.kept.0.write().unwrap_or_else(PoisonError::into_inner);
                *kept = Arc::new(key);
            }
            // Certificate and key are two files: between the two they need not fit, and a look later they do.
            Err(error) => {
                let text = error.to_string();
                tracing::error!("{text}; the certificate of before stays");
                *problem = Some(text);
            }
        }
    }

    /// Keeps up with the files, for as long as it is polled.
    pub async fn follow(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            self.reload();
        }
    }
}

fn times(files: &Files) -> Option<[SystemTime; 2]> {
    let of = |it: &Path| std::fs::metadata(it).and_then(|it| it.modified()).ok();
    Some([of(&files.certificates)?, of(&files.key)?])
}

fn read_key(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let no_pem = |path: &Path, what: &'static str, reason: String| Error::NoPem {
        path: path.display().to_string(),
        what,
        reason,
    };
    let text = read(&files.certificates)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|it| no_pem(&files.certificates, "certificate", it.to_string()))?;
    if chain.is_empty() {
        let reason = "there is no BEGIN CERTIFICATE in it".to_owned();
        return Err(no_pem(&files.certificates, "certificate", reason));
    }
    let text = read(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|it| no_pem(&files.key, "private key", it.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|source| Error::Unusable {
        certificates: files.certificates.display().to_string(),
        key: files.key.display().to_string(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests;
