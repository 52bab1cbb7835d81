//! Bundles that anybody can check: what is in them, and that nothing in them can be another thing.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use drr::evidence::{
    Signatory, SigningKey,
    export::{
        ExportError, Exporter,
        check::{BadBundle, Checked, check},
        manifest::{BadManifest, Manifest},
    },
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Story, instant,
    program::{answer, output},
    verified::archived,
};
use crate::{
    app::SIGNATORY,
    cluster::run,
    door::world::{script, strings},
    evidence::others::Others,
};

type Files = Vec<(String, Vec<u8>)>;
type Times = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

async fn export(story: &Story, times: Times, path: &Path) -> Result<Manifest, ExportError> {
    let (db, acme) = (story.db(), story.tenant("acme").await);
    let (clock, archivist) = (story.clock.clone(), story.app.archivist().clone());
    let exporter = Exporter::new(db.clone(), clock, SIGNATORY.clone(), archivist);
    let made = exporter.export(&acme, times, path).await;
    db.close().await;
    made
}

fn key() -> String {
    SIGNATORY.verifier_key(&drr::auth::TenantId::parse("acme").unwrap())
}

fn unpacked(path: &Path) -> Files {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let files = archive.entries().unwrap().map(|file| {
        let mut file = file.unwrap();
        let (name, mut content) = (file.path().unwrap().display().to_string(), Vec::new());
        file.read_to_end(&mut content).unwrap();
        (name, content)
    });
    files.collect()
}

fn packed(files: &Files) -> Vec<u8> {
    let mut bundle = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        bundle.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    bundle.into_inner().unwrap().finish().unwrap()
}

/// What is wrong with a bundle of these files.
fn wrong(files: &Files) -> String {
    let bundle = packed(files);
    let with_key = check(bundle.as_slice(), Some(&key()), None).unwrap_err().to_string();
    assert_eq!(check(bundle.as_slice(), None, None).unwrap_err().to_string(), with_key);
    with_key
}

fn lines(files: &Files) -> Vec<Value> {
    let text = std::str::from_utf8(&files[3].1).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// RFC 9162 §2.1.3.2, word for word.
fn root(evidence: &Value, size: u64) -> Vec<u8> {
    let node = |left: &[u8], right: &[u8]| Sha256::digest([&[1], left, right].concat()).to_vec();
    let (mut at, mut last) = (evidence["leaf_index"].as_u64().unwrap(), size - 1);
    let leaf = evidence["leaf"].as_str().unwrap();
    let mut root = Sha256::digest([&[0], leaf.as_bytes()].concat()).to_vec();
    for hash in evidence["inclusion_proof"].as_array().unwrap() {
        let hash = STANDARD.decode(hash.as_str().unwrap()).unwrap();
        assert!(last > 0);
        if at % 2 == 1 || at == last {
            root = node(&hash, &root);
            while at % 2 == 0 && at > 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            root = node(&root, &hash);
        }
        (at, last) = (at / 2, last / 2);
    }
    assert_eq!(last, 0);
    root
}

pub fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.tar.gz");
    (folder, path)
}

// S17, D36
#[test]
fn a_bundle_has_every_event_of_its_time_with_what_proves_it() {
    run(async {
        let mut story = archived().await;
        // Of the same tenant, in the database: more than are read at once, and than are in a tile.
        let more = format!(
            "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
             SELECT 'acme', '{}'::date + n * interval '1 second', gen_random_uuid(), 'somebody', 'x.read', 'SUCCESS', 'm' || n
               FROM generate_series(1, 1500) AS n",
            story.following()
        );
        script(&mut story.admin, more).await;
        story.stand_at(story.day(366));
        let (_folder, path) = place();
        // They are in the log when they are in the bundle, which nobody else saw to.
        let made = export(&story, (None, None), &path).await.unwrap();
        assert_eq!((made.events, made.until, made.deleted.len()), (1_511, story.day(366), 0));
        let bundle = || std::fs::File::open(&path).unwrap();
        let checked = check(bundle(), Some(&key()), Some("acme")).unwrap();
        assert_eq!(checked, Checked { manifest: made.clone(), log_size: 1_511, key: key() });

        let files = unpacked(&path);
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["manifest", "key", "checkpoint", "events.ndjson"]);
        assert_eq!(files[1].1, format!("{}\n", key()).as_bytes());
        let checkpoint = std::str::from_utf8(&files[2].1).unwrap();
        let signed: Vec<_> = checkpoint.lines().collect();
        assert_eq!(signed[..2], ["drr.example/evidence/acme", "1511"]);
        for (at, line) in lines(&files).iter().enumerate() {
            let evidence = &line["unmapped"]["evidence"];
            assert_eq!(evidence["leaf_index"], at);
            assert_eq!(STANDARD.encode(root(evidence, 1_511)), signed[2], "{line}");
            let leaf: Value = serde_json::from_str(evidence["leaf"].as_str().unwrap()).unwrap();
            assert_eq!(leaf["event_id"], line["metadata"]["uid"]);
        }

        // It is told, with the hash of the manifest, and is in the next one.
        let told = "SELECT resource FROM audit_event WHERE action = 'audit_trail.export'";
        let hash = hex::encode(Sha256::digest(&files[0].1));
        let until = made.until.to_rfc3339();
        assert_eq!(
            strings(&mut story.admin, told).await,
            [format!("export:../{until} events:1511 manifest:sha256:{hash}")]
        );
        let again = export(&story, (None, None), &path).await.unwrap_err();
        assert!(matches!(again, ExportError::WasThere(there) if there == path));
        story.stand_at(story.day(367));
        let (_folder, next) = place();
        assert_eq!(export(&story, (None, None), &next).await.unwrap().events, 1_512);
        story.app.stop().await;
    });
}

