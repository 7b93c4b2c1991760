//! Headers that every answer leaves with. A handler that set one itself keeps it.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What the page may load: itself alone. The built page passes it (`design/web.md`).
pub(crate) const PAGE_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
    manifest-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; \
    trusted-types app";

/// Everything else shows nothing and loads nothing.
const CLOSED_CSP: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The vendored API browser sets styles from its script, and nothing else out of the ordinary.
pub(crate) const DOCS_CSP: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    object-src 'none'";

const ALWAYS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(self), payment=(), usb=()"),
];

/// Whether `path` belongs to programs: never the page, never cached.
pub(crate) fn is_api(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "api" | "ws" | "v1" | "metrics" | "health")
}

/// Adds what is missing.
pub(crate) fn complete(headers: &mut HeaderMap, path: &str, https: bool) {
    for (name, value) in ALWAYS {
        set(headers, HeaderName::from_static(name), value);
    }
    if https {
        set(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if is_api(path) {
        set(headers, header::CACHE_CONTROL, "no-store");
        set(headers, header::CONTENT_SECURITY_POLICY, CLOSED_CSP);
    } else {
        set(headers, header::CONTENT_SECURITY_POLICY, PAGE_CSP);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_set_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_CSP));
        complete(&mut headers, "/api/docs/", false);
        assert_eq!(headers.get(header::CONTENT_SECURITY_POLICY).unwrap(), DOCS_CSP);
        assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn the_page_is_not_the_api() {
        for path in ["/api", "/api/v1/x", "/ws/assistant", "/v1/models", "/metrics", "//api/x"] {
            assert!(is_api(path), "{path}");
        }
        for path in ["/", "/apiary", "/logs", "/assets/index.js", "/metricsx"] {
            assert!(!is_api(path), "{path}");
        }
    }
}
