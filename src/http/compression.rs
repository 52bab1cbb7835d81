//! Answers, compressed for those who can read it.
//!
//! What is compressed can be guessed at by its length, if a stranger's text and a secret stand in one
//! answer and the stranger can make somebody ask again and again (BREACH). Here no answer holds a
//! token or another secret, and nobody asks without meaning to: a token is sent by the program that
//! holds it and never by a browser of itself, since there are no cookies.

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

/// Smaller answers fit into one packet as they are.
const WORTH_BYTES: u16 = 1_024;
/// Streams, whose parts are to arrive one by one.
const EVENTS: NotForContentType = NotForContentType::SSE;
const PARTS: NotForContentType = NotForContentType::const_new("multipart/");

/// Compresses with gzip, as fast as it can be done: the answer is waited for.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    let worth = SizeAbove::new(WORTH_BYTES).and(EVENTS).and(PARTS);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth)
}

/// A strong tag stands for the bytes of an answer, which are others now (RFC 9110 §8.8.3.3).
pub(super) async fn weaken_tag(mut answer: Response) -> Response {
    if answer.headers().contains_key(header::CONTENT_ENCODING)
        && let Some(tag) = answer.headers().get(header::ETAG)
        && let Ok(tag) = tag.to_str()
        && !tag.starts_with("W/")
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        answer.headers_mut().insert(header::ETAG, weak);
    }
    answer
}