// S17, D36
#[test]
fn a_bundle_is_good_by_what_others_wrote() {
    let Some(others) = Others::found() else { return };
    run(async {
        let story = archived().await;
        story.stand_at(story.day(366));
        let (_folder, path) = place();
        export(&story, (None, None), &path).await.unwrap();
        let files = unpacked(&path);
        let text = |at: usize| std::str::from_utf8(&files[at].1).unwrap();
        let lines = lines(&files);
        let inclusion = lines.iter().map(|line| {
            let evidence = &line["unmapped"]["evidence"];
            let leaf = STANDARD.encode(evidence["leaf"].as_str().unwrap());
            json!({ "Leaf": leaf, "Index": evidence["leaf_index"], "Proof": evidence["inclusion_proof"] })
        });
        let inclusion: Vec<_> = inclusion.collect();
        let request = json!({ "Key": text(1).trim(), "Note": text(2), "Inclusion": inclusion });
        let expected: Vec<_> = (0..lines.len()).map(|at| format!("inclusion {at}")).collect();
        let expected = std::iter::once("note").chain(expected.iter().map(String::as_str));
        others.check(request).await.assert_good(&expected.collect::<Vec<_>>());
        // Signed by the same key, and no checkpoint.
        let manifest = others.check(json!({ "Key": text(1).trim(), "Note": text(0) })).await;
        assert_eq!(manifest.refused["note"], "not a checkpoint of this log");
        let other = text(0).replacen("\"events\": 1", "\"events\": 2", 1);
        let changed = others.check(json!({ "Key": text(1).trim(), "Note": other })).await;
        assert_ne!(changed.refused["note"], manifest.refused["note"]);
        story.app.stop().await;
    });
}

// D36
#[test]
fn what_witnesses_added_to_the_checkpoint_goes_with_a_bundle() {
    run(async {
        let mut story = archived().await;
        story.stand_at(story.day(366));
        let acme = drr::auth::TenantId::parse("acme").unwrap();
        let checkpoint = "SELECT checkpoint FROM evidence_head WHERE tenant_id = 'acme'";
        let checkpoint = strings(&mut story.admin, checkpoint).await.remove(0);
        let tree = SIGNATORY.open(&acme, &checkpoint).unwrap();
        let other = SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        let witness = Signatory::new("witness.example", other).unwrap();
        let cosigned = witness.sign(&acme, tree).unwrap();
        let cosigned = format!("{checkpoint}{}\n", cosigned.lines().last().unwrap());
        let publish = |size: u64| {
            format!(
                "UPDATE evidence_head SET published = '{cosigned}', published_size = {size} WHERE tenant_id = 'acme'"
            )
        };
        script(&mut story.admin, publish(tree.size)).await;
        let exported = async || {
            let (_folder, path) = place();
            export(&story, (None, None), &path).await.unwrap();
            check(std::fs::File::open(&path).unwrap(), Some(&key()), None).unwrap();
            String::from_utf8(unpacked(&path).remove(2).1).unwrap()
        };
        assert_eq!(exported().await, cosigned);
        // The log has gone on since: the bundle is in it, and the proofs are for what it is now.
        story.stand_at(story.day(367));
        let later = exported().await;
        assert!(
            !later.contains("witness.example") && SIGNATORY.open(&acme, &later).unwrap() != tree
        );
        story.app.stop().await;
    });
}

