//! The page: files of `ui/dist`, embedded in the binary. What is below `/docs` is the documentation's (`docs`).

use super::docs;
use super::problem::Problem;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Page;

/// The page loads only its own files, sends forms nowhere, and stands in no frame: what a person clicks there is what they see.
pub(super) const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const WITHOUT_PAGE: &str = "<!doctype html><title>Tidelake</title><p>Tidelake is running; this build has no page. \
    See <a href=\"api/v1/views\">the views</a> or <a href=\"health\">its health</a>. To build the page: npm ci &amp;&amp; npm run build in ui/.</p>";

/// A file of the page; the page itself for any other address a browser asks for. Its tabs are one level deep, and it loads its files from
/// beside itself: from further down it would stay empty.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let missing = || {
        Problem::not_found("unknown_path", format!("there is nothing at /{path}"))
            .hint("GET /api/v1/views lists the views")
            .into_response()
    };
    if method != Method::GET && method != Method::HEAD {
        return missing();
    }
    if let Some(documentation) = docs::serve(path) {
        return documentation;
    }
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.contains("text/html"));
    let name = if path.is_empty() { "index.html" } else { path };
    if let Some(file) = Page::get(name) {
        let kept = if name.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let kind = file.metadata.mimetype().to_owned();
        return (
            StatusCode::OK,
            [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, kept.to_owned()),
                (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
            ],
            file.data.into_owned(),
        )
            .into_response();
    }
    if path.contains('/') || !(wants_page || path.is_empty()) {
        return missing();
    }
    match Page::get("index.html") {
        Some(file) => (
            [
                (header::CACHE_CONTROL, "no-cache"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ],
            Html(file.data.into_owned()),
        )
            .into_response(),
        None => Html(WITHOUT_PAGE).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_what_a_browser_gets_one_level_deep() {
        let accepted = HeaderMap::from_iter([(
            header::ACCEPT,
            header::HeaderValue::from_static("text/html"),
        )]);
        for (path, expect) in [
            ("/", StatusCode::OK),
            ("/pipeline", StatusCode::OK),
            ("/pipeline/lake", StatusCode::NOT_FOUND),
            ("/logs/", StatusCode::NOT_FOUND),
            ("/api/v1/nothing", StatusCode::NOT_FOUND),
            ("/assets/nothing.js", StatusCode::NOT_FOUND),
        ] {
            let uri = path.parse().unwrap();
            let answer = serve(Method::GET, uri, accepted.clone()).await;
            assert_eq!(answer.status(), expect, "{path}");
        }
        let answer = serve(Method::GET, "/pipeline".parse().unwrap(), HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "no browser");
    }
}
