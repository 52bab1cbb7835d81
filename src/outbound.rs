//! Requests of the program's own to other services: over TLS, or to this machine.

use std::{net::IpAddr, time::Duration};

use reqwest::{Client, RequestBuilder, Response, Url, header, redirect, tls};

/// An address that is not asked, or a client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Neither `https` nor on this machine, or it carries a user's name or password.
    #[error("must be an https:// address (http:// only to this machine) without a password")]
    Address,
    /// The client itself.
    #[error("the HTTP client cannot be made: {0}")]
    Client(reqwest::Error),
}

/// Why a receiver did not take what was sent. Says nothing of what it answered but its status.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It answered, and not with a 2xx.
    #[error("the receiver answered {0}")]
    Status(u16),
    /// It did not.
    #[error("the receiver did not answer")]
    Sending(#[source] reqwest::Error),
}

/// Sends `request`, whatever the answer.
///
/// # Errors
/// [`DeliveryError::Sending`].
pub async fn answered(request: RequestBuilder) -> Result<Response, DeliveryError> {
    let answer = request.header(header::USER_AGENT, "drr").send().await;
    answer.map_err(|error| DeliveryError::Sending(error.without_url()))
}

/// Sends `request`. Any answer but a 2xx is a failure.
///
/// # Errors
/// [`DeliveryError`].
pub async fn taken(request: RequestBuilder) -> Result<Response, DeliveryError> {
    let answer = answered(request).await?;
    if answer.status().is_success() {
        Ok(answer)
    } else {
        Err(DeliveryError::Status(answer.status().as_u16()))
    }
}

/// What an answer says, up to about `bytes` of it, and up to where it breaks off.
pub async fn beginning(mut answer: Response, bytes: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() > bytes {
            break;
        }
    }
    read
}

/// The address, and a client for it that follows no redirect: whoever answers cannot choose another
/// receiver or another source. // D30
///
/// # Errors
/// [`OutboundError`].
pub fn client(address: &str, timeout: Duration) -> Result<(Client, Url), OutboundError> {
    let url = Url::parse(address).map_err(|_| OutboundError::Address)?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if !secure || !url.username().is_empty() || url.password().is_some() {
        return Err(OutboundError::Address);
    }
    let builder = Client::builder()
        .timeout(timeout)
        .redirect(redirect::Policy::none())
        .https_only(!loopback)
        .tls_version_min(tls::Version::TLS_1_3);
    let builder = if loopback { builder.no_proxy() } else { builder };
    Ok((builder.build().map_err(OutboundError::Client)?, url))
}
