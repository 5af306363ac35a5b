//! Who may ask: the check of every request before a handler sees it.
//!
//! A browser on the same machine is the way in: a hostile page can send requests to any loopback port, with the cookies that belong there, and a name
//! that its owner points at 127.0.0.1 makes the answers readable. Three headers that a page cannot forge close it:
//!
//! - `Host` must be an address, a loopback name or a name from the settings. An address cannot be rebound; a name can.
//! - `Sec-Fetch-Site`, or `Origin` from browsers without it, must be this very origin, unless the settings name the page's origin.
//!   This holds for reading as well: a query costs the same whether or not its answer can be read. The page itself may be linked to.
//! - Bodies are JSON and say so. A page can send other types anywhere without asking first.
//!
//! Programs send none of these headers but `Host`, and nothing more is asked of them here. Who they are is asked next (`identity`).

use super::problem::Problem;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use std::net::{Ipv4Addr, Ipv6Addr};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// Answers with nothing but `ok`, so that a probe may call it by any name.
const PROBE: &str = "/healthz";
/// What a document of the API may do in a browser: nothing.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// Under which names the server is known, and whose pages may ask.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Origins of other pages, such as `https://ops.example.com`; `*` is any.
    origins: Vec<String>,
    hosts: Vec<HostPattern>,
}

/// A name under which the server may be asked: `logs.example.com`, `*.example.com`, or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Any,
    /// With the dot in front.
    Below(String),
    Name(String),
}

impl std::str::FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let name = match text.strip_suffix('.') {
            Some(name) if !text.starts_with('*') => name.to_ascii_lowercase(),
            Some(_) | None => text.to_ascii_lowercase(),
        };
        let is_name = |it: &str| {
            !it.is_empty()
                && it
                    .chars()
                    .all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
        };
        match (name.as_str(), name.strip_prefix('*')) {
            ("*", _) => Ok(HostPattern::Any),
            (_, Some(below)) if below.starts_with('.') && is_name(&below[1..]) => {
                Ok(HostPattern::Below(below.to_owned()))
            }
            (_, None) if is_name(&name) => Ok(HostPattern::Name(name)),
            _ => Err(format!(
                "`{text}` is no host name; write logs.example.com or *.example.com, without scheme and port"
            )),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HostPattern::Any => write!(to, "*"),
            HostPattern::Below(suffix) => write!(to, "*{suffix}"),
            HostPattern::Name(name) => write!(to, "{name}"),
        }
    }
}

impl HostPattern {
    fn takes(&self, name: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Below(suffix) => name.ends_with(suffix.as_str()),
            HostPattern::Name(it) => it == name,
        }
    }
}

impl Access {
    pub fn new(origins: Vec<String>, hosts: Vec<HostPattern>) -> Self {
        Access { origins, hosts }
    }

