//! Requests of the program's own to other services: over TLS, or to this machine.

use std::{net::IpAddr, time::Duration};

use reqwest::{Client, Url, redirect, tls};

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
