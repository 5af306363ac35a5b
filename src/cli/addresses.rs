//! Addresses as people write them: `4000`, `:4000`, `localhost:4000`, `http://logs:4000/`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

/// An address to listen on. A bare port is one of loopback.
///
/// # Errors
/// With examples, if it is none or its name is not known.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let examples = "write a port (4000) or host:port (localhost:4000, 0.0.0.0:4000, [::1]:4000)";
    let is_port = |it: (&str, &str)| it.1.parse::<u16>().is_ok();
    if !text.rsplit_once(':').is_some_and(is_port) {
        return Err(examples.to_owned());
    }
    let found = text
        .to_socket_addrs()
        .map_err(|it| format!("the name is not known ({it}); {examples}"))?;
    let found: Vec<SocketAddr> = found.collect();
    // A name that means both is listened on at the address that more clients try.
    let first = found.iter().find(|it| it.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| examples.to_owned())
}

/// The address of a server to ask, without a slash at its end. Without a scheme it is http.
///
/// # Errors
/// With an example, if it is none.
pub fn server(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let rest = rest.trim_end_matches('/');
    let rest = match rest.strip_prefix(':').unwrap_or(rest).parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => rest.to_owned(),
    };
    let example = "write http://127.0.0.1:4000 or host:port";
    if !["http", "https"].contains(&scheme) {
        return Err(format!(
            "{scheme} is not possible, only http and https; {example}"
        ));
    }
    let address = format!("{scheme}://{rest}");
    match url::Url::parse(&address) {
        Ok(it) if it.has_host() => Ok(address),
        Ok(_) | Err(_) => Err(example.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_or_a_name_is_an_address_to_listen_on() {
        for (text, expect) in [
            ("4000", "127.0.0.1:4000"),
            (":4000", "127.0.0.1:4000"),
            ("localhost:4000", "127.0.0.1:4000"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:4000", "[::1]:4000"),
        ] {
            assert_eq!(listen(text).map(|it| it.to_string()), Ok(expect.to_owned()));
        }
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "localhost:99999",
            "http://localhost:4000",
            "4000 ",
        ] {
            match listen(text) {
                Ok(address) => assert_eq!((text, address.port()), ("4000 ", 4000)),
                Err(error) => assert!(error.contains("localhost:4000"), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn a_server_needs_no_scheme() {
        for (text, expect) in [
            ("127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://logs:4000/", "http://logs:4000"),
            ("logs", "http://logs"),
            (":4000", "http://127.0.0.1:4000"),
            ("4000", "http://127.0.0.1:4000"),
        ] {
            assert_eq!(server(text), Ok(expect.to_owned()));
        }
        for text in ["", "ftp://logs", "http://", "a b"] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
