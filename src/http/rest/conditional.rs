//! Tags of content, and answers to those who have the content already.
//!
//! A tag is a hash of the body. Where members of the body change with time alone (`evaluatedAt`), the
//! tag is weak and leaves them out: it stands for the facts and the verdict, so that a client that
//! polls gets 304 until one of them changes.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
const AUTHORIZATION: HeaderValue = HeaderValue::from_static("authorization");

/// The answer that `body` is, or 304 to a caller that has it already.
pub(super) fn answer(
    request: &HeaderMap,
    body: &Value,
    volatile: &[&str],
    next: Option<String>,
) -> Response {
    let bytes = body.to_string();
    let tag = if volatile.is_empty() {
        format!("\"{}\"", digest(&bytes))
    } else {
        format!("W/\"{}\"", digest(&without(body, volatile).to_string()))
    };
    let known = is_known(request, &tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(bytes) });
    let headers = response.headers_mut();
    // Both are made of characters that a header may have.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    let link = next.map(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")));
    if let Some(Ok(link)) = link {
        headers.insert(header::LINK, link);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    private(response)
}

/// Says that an answer is for this caller alone, and to be asked for again each time.
pub(super) fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, PRIVATE);
    response.headers_mut().insert(header::VARY, AUTHORIZATION);
    response
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The body without the members that change with time alone.
fn without(body: &Value, volatile: &[&str]) -> Value {
    match body {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !volatile.contains(&name.as_str()));
            kept.map(|(name, member)| (name.clone(), without(member, volatile))).collect()
        }
        Value::Array(items) => items.iter().map(|item| without(item, volatile)).collect(),
        scalar => scalar.clone(),
    }
}

/// Whether `If-None-Match` has the tag, by weak comparison (RFC 9110 §13.1.2).
pub(in crate::http) fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let values = request.get_all(header::IF_NONE_MATCH).into_iter();
    let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    // Our tags hold no comma.
    let mut tags = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    tags.any(|known| known == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tag(body: &Value, volatile: &[&str]) -> String {
        let response = answer(&HeaderMap::new(), body, volatile, None);
        response.headers()[header::ETAG].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_tag_stands_for_everything_but_the_passing_of_time() {
        let body = |at: u32, status: &str| json!({ "nodes": [{ "at": at, "status": status }] });
        let weak = tag(&body(1, "FRESH"), &["at"]);
        assert!(weak.starts_with("W/\""), "{weak}");
        assert_eq!(weak, tag(&body(2, "FRESH"), &["at"]));
        assert_ne!(weak, tag(&body(1, "STALE"), &["at"]));
        let strong = tag(&body(1, "FRESH"), &[]);
        assert!(strong.starts_with('"'), "{strong}");
        assert_ne!(strong, tag(&body(2, "FRESH"), &[]));
    }

    #[test]
    fn who_has_it_gets_it_no_more() {
        let body = json!({ "a": 1 });
        let tag = tag(&body, &[]);
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            answer(&headers, &body, &[], None).status().as_u16()
        };
        assert_eq!(asked(&tag), 304);
        assert_eq!(asked(&format!("\"other\" , W/{tag}")), 304);
        assert_eq!(asked("*"), 304);
        assert_eq!(asked("\"other\""), 200);
        assert_eq!(asked(tag.trim_matches('"')), 200);
    }
}
