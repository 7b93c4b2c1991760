//! The page: the built React app, embedded in the binary.
//!
//! Everything that is not the API comes here, as the app's default service. Assets have a hash in
//! their name and never change; `index.html` and the rest are asked for anew each time. A path
//! that looks like a file and is none is a 404, never `index.html`: a browser that gets HTML for a
//! script breaks in ways that nobody can read. A path that is none of the page's [`SCREENS`] is a
//! 404 as well, with the page in it, which tells people so.

use std::{
    borrow::Cow,
    path::{Component, Path, PathBuf},
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method,
        header::{
            self, AcceptEncoding, ContentEncoding, EntityTag, Header, HeaderValue, IfNoneMatch,
        },
    },
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use callboard_protocol::ErrorCode;
use rust_embed::RustEmbed;

use crate::{ApiError, Edge, headers};

const INDEX: &str = "index.html";
/// How long the rest than the files with a hash may be kept: not without asking.
const ASK_ANEW: &str = "no-cache";
/// The folder whose files have a hash in their names.
const HASHED: &str = "assets/";
/// The page's own screens, as `web/src/router.tsx` has them; `*` stands for one part of a path.
const SCREENS: [&str; 6] = ["", "setup", "link", "sign-in", "c/*", "logs"];
const NOT_BUILT: &str = "The page was not built into this server.\n\
    Run `make web` and build again; the API works without it.\n";

#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Embedded;

/// The files of the page.
pub(crate) struct WebFiles {
    folder: Option<PathBuf>,
}

/// A file, and how its bytes are packed.
struct File {
    bytes: Cow<'static, [u8]>,
    packed: Option<ContentEncoding>,
}

impl WebFiles {
    /// The embedded files, or those of `folder` while somebody works on the page.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    async fn read(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        let Some(folder) = &self.folder else {
            return Some(Embedded::get(name)?.data);
        };
        let only_down = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if !only_down {
            return None;
        }
        tokio::fs::read(folder.join(name)).await.ok().map(Cow::Owned)
    }

    /// The file, packed in a way that the browser reads, if it was built so.
    async fn find(&self, name: &str, accepts: &AcceptEncoding) -> Option<File> {
        for (suffix, packed) in [(".br", ContentEncoding::Brotli), (".gz", ContentEncoding::Gzip)] {
            if accepts_encoding(accepts, packed)
                && let Some(bytes) = self.read(&format!("{name}{suffix}")).await
            {
                return Some(File { bytes, packed: Some(packed) });
            }
        }
        Some(File { bytes: self.read(name).await?, packed: None })
    }
}

fn accepts_encoding(accepts: &AcceptEncoding, encoding: ContentEncoding) -> bool {
    accepts.iter().any(|item| {
        item.quality > header::Quality::ZERO
            && item.item == header::Preference::Specific(header::Encoding::Known(encoding))
    })
}

/// Answers everything that no route does.
pub(crate) async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let edge = Edge::of(&request)?;
    let path = request.path();
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if headers::is_api(path) || !reads {
        return Err(ErrorCode::NotFound.into());
    }
    let accepts = AcceptEncoding::parse(&request).unwrap_or(AcceptEncoding(Vec::new()));
    let name = path.trim_start_matches('/');
    if !name.is_empty()
        && let Some(file) = edge.web().find(name, &accepts).await
    {
        return Ok(answer(&request, name, file));
    }
    if !is_navigation(name) {
        return Err(ErrorCode::NotFound.into());
    }
    match edge.web().find(INDEX, &accepts).await {
        Some(file) if is_screen(name) => Ok(answer(&request, INDEX, file)),
        Some(file) => Ok(missing(file)),
        None => Ok(HttpResponse::ServiceUnavailable().content_type("text/plain").body(NOT_BUILT)),
    }
}

/// Whether a path is one of the page's own screens.
fn is_screen(name: &str) -> bool {
    let parts: Vec<&str> = name.trim_end_matches('/').split('/').collect();
    SCREENS.iter().any(|screen| {
        let pattern: Vec<&str> = screen.split('/').collect();
        let fits =
            |(part, wanted): (&&str, &&str)| part == wanted || (*wanted == "*" && !part.is_empty());
        pattern.len() == parts.len() && parts.iter().zip(&pattern).all(fits)
    })
}

/// Whether a path is one that a person may have typed: it names no file.
fn is_navigation(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    !last.contains('.')
        && !name.starts_with(HASHED)
        && !name.split('/').any(|part| part.starts_with('.'))
}

/// The page, which says that there is nothing at this path. It is no answer to keep or to compare.
fn missing(file: File) -> HttpResponse {
    let mut response = HttpResponse::NotFound();
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static(ASK_ANEW)));
    response.insert_header((header::VARY, "accept-encoding"));
    send(response, INDEX, file)
}

