//! Media types: what a caller sends, and what it wants back.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use mime::Mime;

use crate::{error::ErrorCode, http::Problem};

/// How an answer is written; the specification ties the HTTP status to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Media {
    /// `application/graphql-response+json`: the status tells whether anything was executed.
    Graphql,
    /// `application/json`: 200 for whatever is a GraphQL request.
    Json,
}

impl Media {
    pub(super) const fn content_type(self) -> HeaderValue {
        match self {
            Self::Graphql => {
                HeaderValue::from_static("application/graphql-response+json; charset=utf-8")
            }
            Self::Json => HeaderValue::from_static("application/json; charset=utf-8"),
        }
    }

    const fn essence(self) -> &'static str {
        match self {
            Self::Graphql => "application/graphql-response+json",
            Self::Json => "application/json",
        }
    }

    /// How much a range of `Accept` wants this type: specificity first, then its weight.
    fn wanted(self, ranges: &[Mime]) -> f32 {
        let by_specificity = [self.essence(), "application/*", "*/*"];
        by_specificity
            .iter()
            .find_map(|essence| ranges.iter().find(|range| range.essence_str() == *essence))
            .map_or(0.0, weight)
    }
}

fn weight(range: &Mime) -> f32 {
    range.get_param("q").map_or(1.0, |weight| weight.as_str().parse().unwrap_or(0.0))
}

/// The answer's type; `None` when the caller wants neither. Without a wish, plain JSON, which old
/// clients expect.
pub(in crate::http) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Some(Media::Json);
    }
    let ranges: Vec<Mime> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|range| range.trim().parse().ok())
        .collect();
    let (graphql, json) = (Media::Graphql.wanted(&ranges), Media::Json.wanted(&ranges));
    let named = |media: Media| ranges.iter().any(|range| range.essence_str() == media.essence());
    match (graphql > 0.0, json > 0.0) {
        (false, false) => None,
        (true, false) => Some(Media::Graphql),
        (false, true) => Some(Media::Json),
        (true, true) if graphql > json || graphql >= json && named(Media::Graphql) => {
            Some(Media::Graphql)
        }
        (true, true) => Some(Media::Json),
    }
}

/// Only JSON may come in: a browser sends other types to foreign sites without asking them.
pub(in crate::http) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Mime>().ok());
    let acceptable = sent.is_some_and(|sent| {
        let utf8 = sent.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        sent.essence_str() == "application/json" && utf8
    });
    if acceptable {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::BadUserInput,
        "Content-Type must be application/json in UTF-8",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, text.parse().unwrap());
        negotiate(&headers)
    }

    #[test]
    fn the_caller_chooses() {
        assert_eq!(negotiate(&HeaderMap::new()), Some(Media::Json));
        for (text, media) in [
            ("*/*", Some(Media::Json)),
            ("application/*", Some(Media::Json)),
            ("application/json; charset=utf-8", Some(Media::Json)),
            ("application/graphql-response+json", Some(Media::Graphql)),
            ("application/json, application/graphql-response+json", Some(Media::Graphql)),
            ("application/graphql-response+json;q=0.5, application/json", Some(Media::Json)),
            ("application/graphql-response+json, application/json;q=0.9", Some(Media::Graphql)),
            ("application/json;q=0, */*", Some(Media::Graphql)),
            ("text/html, */*;q=0.1", Some(Media::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("nonsense", None),
        ] {
            assert_eq!(accept(text), media, "{text}");
        }
    }
}
