//! GraphiQL: a page to ask the graph from, at `/graphiql` of the public listener.
//!
//! Its files are built from `web/` by `scripts/` and held by the program. They are the same for
//! everybody, tell nothing of the schema or of any data, and so need no token; what is asked from the
//! page goes to `/graphql` with the caller's own. A program that was built without them says so at the
//! same place.
//!
//! The page may run what came with it and speak to where it came from; nothing else ([`POLICY`]).

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::error::{Error, Result};

/// What was built (`build.rs` lists it): compressed files, each with a name that changes with it, and
/// the page.
const BUILT: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/graphiql.rs"));
const PAGE: &str = "index.html";
const NOT_BUILT: &str = include_str!("graphiql/not_built.html");

/// Scripts and workers: files of this origin, no text in the page, no `eval`. Styles may stand in the
/// page, since the editor makes its own (positions of lines, colours of its theme) and knows no nonce.
/// Fonts and small pictures come within its style sheet, as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
     style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// The page names the files of its own version, so it is asked for anew.
const PAGE_IS_KEPT: &str = "no-cache";
/// A file's name stands for its content.
const FILES_ARE_KEPT: &str = "public, max-age=31536000, immutable";

/// One file.
#[derive(Debug)]
struct File {
    compressed: Bytes,
    /// For whoever takes no gzip; unpacked once, so that nobody makes work by asking.
    plain: OnceLock<Bytes>,
    media_type: &'static str,
}

type Files = Arc<BTreeMap<&'static str, File>>;

/// The page and its files.
pub fn routes() -> Router {
    Router::new()
        .route("/graphiql", get(page))
        .route("/graphiql/{file}", get(file))
        .with_state(Arc::new(built()))
}

fn built() -> BTreeMap<&'static str, File> {
    let files = BUILT.iter().filter_map(|(path, bytes)| {
        let name = path.strip_suffix(".gz")?;
        let compressed = Bytes::from_static(bytes);
        let file = File { compressed, plain: OnceLock::new(), media_type: media_type(name) };
        Some((name, file))
    });
    files.collect()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        _ => "application/octet-stream",
    }
}

async fn page(State(files): State<Files>, headers: HeaderMap) -> Result<Response> {
    let Some(page) = files.get(PAGE) else {
        let kind = [(header::CONTENT_TYPE, media_type(PAGE))];
        let said = (StatusCode::NOT_FOUND, kind, NOT_BUILT).into_response();
        return Ok(fenced(said, PAGE_IS_KEPT));
    };
    Ok(fenced(page.answer(&headers)?, PAGE_IS_KEPT))
}

async fn file(
    State(files): State<Files>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let file = files.get(name.as_str()).ok_or(Error::NotFound("resource"))?;
    Ok(fenced(file.answer(&headers)?, FILES_ARE_KEPT))
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Result<Response> {
        let kind = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (header::VARY, HeaderValue::from(header::ACCEPT_ENCODING)),
        ];
        if takes_gzip(headers) {
            let coding = [(header::CONTENT_ENCODING, "gzip")];
            return Ok((kind, coding, self.compressed.clone()).into_response());
        }
        Ok((kind, self.plain()?).into_response())
    }

    fn plain(&self) -> Result<Bytes> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let mut plain = Vec::new();
        GzDecoder::new(self.compressed.as_ref())
            .read_to_end(&mut plain)
            .map_err(Error::internal)?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }
}

/// Whether `Accept-Encoding` names gzip, and not in order to refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    said.flat_map(|text| text.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(";q=").unwrap_or((coding, "1"));
        name.trim().eq_ignore_ascii_case("gzip")
            && quality.trim().parse::<f32>().is_ok_and(|quality| quality > 0.0)
    })
}

fn fenced(mut response: Response, kept: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        let takes = |text: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(text),
            )]))
        };
        for text in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.1", "br , gzip"] {
            assert!(takes(text), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "gzip;q=0.0, *", "gzip;q=none", "x-gzipped"] {
            assert!(!takes(text), "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_file_has_a_kind_of_its_own_and_unpacks() {
        for (name, file) in built() {
            assert_ne!(file.media_type, "application/octet-stream", "{name}");
            assert!(!file.plain().unwrap().is_empty(), "{name}");
        }
    }
}
