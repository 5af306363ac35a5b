//! What each request needs: the matrix of routes and roles. A request that stands in no line is refused, so a new route that
//! nobody thought of is closed, and a test says so.

use crate::auth::Role;
use axum::http::Method;

/// Who may send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Anyone who reaches the server: probes, and the files of the page, which hold no data.
    Anyone,
    /// A user with this role, or one that may more.
    Role(Role),
}

const ANYONE: Need = Need::Anyone;
const METRICS: Need = Need::Role(Role::Metrics);
const READ: Need = Need::Role(Role::Read);
const ADMIN: Need = Need::Role(Role::Admin);

/// Method, route as the router names it, and who may. HEAD needs what GET does.
const MATRIX: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", ANYONE),
    ("GET", "/readyz", ANYONE),
    ("GET", "/api/v1/session", ANYONE),
    ("POST", "/api/v1/session", ANYONE),
    ("DELETE", "/api/v1/session", ANYONE),
    ("GET", "/metrics", METRICS),
    ("GET", "/health", METRICS),
    ("GET", "/api/v1/version", METRICS),
    ("GET", "/api/v1/status", METRICS),
    ("GET", "/api/v1/openapi.json", READ),
    ("GET", "/api/v1/views", READ),
    ("GET", "/api/v1/views/{view}", READ),
    ("GET", "/api/v1/views/{view}/plan", READ),
    ("GET", "/api/v1/views/{view}/changes", READ),
    ("GET", "/api/v1/stream", READ),
    ("GET", "/api/v1/incidents", READ),
    ("GET", "/api/v1/incidents/{incident}/explanation", READ),
    ("POST", "/api/v1/incidents/{incident}/actions", ADMIN),
    ("POST", "/api/v1/sources/{source}/records", ADMIN),
    ("POST", "/api/v1/sources/{source}/dead-letters/retry", ADMIN),
    ("GET", "/api/v1/dead-letters", READ),
    ("GET", "/api/v1/dead-letters/records", READ),
    ("DELETE", "/api/v1/dead-letters/requests/{request}", ADMIN),
    // A query changes nothing, and its id, by which it is cancelled, is known to who asked alone.
    ("POST", "/api/v1/sql", READ),
    ("DELETE", "/api/v1/queries/{id}", READ),
    ("GET", "/api/v1/tables", READ),
    ("GET", "/api/v1/saved-queries", READ),
    ("PUT", "/api/v1/saved-queries/{name}", ADMIN),
    ("DELETE", "/api/v1/saved-queries/{name}", ADMIN),
    ("GET", "/api/v1/filters", READ),
    ("PUT", "/api/v1/filters/{name}", ADMIN),
    ("DELETE", "/api/v1/filters/{name}", ADMIN),
    ("GET", "/api/v1/boards", READ),
    ("PUT", "/api/v1/boards/{board}", ADMIN),
    ("DELETE", "/api/v1/boards/{board}", ADMIN),
    ("GET", "/api/v1/page", READ),
    ("GET", "/api/v1/history", READ),
    ("GET", "/api/v1/reports", READ),
    ("GET", "/api/v1/reports/{name}", READ),
    ("GET", "/api/v1/logs", READ),
    ("GET", "/api/v1/logs/summary", READ),
    ("GET", "/api/v1/logs/newest", READ),
    ("GET", "/api/v1/logs/columns", READ),
    ("GET", "/api/v1/logs/patterns", READ),
    ("GET", "/api/v1/logs/extent", READ),
    ("GET", "/api/v1/records/{partition}/{offset}", READ),
    ("GET", "/api/v1/values/{column}", READ),
    ("GET", "/api/v1/receipts/{view}", READ),
    ("GET", "/api/v1/pipeline", READ),
    ("GET", "/api/v1/verification", READ),
    // A proof reads source and lake once more.
    ("POST", "/api/v1/verification", ADMIN),
    ("DELETE", "/api/v1/verification", ADMIN),
    ("POST", "/api/v1/restart", ADMIN),
    ("GET", "/api/v1/lake", READ),
    ("GET", "/api/v1/lake/tables/{table}", READ),
    ("POST", "/api/v1/lake/optimize", ADMIN),
    ("POST", "/api/v1/lake/vacuum", ADMIN),
    ("POST", "/api/v1/models/{model}/train", ADMIN),
    ("GET", "/api/v1/jobs", READ),
    ("GET", "/api/v1/jobs/{job}", READ),
    ("DELETE", "/api/v1/jobs/{job}", ADMIN),
    ("GET", "/api/metrics", READ),
    ("GET", "/api/logs", READ),
    ("GET", "/api/anomalies", READ),
    ("POST", "/api/query", READ),
    ("GET", "/events", READ),
];

/// What a request needs; nothing if no line has it. Without a route it asks for a file of the page.
pub fn need(method: &Method, route: Option<&str>) -> Option<Need> {
    let Some(route) = route else {
        return Some(ANYONE);
    };
    let method = match *method {
        Method::HEAD => "GET",
        _ => method.as_str(),
    };
    let mut lines = MATRIX.iter();
    let line = lines.find(|it| it.0 == method && it.1 == route);
    line.map(|it| it.2)
}

/// Method, route and the role's name or `anyone`, for documents.
pub fn described() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    MATRIX.iter().map(|(method, route, need)| {
        let who = match need {
            Need::Anyone => "anyone",
            Need::Role(role) => role.as_str(),
        };
        (*method, *route, who)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi_document;

    /// A route is added together with who may use it.
    #[test]
    fn every_route_has_a_role() {
        let document = openapi_document();
        let paths = document["paths"].as_object().expect("paths");
        let mut looked_at = 0;
        for (path, operations) in paths {
            for method in operations.as_object().expect("operations").keys() {
                let method: Method = method.to_ascii_uppercase().parse().expect("a method");
                assert!(
                    need(&method, Some(path)).is_some(),
                    "{method} {path} has no role"
                );
                looked_at += 1;
            }
        }
        assert!(30 < looked_at);
        // Also those that the document leaves out.
        let declared = include_str!("mod.rs").split(".route(").skip(1);
        for path in declared.filter_map(|it| it.split('"').nth(1)) {
            assert!(MATRIX.iter().any(|it| it.1 == path), "{path} has no role");
        }
    }

    #[test]
    fn every_line_is_a_route_and_stands_there_once() {
        let router = include_str!("mod.rs");
        for (at, (method, path, _)) in MATRIX.iter().enumerate() {
            assert!(
                router.contains(&format!("\"{path}\"")),
                "{path} is no route"
            );
            let again = MATRIX[..at]
                .iter()
                .any(|it| (it.0, it.1) == (*method, *path));
            assert!(!again, "{method} {path} stands there twice");
        }
    }

    #[test]
    fn what_stands_in_no_line_is_closed() {
        assert_eq!(need(&Method::PATCH, Some("/api/v1/views")), None);
        assert_eq!(need(&Method::GET, Some("/api/v1/unthought")), None);
        assert_eq!(need(&Method::HEAD, Some("/metrics")), Some(METRICS));
        assert_eq!(need(&Method::GET, None), Some(ANYONE));
    }

    /// What changes something is for administrators, but for a session of one's own and what only asks.
    #[test]
    fn only_administrators_change_anything() {
        let asks = [
            "/api/v1/session",
            "/api/v1/sql",
            "/api/v1/queries/{id}",
            "/api/query",
        ];
        for (method, route, need) in MATRIX {
            if *method != "GET" && !asks.contains(route) {
                assert_eq!(*need, ADMIN, "{method} {route}");
            }
        }
    }
}