    /// Whether a page of this origin may read answers by the settings.
    pub fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let is = |it: &String| it == "*" || it.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is)
    }

    /// Lets a request pass or says why not. `is_page` is a request for a file of the page.
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        is_page: bool,
    ) -> Result<(), Problem> {
        if uri.path() == PROBE {
            return Ok(());
        }
        self.check_host(uri, headers)?;
        self.check_origin(method, headers, is_page)?;
        match *method {
            Method::POST | Method::PUT | Method::PATCH => check_content_type(headers),
            _ => Ok(()),
        }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let in_uri = uri.authority().map(|it| it.as_str().as_bytes());
        let in_headers = headers.get_all(header::HOST).iter();
        for host in in_uri
            .into_iter()
            .chain(in_headers.map(HeaderValue::as_bytes))
        {
            let name = std::str::from_utf8(host).ok().and_then(name_of);
            if !name.as_deref().is_some_and(|it| self.knows(it)) {
                let host = String::from_utf8_lossy(host);
                return Err(Problem::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    "unknown_host",
                    format!("this server does not accept requests for the host `{host}`"),
                )
                .hint("start it with --allowed-host NAME to allow it, or use the IP address"));
            }
        }
        Ok(())
    }

    /// Loopback names, addresses, and the names of the settings.
    fn knows(&self, name: &str) -> bool {
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<Ipv4Addr>().is_ok()
            || name.parse::<Ipv6Addr>().is_ok()
            || self.hosts.iter().any(|it| it.takes(name))
    }

    fn check_origin(
        &self,
        method: &Method,
        headers: &HeaderMap,
        is_page: bool,
    ) -> Result<(), Problem> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let clicked = text(headers, &USER) == Some("?1")
            && text(headers, &MODE) == Some("navigate")
            && text(headers, &DEST) == Some("document");
        if is_read && (is_page || clicked) {
            return Ok(());
        }
        match self.foreign(headers) {
            None => Ok(()),
            Some(who) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "foreign_page",
                format!("{who} may not use this server"),
            )
            .hint("start it with --cors ORIGIN if that page may, such as --cors https://ops.example.com")),
        }
    }

    /// The page that sent a request, in words, unless it is our own or one that may.
    fn foreign(&self, headers: &HeaderMap) -> Option<String> {
        if self.origins.iter().any(|it| it == "*") {
            return None;
        }
        let origin = headers.get(header::ORIGIN);
        if origin.is_some_and(|it| self.allows_origin(it)) {
            return None;
        }
        let told = origin.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let who = || match &told {
            Some(origin) => format!("a page of the origin `{origin}`"),
            None => "a page of another origin".to_owned(),
        };
        match (text(headers, &SITE), &told) {
            (Some("same-origin" | "none"), _) | (None, None) => None,
            (Some(_), _) => Some(who()),
            (None, Some(origin)) if self.is_own(origin, headers) => None,
            (None, Some(_)) => Some(who()),
        }
    }

    /// Whether an origin is the one under which we were asked, or under which a proxy in front of us is by the settings.
    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        let Some((_, authority)) = origin.split_once("://") else {
            return false;
        };
        let asked = text(headers, &header::HOST);
        let named = |it: &HostPattern| {
            *it != HostPattern::Any && name_of(authority).is_some_and(|name| it.takes(&name))
        };
        asked.is_some_and(|it| it.eq_ignore_ascii_case(authority)) || self.hosts.iter().any(named)
    }
}

/// The name in `name:port`, in lower case and without the root's dot.
fn name_of(authority: &str) -> Option<String> {
    let is_port = |it: &str| it.chars().all(|it| it.is_ascii_digit());
    let name = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)?
        }
        None => match authority.split_once(':') {
            Some((name, port)) => is_port(port).then_some(name)?,
            None => authority,
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A browser sends JSON to another origin only after it was allowed to. What `curl -d` says passes where no browser can have sent it.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let told = headers
        .get(header::CONTENT_TYPE)
        .map(|it| String::from_utf8_lossy(it.as_bytes()).to_ascii_lowercase());
    let essence = told
        .as_deref()
        .map(|it| it.split(';').next().unwrap_or_default().trim());
    let from_browser = headers.contains_key(header::ORIGIN) || headers.contains_key(SITE);
    let passes = match essence {
        Some("application/json") => true,
        None | Some("application/x-www-form-urlencoded") => !from_browser,
        Some(other) => other.starts_with("application/") && other.ends_with("+json"),
    };
    if passes {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_content_type",
        format!(
            "the request body must be JSON; its content-type is `{}`",
            essence.unwrap_or("nothing")
        ),
    )
    .hint("send the header content-type: application/json"))
}

/// What browsers are told about every answer. `shared` is one that a page of another origin may read.
pub fn secure(headers: &mut HeaderMap, shared: bool) {
    let mut put = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::X_FRAME_OPTIONS, "DENY");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::CONTENT_SECURITY_POLICY, NO_PAGE);
    if !shared {
        let name = HeaderName::from_static("cross-origin-resource-policy");
        put(name, "same-origin");
    }
}

#[cfg(test)]
mod tests;
