//! Which starts are refused.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    access: AccessArguments,
}

fn arguments(flags: &[&str]) -> AccessArguments {
    let all = std::iter::once("run").chain(flags.iter().copied());
    Line::try_parse_from(all).unwrap().access
}

fn opened(flags: &[&str], address: &str) -> Result<Protection> {
    let address = address.parse().unwrap();
    arguments(flags).open(&Settings::default(), address)
}

#[test]
fn nobody_is_open_to_other_machines_by_mistake() {
    for address in ["0.0.0.0:4000", "[::]:4000", "192.168.1.5:4000"] {
        let error = opened(&[], address).err().expect("refused").to_string();
        assert!(
            error.contains("--auth-file") && error.contains("--insecure"),
            "{error}"
        );
        let open = opened(&["--insecure"], address).unwrap();
        let told = (open.companion.unwrap())();
        assert_eq!(told.status, Health::Degraded);
        assert_eq!(told.headline, "Insecure: no users");
    }
    for address in ["127.0.0.1:4000", "[::1]:4000", "127.8.0.1:1"] {
        assert!(opened(&[], address).unwrap().companion.is_none());
    }
}

#[test]
fn users_open_an_address_to_other_machines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    let token = crate::auth::Token::random().unwrap();
    let text = format!(
        "[[users]]\nname = \"anna\"\nrole = \"read\"\ntoken = \"{}\"\n",
        token.hash()
    );
    std::fs::write(&path, &text).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of many bytes, which are enough").unwrap();
    let (path, secret) = (path.display().to_string(), secret.display().to_string());
    let flags = ["--auth-file", &path, "--cluster-secret-file", &secret];
    let open = opened(&flags, "0.0.0.0:4000").unwrap();
    assert!(open.auth.is_some());
    let tell = open.companion.unwrap();
    assert_eq!(tell().status, Health::Ok);
    assert!(
        tell().detail.starts_with("1 user, HTTP, so that a proxy"),
        "{}",
        tell().detail
    );
    std::fs::write(&path, "").unwrap();
    open.auth.unwrap().reload();
    assert_eq!(tell().status, Health::Degraded);
    let error = opened(&flags, "127.0.0.1:4000").err().expect("refused");
    assert!(error.to_string().contains("are not understood"), "{error}");
}

#[test]
fn a_cluster_over_a_network_needs_a_secret() {
    let hosts = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let here = hosts(&["127.0.0.1:2101", "localhost:2102", "[::1]:2103"]);
    assert!(arguments(&[]).secret(&here).unwrap().is_none());
    let there = hosts(&["127.0.0.1:2101", "logs-1:2101"]);
    let error = arguments(&[]).secret(&there).unwrap_err().to_string();
    assert!(
        error.contains("logs-1:2101") && error.contains("--cluster-secret-file"),
        "{error}"
    );
    assert!(arguments(&["--insecure"]).secret(&there).unwrap().is_none());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (text, is_fine) in [
        ("short", false),
        ("long enough for a secret of a cluster\n", true),
    ] {
        std::fs::write(&path, text).unwrap();
        let flags = ["--cluster-secret-file", path.to_str().unwrap()];
        assert_eq!(arguments(&flags).secret(&there).is_ok(), is_fine);
    }
}

#[test]
fn a_certificate_needs_its_key() {
    let line = Line::try_parse_from(["run", "--tls-cert", "a.pem"]);
    assert!(line.is_err());
}
