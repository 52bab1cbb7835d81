//! A JSON Web Key Set (RFC 7517), reduced to the keys that may sign a token here.
//!
//! A key that may not, or that cannot be read, is left out with a warning; the others still count.

use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Most keys of one set that are looked at.
const MAXIMUM_KEYS: usize = 64;
/// Least and most bits of a modulus (RFC 7518 §3.3; the most is what the library takes).
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// A public key that verifies RS256 signatures.
#[derive(Debug)]
pub(in crate::auth) struct VerificationKey {
    /// Its `kid`, or its thumbprint (RFC 7638) when it has none.
    pub(in crate::auth) id: Arc<str>,
    /// SHA-256 of the key itself: the same `kid` with another key is another key.
    pub(in crate::auth) thumbprint: [u8; 32],
    pub(in crate::auth) decoding: DecodingKey,
}

#[derive(Deserialize)]
struct KeySet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<IgnoredAny>,
}

/// Reads a key set. No usable key in a well-formed set is not an error: the platform may have
/// withdrawn them all.
pub(super) fn read(document: &[u8]) -> Result<Vec<Arc<VerificationKey>>, serde_json::Error> {
    let set: KeySet<'_> = serde_json::from_slice(document)?;
    let mut keys: Vec<Arc<VerificationKey>> = Vec::new();
    for (index, raw) in set.keys.iter().enumerate() {
        let result = if index < MAXIMUM_KEYS { usable(raw.get()) } else { Err("one key too many") };
        match result {
            Ok(key) if keys.iter().any(|known| known.id == key.id) => {
                tracing::warn!(index, "key left out of the key set: its kid is taken");
            }
            Ok(key) => keys.push(Arc::new(key)),
            Err(reason) => tracing::warn!(index, reason, "key left out of the key set"),
        }
    }
    Ok(keys)
}

fn usable(raw: &str) -> Result<VerificationKey, &'static str> {
    let key: Key = serde_json::from_str(raw).map_err(|_| "it cannot be read")?;
    if key.kty != "RSA" {
        return Err("it is not an RSA key");
    }
    if key.d.is_some() {
        return Err("it is a private key, and no secret any more");
    }
    if key.usage.is_some_and(|usage| usage != "sig")
        || key.key_ops.is_some_and(|operations| !operations.iter().any(|name| name == "verify"))
    {
        return Err("it is not for signatures");
    }
    if key.alg.is_some_and(|algorithm| algorithm != "RS256") {
        return Err("it is for another algorithm");
    }
    let n = integer(key.n)?;
    let e = integer(key.e)?;
    let bits = n.first().map_or(0, |top| n.len() * 8 - top.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&bits) {
        return Err("its modulus is not of 2048 to 8192 bits");
    }
    if e.last().is_none_or(|low| low % 2 == 0) || e == [1] {
        return Err("its exponent is not odd, or is 1");
    }
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| "the cryptography library refuses it")?;
    let thumbprint = thumbprint(&n, &e);
    let id = match key.kid {
        Some(kid) if kid.is_empty() => return Err("its kid is empty"),
        Some(kid) => kid,
        None => URL_SAFE_NO_PAD.encode(thumbprint),
    };
    let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
    Ok(VerificationKey { id: id.into(), thumbprint, decoding })
}

/// An unsigned integer, big-endian, without leading zeros (some issuers add one).
fn integer(text: Option<String>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("it has no modulus or no exponent")?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "its numbers are not base64url")?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// The thumbprint of RFC 7638 §3.2.
fn thumbprint(n: &[u8], e: &[u8]) -> [u8; 32] {
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The key of RFC 7515 appendix A.2.
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    /// The token of RFC 7515 appendix A.2.
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    fn keys(keys: &Value) -> Vec<Arc<VerificationKey>> {
        read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    // D32
    #[test]
    fn the_signature_of_rfc_7515_a_2_verifies() {
        let found = keys(&json!([{ "kty": "RSA", "n": N, "e": "AQAB" }]));
        let (message, signature) = TOKEN.rsplit_once('.').unwrap();
        let check = |message: &str| {
            let algorithm = jsonwebtoken::Algorithm::RS256;
            let key = &found[0].decoding;
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap()
        };
        assert!(check(message));
        assert!(!check(&message.replace("LCJ", "LCK").replacen("eyJ", "eyK", 1)));
    }

    #[test]
    fn a_key_without_kid_is_named_by_its_thumbprint() {
        // The example of RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let found = keys(&json!([{ "kty": "RSA", "n": n, "e": "AQAB" }]));
        assert_eq!(&*found[0].id, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    // D32
    #[test]
    fn only_rsa_signature_keys_of_enough_bits_are_taken() {
        let good = json!({ "kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256",
            "key_ops": ["verify"], "n": N, "e": "AQAB", "x5t": "unknown members are left alone" });
        let with = |member: &str, value: Value| {
            let mut key = good.clone();
            key[member] = value;
            keys(&json!([key])).len()
        };
        assert_eq!(keys(&json!([good])).len(), 1);
        let modulus = |bits: usize| {
            let mut bytes = vec![0xFF; bits.div_ceil(8)];
            bytes[0] >>= (8 - bits % 8) % 8;
            URL_SAFE_NO_PAD.encode(bytes).into()
        };
        for bits in [512, 1_024, 2_040, 2_047, 8_193] {
            assert_eq!(with("n", modulus(bits)), 0, "{bits} bits");
        }
        for bits in [2_048, 3_072, 8_192] {
            assert_eq!(with("n", modulus(bits)), 1, "{bits} bits");
        }
        let bad = [
            ("kty", json!("EC")),
            ("kty", json!("oct")),
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("alg", json!("RS384")),
            ("alg", json!("PS256")),
            ("alg", json!("HS256")),
            ("kid", json!("")),
            ("kid", json!(7)),
            ("n", Value::Null),
            ("n", json!("")),
            ("n", json!("*")),
            ("e", Value::Null),
            ("e", json!("")),
            ("e", json!("AQ")),
            ("e", json!("AAAB")),
            ("e", json!("Ag")),
            ("d", json!("AQAB")),
        ];
        for (member, value) in bad {
            assert_eq!(with(member, value.clone()), 0, "{member} = {value}");
        }
    }

    #[test]
    fn one_bad_key_leaves_the_others_and_a_kid_is_taken_once() {
        let key = |kid: &str| json!({ "kty": "RSA", "kid": kid, "n": N, "e": "AQAB" });
        let found = keys(&json!([7, key("a"), null, { "kty": "EC" }, key("b"), key("a")]));
        let ids: Vec<_> = found.iter().map(|key| &*key.id).collect();
        assert_eq!(ids, ["a", "b"]);
        let many: Vec<_> = (0..100).map(|index| key(&index.to_string())).collect();
        assert_eq!(keys(&many.into()).len(), MAXIMUM_KEYS);
        assert!(keys(&json!([])).is_empty());
    }

    #[test]
    fn what_is_no_key_set_is_an_error() {
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]"#, r#"{"keys":[]} x"#] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
