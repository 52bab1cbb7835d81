//! A webhook: one receiver of the deployment, in the form of Standard Webhooks
//! (<https://www.standardwebhooks.com>): the headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, which is `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.

use std::{fmt, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use reqwest::{Client, Url, header};

use crate::outbound::{self, DeliveryError, OutboundError};

/// How long the receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const SECRET_PREFIX: &str = "whsec_";
/// How many bytes a secret may have, as Standard Webhooks says.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A text that is no secret of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and 24 to 64 bytes in base64")]
pub struct InvalidSecret;

/// What deliveries are signed with.
#[derive(Clone)]
pub struct SigningSecret(hmac::Key);

impl SigningSecret {
    /// Reads `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// [`InvalidSecret`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret(****)")
    }
}

/// A receiver.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    secret: SigningSecret,
}

impl Webhook {
    /// A receiver at `address`: `https`, or `http` on this machine.
    ///
    /// # Errors
    /// [`OutboundError`] for any other.
    pub fn new(address: &str, secret: SigningSecret) -> Result<Self, OutboundError> {
        let (client, url) = outbound::client(address, TIMEOUT)?;
        Ok(Self { client, url, secret })
    }

    /// Sends one message of a media type. Any answer but a 2xx is a failure.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn send(
        &self,
        id: &str,
        now: DateTime<Utc>,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(), DeliveryError> {
        let timestamp = now.timestamp();
        let signature = self.secret.sign(id, timestamp, &body);
        let request = self.client.post(self.url.clone());
        let request = request
            .header(header::CONTENT_TYPE, media_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature);
        outbound::taken(request.body(body)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks reference implementations.
    #[test]
    fn a_signature_is_as_others_make_it() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_long_enough_and_never_shown() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7_u8; bytes]));
        for good in [24, 32, 64] {
            assert!(SigningSecret::parse(&encoded(good)).is_ok(), "{good}");
        }
        let bare = STANDARD.encode([7_u8; 32]);
        for bad in ["", "whsec_", "whsec_!!!", &bare, &encoded(23), &encoded(65)] {
            assert_eq!(SigningSecret::parse(bad).unwrap_err(), InvalidSecret, "{bad}");
        }
        let secret = SigningSecret::parse(&encoded(24)).unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(****)");
    }
}