fn answer(request: &HttpRequest, name: &str, file: File) -> HttpResponse {
    let tag = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &file.bytes));
    let tag = EntityTag::new_strong(tag);
    let mut response = HttpResponse::Ok();
    let lasts =
        if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { ASK_ANEW };
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static(lasts)));
    response.insert_header((header::VARY, "accept-encoding"));
    response.insert_header(header::ETag(tag.clone()));
    if is_unchanged(request, &tag) {
        return response.status(actix_web::http::StatusCode::NOT_MODIFIED).finish();
    }
    send(response, name, file)
}

fn send(mut response: HttpResponseBuilder, name: &str, file: File) -> HttpResponse {
    if let Some(packed) = file.packed {
        response.insert_header((header::CONTENT_ENCODING, packed.as_str()));
    }
    response.content_type(content_type(name));
    response.body(match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    })
}

fn is_unchanged(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

fn content_type(name: &str) -> String {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    if mime.type_() == mime_guess::mime::TEXT {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_string()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// A built page in a folder of its own.
    fn built() -> (tempfile::TempDir, WebFiles) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        let files = [
            ("index.html", "<!doctype html>"),
            ("assets/index-abc.js", "plain"),
            ("assets/index-abc.js.br", "brotli"),
            ("assets/index-abc.js.gz", "gzip"),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let files = WebFiles::new(Some(folder.path().to_owned()));
        (folder, files)
    }

    fn accepting(value: &str) -> AcceptEncoding {
        let request = TestRequest::get().insert_header(("accept-encoding", value));
        AcceptEncoding::parse(&request.to_http_request()).unwrap()
    }

    #[tokio::test]
    async fn the_best_packing_that_the_browser_reads_is_sent() {
        let (_folder, files) = built();
        for (accepts, expected) in [
            ("gzip, deflate, br", "brotli"),
            ("gzip", "gzip"),
            ("br;q=0, gzip", "gzip"),
            ("identity", "plain"),
        ] {
            let file = files.find("assets/index-abc.js", &accepting(accepts)).await.unwrap();
            assert_eq!(&*file.bytes, expected.as_bytes(), "{accepts}");
        }
    }

    #[tokio::test]
    async fn nothing_outside_of_the_folder_is_read() {
        let (folder, _) = built();
        let files = WebFiles::new(Some(folder.path().join("assets")));
        for name in ["../index.html", "/etc/passwd", "x/../../index.html", "."] {
            assert!(files.read(name).await.is_none(), "{name}");
        }
        assert!(files.read("index-abc.js").await.is_some());
    }

    #[test]
    fn a_path_that_names_a_file_is_nobodys_typing() {
        for name in ["", "logs", "c/0192", "nonsense"] {
            assert!(is_navigation(name), "{name}");
        }
        for name in [
            "favicon.ico",
            "assets/index-old.js",
            "assets/x",
            "sw.js",
            "a/b.map",
            "../etc/passwd",
            ".git/config",
        ] {
            assert!(!is_navigation(name), "{name}");
        }
    }

    #[test]
    fn the_screens_are_those_of_the_pages_router() {
        let router = include_str!("../../web/src/router.tsx");
        let paths = router.lines().filter_map(|line| line.trim().strip_prefix("path: \"/"));
        let mut routed: Vec<String> = paths
            .map(|rest| {
                let path = rest.split('"').next().unwrap();
                let part = |part: &str| if part.starts_with('$') { "*" } else { part }.to_owned();
                path.split('/').map(part).collect::<Vec<_>>().join("/")
            })
            .collect();
        routed.sort();
        let mut screens = SCREENS.to_vec();
        screens.sort_unstable();
        assert_eq!(routed, screens);
        for name in ["", "c/x", "c/x/", "logs", "logs/"] {
            assert!(is_screen(name), "{name}");
        }
        for name in ["c", "c/", "c//", "c/x/y", "login", "logs/x", "Logs"] {
            assert!(!is_screen(name), "{name}");
        }
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let tagged = |value: Option<String>| {
            let mut request = TestRequest::get();
            if let Some(value) = value {
                request = request.insert_header((header::IF_NONE_MATCH, value));
            }
            let file = File { bytes: Cow::Borrowed(b"x"), packed: None };
            answer(&request.to_http_request(), "assets/x.js", file)
        };
        let first = tagged(None);
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers().get("content-type").unwrap(), "text/javascript; charset=utf-8");
        let tag = first.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        assert_eq!(tagged(Some(tag)).status(), 304);
        assert_eq!(tagged(Some("\"other\"".to_owned())).status(), 200);
    }
}
