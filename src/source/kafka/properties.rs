//! A file with settings of the Kafka client, as its tools read them (`kcat -F`, `client.properties`): passwords stand neither in SQL nor
//! among the arguments of a process.
//!
//! ```text
//! # names are librdkafka's
//! security.protocol=SASL_SSL
//! sasl.mechanism=SCRAM-SHA-512
//! sasl.username=tidelake
//! sasl.password=…
//! ssl.ca.location=/etc/ssl/kafka-ca.pem
//! ```

use crate::model::secret;
use std::path::Path;

/// Settings that are told otherwise, and how.
const ELSEWHERE: [(&str, &str); 2] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
];
/// Settings of the Java client, and what says the same here.
const JAVA: [(&str, &str); 6] = [
    (
        "sasl.jaas.config",
        "sasl.username and sasl.password, or for OAUTHBEARER sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret",
    ),
    (
        "sasl.login.callback.handler.class",
        "sasl.oauthbearer.method=oidc",
    ),
    (
        "ssl.truststore.certificates",
        "ssl.ca.pem, or ssl.ca.location, a file of PEM",
    ),
    ("ssl.truststore.location", "ssl.ca.location, a file of PEM"),
    (
        "ssl.keystore.location",
        "ssl.certificate.location and ssl.key.location, files of PEM",
    ),
    ("ssl.keystore.password", "ssl.key.password"),
];

/// The settings in a file, in its order.
///
/// # Errors
/// If it cannot be read, or a line is no setting, one of the Java client, or one that is told otherwise.
pub fn read(path: &Path) -> Result<Vec<(String, String)>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|it| format!("client_config {} cannot be read: {it}", path.display()))?;
    let mut properties = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!', ';']) {
            continue;
        }
        let wrong = |what: String| {
            Err(format!(
                "client_config {}, line {}: {what}",
                path.display(),
                number + 1
            ))
        };
        let Some((key, value)) = line.split_once('=') else {
            // The line may be a part of a secret.
            return wrong("a setting is NAME=VALUE".to_owned());
        };
        let (key, value) = (key.trim(), value.trim());
        secret::conceal_if_secret(key, value);
        if let Some((_, option)) = ELSEWHERE.iter().find(|it| it.0 == key) {
            return wrong(format!("{key} is told by the option '{option}'"));
        }
        if let Some((_, instead)) = JAVA.iter().find(|it| it.0 == key) {
            return wrong(format!(
                "{key} is a setting of the Java client; the one used here takes {instead}"
            ));
        }
        properties.push((key.to_owned(), value.to_owned()));
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("client.properties");
        std::fs::write(&path, text).expect("written");
        read(&path).map_err(|it| it.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_file_of_settings_is_read_or_its_line_named() {
        let right = "# of Kafka\n\nsecurity.protocol = sasl_ssl\n; old\nsasl.password=a=b c=\n";
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = vec![
            pair("security.protocol", "sasl_ssl"),
            pair("sasl.password", "a=b c="),
        ];
        assert_eq!(of(right), Ok(expected));
        assert_eq!(secret::redact("it is a=b c="), "it is ***");
        for (text, told) in [
            (
                "\nquite wrong",
                "client_config FILE, line 2: a setting is NAME=VALUE",
            ),
            (
                "bootstrap.servers=h:1",
                "client_config FILE, line 1: bootstrap.servers is told by the option 'brokers'",
            ),
            (
                "ssl.truststore.location=/x",
                "client_config FILE, line 1: ssl.truststore.location is a setting of the Java client; the one used here takes ssl.ca.location, a file of PEM",
            ),
        ] {
            assert_eq!(of(text), Err(told.to_owned()));
        }
        let missing = read(Path::new("/nowhere/client.properties")).expect_err("there is none");
        assert!(
            missing.starts_with("client_config /nowhere/client.properties cannot be read"),
            "{missing}"
        );
    }
}
