use std::sync::LazyLock;

use futures::future::try_join_all;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use url::Url;

use super::*;

const OLD: &[u8] = b"an old master key of 32 bytes and more";
const NEW: &[u8] = b"a new master key of 32 bytes and more.";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn tenant(code: &str) -> TenantId {
    TenantId::parse(code).unwrap()
}

fn objects() -> (tempfile::TempDir, Objects) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(Url::from_file_path(folder.path()).unwrap().as_str()).unwrap();
    (folder, objects)
}

fn keys(objects: &Objects, master: &[u8], previous: Option<&[u8]>) -> Keys {
    let previous = previous.map(|secret| MasterKey::new(secret).unwrap());
    Keys::new(objects.clone(), MasterKey::new(master).unwrap(), previous)
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

/// What comes of opening it.
fn opened(keys: &Keys, tenant: &TenantId, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    RUNTIME.block_on(keys.open(tenant, name, sealed)).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // D31
    #[test]
    fn what_was_sealed_opens_as_it_was_and_in_no_other_way(
        content in proptest::collection::vec(any::<u8>(), 0..2_000),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        cut in any::<prop::sample::Index>(),
    ) {
        let (_folder, objects) = objects();
        let keys = keys(&objects, OLD, None);
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let name = "audit/tenant-acme/api/2025-01/000001.ndjson.gz.enc";
        let seal = |tenant: &TenantId| RUNTIME.block_on(keys.seal(tenant, name, content.clone()));
        let sealed = seal(&acme).unwrap();
        prop_assert_eq!(opened(&keys, &acme, name, &sealed), Some(content.clone()));
        // Twice the same is never the same, and nothing shines through.
        prop_assert_ne!(&sealed, &seal(&acme).unwrap());
        prop_assert!(content.len() < 8 || !sealed.windows(content.len()).any(|part| part == content));

        let mut altered = sealed.to_vec();
        altered[at.index(sealed.len())] ^= 1 << bit;
        prop_assert_eq!(opened(&keys, &acme, name, &altered), None);
        prop_assert_eq!(opened(&keys, &acme, name, &sealed[..cut.index(sealed.len())]), None);
        prop_assert_eq!(opened(&keys, &acme, name, &[&sealed, [0].as_slice()].concat()), None);
        prop_assert_eq!(opened(&keys, &acme, "audit/tenant-acme/api/2025-02", &sealed), None);
        prop_assert_eq!(opened(&keys, &globex, name, &sealed), None);
        seal(&globex).unwrap();
        prop_assert_eq!(opened(&keys, &globex, name, &sealed), None, "with a key of its own");
    }
}

#[tokio::test]
async fn a_tenant_has_one_key_however_many_ask_for_it_first() {
    let (_folder, objects) = objects();
    let all = (0..16).map(|_| {
        let keys = keys(&objects, OLD, None);
        async move { keys.seal(&tenant("acme"), "x", b"content".to_vec()).await }
    });
    let sealed = try_join_all(all).await.unwrap();
    assert_eq!(objects.list("keys").await.unwrap(), ["keys/tenant-acme/0000000001"]);
    for one in sealed {
        let content = keys(&objects, OLD, None).open(&tenant("acme"), "x", &one).await.unwrap();
        assert_eq!(content, b"content");
    }
}

#[tokio::test]
async fn a_master_key_is_replaced_and_no_object_touched() {
    let (_folder, objects) = objects();
    let before = keys(&objects, OLD, None);
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let one = before.seal(&acme, "x", b"one".to_vec()).await.unwrap();
    let other = before.seal(&globex, "y", b"other".to_vec()).await.unwrap();

    let without = keys(&objects, NEW, None);
    let error = without.open(&acme, "x", &one).await.unwrap_err();
    assert!(cause(&error).contains("which this program does not have"), "{error:?}");
    assert!(without.rewrap().await.is_err(), "it cannot");

    let during = keys(&objects, NEW, Some(OLD));
    assert_eq!(during.open(&acme, "x", &one).await.unwrap(), b"one");
    assert_eq!(during.rewrap().await.unwrap(), 2);
    assert_eq!(during.rewrap().await.unwrap(), 0, "once");
    assert_eq!(without.open(&acme, "x", &one).await.unwrap(), b"one");
    assert_eq!(without.open(&globex, "y", &other).await.unwrap(), b"other");
    assert!(before.open(&acme, "x", &one).await.is_err(), "the old one opens nothing more");
}

#[tokio::test]
async fn a_key_in_another_place_opens_nothing() {
    let (_folder, objects) = objects();
    let keys = keys(&objects, OLD, None);
    let sealed = keys.seal(&tenant("acme"), "x", b"content".to_vec()).await.unwrap();
    let kept = objects.get("keys/tenant-acme/0000000001").await.unwrap().unwrap();
    objects.put("keys/tenant-globex/0000000001", kept).await.unwrap();
    let error = keys.open(&tenant("globex"), "x", &sealed).await.unwrap_err();
    assert!(
        cause(&error).contains("keys/tenant-globex/0000000001 is not what was put"),
        "{error:?}"
    );

    objects.delete("keys/tenant-acme/0000000001").await.unwrap();
    let error = keys.open(&tenant("acme"), "x", &sealed).await.unwrap_err();
    assert!(cause(&error).contains("is gone"), "{error:?}");
}

#[test]
fn a_short_secret_is_no_master_key() {
    assert_eq!(MasterKey::new(&[7; 31]).unwrap_err(), WeakMasterKey);
    let shown = format!("{:?}", MasterKey::new(OLD).unwrap());
    assert!(shown.contains("Cipher(****)"), "{shown}");
}