// S17
#[test]
fn a_bundle_of_a_time_has_what_happened_then_and_tells_what_is_kept_no_longer() {
    run(async {
        let mut story = archived().await;
        story.stand_at(story.day(366));
        let (first, following) = (instant(story.month), instant(story.following()));
        let of = async |since, until| {
            let (_folder, path) = place();
            let made = export(&story, (since, until), &path).await?;
            check(std::fs::File::open(&path).unwrap(), Some(&key()), None).unwrap();
            Ok::<_, ExportError>((made.events, made.deleted))
        };
        let none = std::collections::BTreeMap::new();
        assert_eq!(of(None, Some(first)).await.unwrap(), (0, none.clone()));
        let instant = first + TimeDelta::microseconds(1);
        assert_eq!(of(Some(first), Some(instant)).await.unwrap(), (6, none.clone()));
        assert_eq!(of(Some(instant), Some(following)).await.unwrap(), (3, none.clone()));
        assert_eq!(of(None, Some(following)).await.unwrap(), (9, none.clone()));
        assert_eq!(of(Some(following), Some(story.day(365))).await.unwrap(), (1, none));
        let nothing = of(Some(first), Some(first)).await.unwrap_err();
        assert!(matches!(nothing, ExportError::Nothing(since, _) if since == first));

        let kept = drr::config::Retention {
            audit_days: 36_500,
            schema_audit_days: 36_500,
            ..crate::app::settings().retention
        };
        story.app.archivist().retain(kept, story.day(2_557), false).await.unwrap();
        let name =
            format!("audit/tenant-acme/api/{}/000001.ndjson.gz.enc", story.month.format("%Y-%m"));
        let deleted = of(None, Some(following)).await.unwrap();
        assert_eq!(deleted, (3, [(name, 6)].into()), "those of the other class are there");

        let (_folder, path) = place();
        let rewrite = "SET session_replication_role = replica;
            UPDATE audit_event SET actor_id = 'somebodz' WHERE correlation_id = 'n2' RETURNING event_id::text";
        script(&mut story.admin, rewrite).await;
        let id = "SELECT event_id::text FROM audit_event WHERE correlation_id = 'n2'";
        let id = strings(&mut story.admin, id).await.remove(0);
        let changed = export(&story, (None, None), &path).await.unwrap_err();
        assert!(matches!(changed, ExportError::NotInLog(event) if event.to_string() == id));
        assert!(!path.exists() && std::fs::read_dir(path.parent().unwrap()).unwrap().count() == 0);
        story.app.stop().await;
    });
}

