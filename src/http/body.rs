//! Reads a request's body whole, within limits of size and time.
//!
//! Two sizes count: the bytes of a compressed body, and the bytes that it unfolds to. A body over
//! either gets 413; memory never exceeds the two limits, whatever a compressed body would unfold to.

use std::{
    io::{self, Read},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use bytes::BytesMut;
use flate2::read::MultiGzDecoder;
use futures::{Stream, StreamExt};

use super::Problem;
use crate::{
    config::Limits,
    error::{Error, ErrorCode},
};

/// How much of a refused body is still read and thrown away: a client that writes its whole body
/// before it reads would otherwise see a broken connection in place of the answer.
const DISCARD_BYTES: usize = 64 << 20;

/// How large a body may be, and how slow.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes of a compressed body on the wire.
    pub compressed: ByteLimit,
    /// Bytes of what it says: after decompression, or as it came.
    pub decoded: ByteLimit,
    /// From the call to the last byte.
    pub timeout: Duration,
}

/// A limit with the name of its setting, for the answer to whoever exceeds it.
#[derive(Debug, Clone, Copy)]
pub struct ByteLimit {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub bytes: usize,
}

impl ByteLimit {
    fn exceeded(self) -> Problem {
        let maximum = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        Error::LimitExceeded { limit: self.name, maximum }.into()
    }
}

impl BodyLimits {
    /// For GraphQL requests.
    #[must_use]
    pub const fn graphql(limits: &Limits) -> Self {
        let size =
            ByteLimit { name: "limits.graphql_body_bytes", bytes: limits.graphql_body_bytes };
        Self { compressed: size, decoded: size, timeout: limits.body_timeout }
    }

    /// For lineage events.
    #[must_use]
    pub const fn lineage(limits: &Limits) -> Self {
        Self {
            compressed: ByteLimit {
                name: "limits.lineage_compressed_bytes",
                bytes: limits.lineage_compressed_bytes,
            },
            decoded: ByteLimit {
                name: "limits.lineage_body_bytes",
                bytes: limits.lineage_body_bytes,
            },
            timeout: limits.body_timeout,
        }
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Identity,
    Gzip,
}

/// Reads a body whole, decompressed.
///
/// # Errors
/// 413 over a limit, 415 for an encoding other than gzip, 408 when it takes too long, 400 when it
/// ends early or is no gzip.
pub async fn read(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Bytes, Problem> {
    let encoding = encoding(headers)?;
    let wire = match encoding {
        Encoding::Identity => limits.decoded,
        Encoding::Gzip => limits.compressed,
    };
    let waits = headers.contains_key(header::EXPECT);
    let read = tokio::time::timeout(limits.timeout, read_wire(body, wire, waits));
    let bytes = read.await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::BadUserInput,
            "the body did not arrive in time",
        )
    })??;
    match encoding {
        Encoding::Identity => Ok(bytes),
        Encoding::Gzip => {
            let limit = limits.decoded;
            // Megabytes of decompression would hold up the other requests of this thread.
            tokio::task::spawn_blocking(move || decompress(&bytes, limit))
                .await
                .map_err(Error::internal)?
        }
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let (first, second) = (values.next(), values.next());
    let first = first.map_or(Some("identity"), |value| value.to_str().ok());
    match (first.map(|text| text.trim().to_ascii_lowercase()).as_deref(), second) {
        (Some("identity" | ""), None) => Ok(Encoding::Identity),
        (Some("gzip" | "x-gzip"), None) => Ok(Encoding::Gzip),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::BadUserInput,
            "Content-Encoding must be gzip or absent",
        )
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))),
    }
}

async fn read_wire(body: Body, limit: ByteLimit, waits: bool) -> Result<Bytes, Problem> {
    let declared = body.size_hint().lower();
    let mut chunks = body.into_data_stream();
    if usize::try_from(declared).map_or(true, |declared| declared > limit.bytes) {
        // A client that waits for "100 Continue" has sent nothing yet.
        if !waits {
            discard(chunks).await;
        }
        return Err(limit.exceeded());
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "a body ended early");
            Problem::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, "the body ended early")
        })?;
        if bytes.len() + chunk.len() > limit.bytes {
            drop(bytes);
            discard(chunks).await;
            return Err(limit.exceeded());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

async fn discard<E>(mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        seen += chunk.len();
        if seen > DISCARD_BYTES {
            return;
        }
    }
}

