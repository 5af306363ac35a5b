//! Certificates that are used, renewed, and wrong.

use super::*;
use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

struct Folder {
    folder: tempfile::TempDir,
    files: Files,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Files {
            certificates: folder.path().join("server.pem"),
            key: folder.path().join("server.key"),
        };
        Folder { folder, files }
    }

    /// A new pair of certificate and key; returns the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let Made { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&self.files.certificates, cert.pem()).unwrap();
        std::fs::write(&self.files.key, signing_key.serialize_pem()).unwrap();
        // A clock of seconds would not see it.
        let later =
            SystemTime::now() + Duration::from_secs(self.folder.path().as_os_str().len() as u64);
        for path in [&self.files.certificates, &self.files.key] {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(later + Duration::from_nanos(u64::from(cert.der()[20])))
                .unwrap();
        }
        cert.der().clone()
    }
}

/// Whether a client that trusts this certificate alone gets an answer.
async fn is_trusted(tls: &Tls, certificate: &CertificateDer<'static>) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.acceptor();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    let answer = match connected {
        Ok(mut stream) => {
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            Some(text)
        }
        Err(_) => None,
    };
    serving.await.unwrap();
    answer.as_deref() == Some("hello")
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let folder = Folder::new();
    let first = folder.renew();
    let tls = Tls::open(folder.files.clone()).unwrap();
    assert!(is_trusted(&tls, &first).await);
    let second = folder.renew();
    assert!(is_trusted(&tls, &first).await, "nobody looked yet");
    tls.reload();
    assert!(is_trusted(&tls, &second).await);
    assert!(!is_trusted(&tls, &first).await);
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_changes_nothing() {
    let folder = Folder::new();
    let first = folder.renew();
    let tls = Tls::open(folder.files.clone()).unwrap();
    // Another key: the pair does not fit.
    let other = Folder::new();
    other.renew();
    std::fs::copy(&other.files.key, &folder.files.key).unwrap();
    tls.reload();
    assert!(tls.problem().unwrap().contains("server.key"));
    assert!(is_trusted(&tls, &first).await);
    let second = folder.renew();
    tls.reload();
    assert_eq!(tls.problem(), None);
    assert!(is_trusted(&tls, &second).await);
}

#[test]
fn what_is_no_certificate_is_told_by_its_name() {
    let folder = Folder::new();
    let why = |it: Result<Arc<Tls>, Error>| it.err().expect("an error").to_string();
    let open = || Tls::open(folder.files.clone());
    assert!(why(open()).contains("could not read"));
    folder.renew();
    let key = std::fs::read_to_string(&folder.files.key).unwrap();
    std::fs::write(&folder.files.certificates, &key).unwrap();
    let error = why(open());
    assert!(error.contains("server.pem has no certificate"), "{error}");
    folder.renew();
    std::fs::write(&folder.files.key, "-----BEGIN NOTHING-----").unwrap();
    let error = why(open());
    assert!(error.contains("server.key has no private key"), "{error}");
}