// S17
#[test]
fn nothing_in_a_bundle_can_be_another_thing() {
    run(async {
        let story = archived().await;
        story.stand_at(story.day(366));
        let (_folder, path) = place();
        export(&story, (None, None), &path).await.unwrap();
        let files = unpacked(&path);
        check(packed(&files).as_slice(), Some(&key()), Some("acme")).unwrap();
        let with = |at: usize, change: &dyn Fn(&mut Vec<u8>)| {
            let mut files = files.clone();
            change(&mut files[at].1);
            wrong(&files)
        };
        let flip = |byte: usize| move |content: &mut Vec<u8>| content[byte] ^= 1;

        // One byte of each file, at each end and within.
        for byte in [0, 30, files[0].1.len() - 10] {
            assert!(with(0, &flip(byte)).starts_with("manifest: "), "{byte}");
        }
        for byte in [0, 30, files[1].1.len() - 5] {
            let mut files = files.clone();
            files[1].1[byte] ^= 1;
            let bundle = packed(&files);
            let given = check(bundle.as_slice(), Some(&key()), None).unwrap_err();
            assert!(matches!(given, BadBundle::OtherFile("key")), "{given}");
            assert!(check(bundle.as_slice(), None, None).is_err());
        }
        for byte in [0, 30, files[2].1.len() - 10] {
            assert_eq!(with(2, &flip(byte)), "checkpoint: it is not the file of the manifest");
        }
        let text = String::from_utf8(files[3].1.clone()).unwrap();
        let whole: Vec<_> = text.split_inclusive('\n').collect();
        let third = whole[..2].concat().len();
        let in_third = |what: &str| third + whole[2].find(what).unwrap();
        for (byte, why) in [
            (in_third("leaf_index") + 12, "its leaf is not number 3 of the log that was signed"),
            (in_third("\"activity_id\""), "it is no event with its evidence"),
            (in_third("dataset.read"), "its OCSF form is not that of its leaf"),
            (
                in_third("inclusion_proof") + 20,
                "its leaf is not number 2 of the log that was signed",
            ),
        ] {
            // Of base64, as some other letter of it.
            let other = |was: u8| if was == b'A' { b'B' } else { b'A' };
            let said = with(3, &|content: &mut Vec<u8>| {
                let was = content[byte];
                content[byte] = if why.contains("number 2") { other(was) } else { was ^ 1 };
            });
            assert_eq!(said, format!("events.ndjson, line 3: {why}"));
        }

        // A line taken out, said twice, swapped with another, cut off.
        let of = |lines: &[&str]| {
            let text = lines.concat();
            with(3, &|content: &mut Vec<u8>| *content = text.clone().into_bytes())
        };
        let count = whole.len();
        assert_eq!(
            of(&whole[1..]),
            format!("events.ndjson: it has {} lines, and the manifest says {count}", count - 1)
        );
        assert_eq!(of(&[&whole[..4], &whole[5..]].concat()), of(&whole[1..]));
        let order = "events.ndjson, line 3: its leaf 1 does not come after that of the line before";
        assert_eq!(of(&[&whole[..2], &whole[1..]].concat()), order);
        assert_eq!(
            of(&[whole[0], whole[2], whole[1]]),
            order,
            "the first line that is bad is named"
        );
        assert_eq!(
            of(&[&text[..text.len() - 1]]),
            format!("events.ndjson, line {count}: it is too long or cut off")
        );
        let mut other = files.clone();
        other[3].1.extend_from_slice(b" \n");
        assert!(wrong(&other).ends_with("it is no event with its evidence"));

        // Files taken out, moved, added.
        let mut moved = files.clone();
        moved.swap(1, 2);
        assert_eq!(wrong(&moved), "the file key is not where it belongs");
        assert_eq!(wrong(&files[..3].to_vec()), "the file events.ndjson is not where it belongs");
        let mut more = files.clone();
        more.push(("more".to_owned(), Vec::new()));
        assert_eq!(wrong(&more), "there is more in it than the manifest says");
        // What the same key has signed is no manifest.
        let mut checkpoint = files.clone();
        checkpoint[0].1 = files[2].1.clone();
        assert_eq!(wrong(&checkpoint), "manifest: it does not begin with drr.audit-export/v1");

        // Nor is it a checkpoint.
        let acme = drr::auth::TenantId::parse("acme").unwrap();
        let manifest = std::str::from_utf8(&files[0].1).unwrap();
        assert!(SIGNATORY.open(&acme, std::str::from_utf8(&files[2].1).unwrap()).is_ok());
        assert!(SIGNATORY.open(&acme, manifest).is_err());

        // Of another key, and of another tenant.
        let bundle = packed(&files);
        let pem = SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        let other = Signatory::new("drr.example/evidence", pem).unwrap();
        let other = other.verifier_key(&drr::auth::TenantId::parse("acme").unwrap());
        let unsigned = check(bundle.as_slice(), Some(&other), None).unwrap_err();
        assert!(matches!(unsigned, BadBundle::Manifest(BadManifest::Unsigned(_))), "{unsigned}");
        let foreign = check(bundle.as_slice(), None, Some("globex")).unwrap_err();
        assert!(matches!(foreign, BadBundle::OtherTenant(_)), "{foreign}");
        assert!(check(&bundle[..bundle.len() / 2], None, None).is_err());
        assert!(check(&b"no bundle"[..], None, None).is_err());
        story.app.stop().await;
    });
}

// S17
#[test]
fn people_export_and_check_by_the_program() {
    run(async {
        let story = archived().await;
        let (_folder, path) = place();
        let file = path.to_str().unwrap();
        let said = answer(&story, &["audit", "export", "--tenant", "acme", "--out", file]).await;
        assert!(said.starts_with("11 events until "), "{said}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let own = answer(&story, &["audit", "key", "--tenant", "acme"]).await;
        // Without settings, and without a database.
        let verified = |arguments: &[&str]| {
            let arguments = [&["audit", "verify-export"][..], arguments].concat();
            let done = crate::program::output(&arguments);
            (done.status.code(), String::from_utf8(done.stdout).unwrap())
        };
        let (code, said) = verified(&[file]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("good: 11 events of acme until "), "{said}");
        assert!(
            said.contains("checked with the key in the bundle itself") && said.ends_with(&own),
            "{said}"
        );
        let (code, said) = verified(&[file, "--key", own.trim(), "--tenant", "acme"]);
        assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
        assert_eq!(verified(&[file, "--tenant", "globex"]).0, Some(1));

        let mut files = unpacked(&path);
        let text = String::from_utf8(files[3].1.clone()).unwrap();
        files[3].1 = text.replacen("dataset.read", "dataset.reas", 1).into_bytes();
        let bad = path.with_extension("bad");
        std::fs::write(&bad, packed(&files)).unwrap();
        let (code, said) = verified(&[bad.to_str().unwrap(), "--key", own.trim()]);
        assert_eq!(code, Some(1));
        assert_eq!(said, "BAD: events.ndjson, line 1: its OCSF form is not that of its leaf\n");
        let arguments = ["audit", "export", "--tenant", "nobody", "--out", "/dev/null/x"];
        let done = output(&story, &arguments).await;
        assert_eq!(done.status.code(), Some(1));
        assert!(String::from_utf8(done.stderr).unwrap().contains("there is no tenant nobody"));
        story.app.stop().await;
    });
}