fn decompress(bytes: &[u8], limit: ByteLimit) -> Result<Bytes, Problem> {
    let mut decoded = Vec::new();
    let one_more = u64::try_from(limit.bytes).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes).take(one_more).read_to_end(&mut decoded).map_err(|error| {
        let detail = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the gzip body is truncated",
            _ => "the body is not valid gzip",
        };
        Problem::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, detail)
    })?;
    if decoded.len() > limit.bytes { Err(limit.exceeded()) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        compressed: ByteLimit { name: "compressed", bytes: 100_000 },
        decoded: ByteLimit { name: "decoded", bytes: 200_000 },
        timeout: Duration::from_secs(5),
    };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read_as(encoding: Option<&str>, bytes: Vec<u8>) -> Result<Bytes, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        }
        read(&headers, Body::from(bytes), &LIMITS).await
    }

    async fn refused(encoding: Option<&str>, bytes: Vec<u8>) -> (u16, String) {
        let problem = read_as(encoding, bytes).await.unwrap_err();
        (problem.status().as_u16(), problem.detail().to_owned())
    }

    #[tokio::test]
    async fn bodies_within_the_limits_are_read() {
        let text = b"hello".repeat(10);
        for (encoding, bytes) in [
            (None, text.clone()),
            (Some("identity"), text.clone()),
            (Some("GZIP"), gzip(&text)),
            (Some("x-gzip"), [gzip(&text[..7]), gzip(&text[7..])].concat()),
        ] {
            assert_eq!(read_as(encoding, bytes).await.unwrap(), text, "{encoding:?}");
        }
        assert_eq!(read_as(None, vec![0; 200_000]).await.unwrap().len(), 200_000);
        assert_eq!(read_as(Some("gzip"), gzip(&vec![0; 200_000])).await.unwrap().len(), 200_000);
    }

    #[tokio::test]
    async fn a_limit_is_named() {
        let (status, detail) = refused(None, vec![0; 200_001]).await;
        assert_eq!((status, detail.as_str()), (413, "over the limit decoded = 200000"));
        let (status, detail) = refused(Some("gzip"), vec![0; 100_001]).await;
        assert_eq!((status, detail.as_str()), (413, "over the limit compressed = 100000"));
        let (status, detail) = refused(Some("gzip"), gzip(&vec![0; 200_001])).await;
        assert_eq!((status, detail.as_str()), (413, "over the limit decoded = 200000"));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_stops_at_the_limit() {
        let chunk = || Ok::<_, io::Error>(Bytes::from_static(&[0; 1024]));
        let endless = futures::stream::repeat_with(chunk).take(200_000);
        let problem = read(&HeaderMap::new(), Body::from_stream(endless), &LIMITS).await;
        assert_eq!(problem.unwrap_err().status(), 413);
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_limit() {
        // 100 MB of zeros in 100 kB: the decoder is not asked for more than the limit and one byte.
        let bomb = gzip(&vec![0; 90_000_000]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(refused(Some("gzip"), bomb).await.0, 413);
    }

    #[tokio::test]
    async fn broken_and_unknown_encodings() {
        let whole = gzip(&b"hello".repeat(100));
        let truncated = whole[..whole.len() - 5].to_vec();
        assert_eq!(
            refused(Some("gzip"), truncated).await,
            (400, "the gzip body is truncated".into())
        );
        let (status, detail) = refused(Some("gzip"), b"not gzip at all".to_vec()).await;
        assert_eq!((status, detail.as_str()), (400, "the body is not valid gzip"));
        for encoding in ["br", "gzip, gzip", "deflate"] {
            assert_eq!(refused(Some(encoding), whole.clone()).await.0, 415, "{encoding}");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let silent = futures::stream::pending::<Result<Bytes, io::Error>>();
        let limits = BodyLimits { timeout: Duration::from_millis(20), ..LIMITS };
        let problem = read(&HeaderMap::new(), Body::from_stream(silent), &limits).await;
        assert_eq!(problem.unwrap_err().status(), 408);
    }

    #[tokio::test]
    async fn a_client_that_goes_away() {
        let broken = futures::stream::iter([
            Ok(Bytes::from_static(b"{")),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ]);
        let problem = read(&HeaderMap::new(), Body::from_stream(broken), &LIMITS).await;
        assert_eq!(problem.unwrap_err().status(), 400);
    }
}
