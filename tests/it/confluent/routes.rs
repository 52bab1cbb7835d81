//! Each route, over the life of a few subjects.

use reqwest::Method;
use serde_json::{Value, json};

use super::{APPROVE, MEDIA, REJECT, Registry, SUBJECTS, avro, refusal};
use crate::cluster::run;

const VERSIONS: &str = "/confluent/subjects/orders-value/versions";
const COMPATIBILITY: &str = "/confluent/compatibility/subjects/orders-value/versions";
const CONFIG: &str = "/confluent/config/orders-value";

// S5, S6, S16
#[test]
fn what_is_registered_waits_for_somebody_else() {
    run(async {
        let registry = Registry::start().await;
        let (author, reader) = (registry.author("acme"), registry.reader("acme"));
        let first = avro(&["id:long"]);
        let id = registry.register(&author, "orders-value", first.clone()).await;
        // The same again is the same, in whichever words.
        assert_eq!(registry.register(&author, "orders-value", first.clone()).await, id);
        assert_eq!(registry.register(&author, "default.orders-value", first.clone()).await, id);
        let whole = "tenant.acme.default.orders-value";
        assert_eq!(registry.register(&author, whole, first.clone()).await, id);
        // Its messages can be read, and it is not in use.
        let by_id = format!("/confluent/schemas/ids/{id}");
        let told = json!({ "schema": first["schema"] });
        assert_eq!(registry.get(&reader, &by_id).await, (200, told.clone()));
        assert_eq!(registry.get(&reader, &format!("{by_id}/subjects")).await, (200, json!([])));
        assert_eq!(registry.get(&reader, SUBJECTS).await, (200, json!([])));
        for path in [VERSIONS.to_owned(), format!("{VERSIONS}/latest"), format!("{VERSIONS}/1")] {
            assert_eq!(refusal(registry.get(&reader, &path).await), (404, 40401), "{path}");
        }
        let lookup = format!("{SUBJECTS}/orders-value");
        let missing = registry.post(&reader, &lookup, first.clone()).await;
        assert_eq!(refusal(missing), (404, 40401));
        let (status, found) =
            registry.post(&reader, &format!("{lookup}?deleted=True"), first.clone()).await;
        assert_eq!((status, &found["id"], &found["version"]), (200, &json!(id), &json!(1)));
        // Rejected, it is a draft that nobody reads by its number, and can be put forward again.
        assert_eq!(registry.decide("acme", REJECT, &json!({ "reason": "no" }), "").await, 1);
        assert_eq!(refusal(registry.get(&reader, &by_id).await), (404, 40403));
        assert_eq!(registry.register(&author, "orders-value", first.clone()).await, id);
        assert_eq!(registry.approve("acme").await, 1);
        assert_eq!(registry.get(&reader, SUBJECTS).await, (200, json!(["orders-value"])));
        assert_eq!(registry.get(&reader, VERSIONS).await, (200, json!([1])));
        let whole =
            json!({ "subject": "orders-value", "id": id, "version": 1, "schema": first["schema"] });
        for path in ["latest", "-1", "1"] {
            let answer = registry.get(&reader, &format!("{VERSIONS}/{path}")).await;
            assert_eq!(answer, (200, whole.clone()), "{path}");
        }
        assert_eq!(registry.post(&reader, &lookup, first.clone()).await, (200, whole.clone()));
        assert_eq!(registry.get(&reader, "/confluent/schemas").await, (200, json!([whole])));
        let text = registry.send(&reader, Method::GET, &format!("{VERSIONS}/1/schema"), None).await;
        assert_eq!(text.headers()["content-type"], MEDIA);
        assert_eq!(text.text().await.unwrap(), first["schema"].as_str().unwrap());
        let text = registry.send(&reader, Method::GET, &format!("{by_id}/schema"), None).await;
        assert_eq!(text.text().await.unwrap(), first["schema"].as_str().unwrap());
        let used = json!([{ "subject": "orders-value", "version": 1 }]);
        assert_eq!(registry.get(&reader, &format!("{by_id}/versions")).await, (200, used));
        let subjects = registry.get(&reader, &format!("{by_id}/subjects")).await;
        assert_eq!(subjects, (200, json!(["orders-value"])));
        registry.app.stop().await;
    });
}

// S5, S6
#[test]
fn what_was_agreed_to_beforehand_is_in_use_at_once() {
    run(async {
        let registry = Registry::start().await;
        let (author, reader) = (registry.author("acme"), registry.reader("acme"));
        let first = registry.register(&author, "orders-value", avro(&["id:long"])).await;
        registry.approve("acme").await;
        registry.stand_but("acme", "").await;
        let wider = avro(&["id:long", "note:string="]);
        let ask = |path: &str, body: Value| {
            let path = format!("{COMPATIBILITY}{path}");
            let (registry, reader) = (&registry, &reader);
            async move { registry.post(reader, &path, body).await }
        };
        for path in ["/latest", "/1", ""] {
            let answer = ask(path, wider.clone()).await;
            assert_eq!(answer, (200, json!({ "is_compatible": true })), "{path}");
        }
        let second = registry.register(&author, "orders-value", wider.clone()).await;
        assert_ne!(second, first);
        assert_eq!(registry.get(&reader, VERSIONS).await, (200, json!([1, 2])));
        let broken = avro(&["id:long", "note:string=", "state:string"]);
        for path in ["/latest", "/1", ""] {
            let (status, answer) = ask(&format!("{path}?verbose=true"), broken.clone()).await;
            assert_eq!((status, &answer["is_compatible"]), (200, &json!(false)), "{path}");
            assert!(answer["messages"][0].as_str().unwrap().contains("state"), "{answer}");
        }
        let refused = registry.post(&author, VERSIONS, broken.clone()).await;
        assert!(refused.1["message"].as_str().unwrap().contains("state"), "{refused:?}");
        assert_eq!(refusal(refused), (409, 409));
        // What is refused is not even a draft.
        let mut admin = registry.app.admin().await;
        let drafts = "SELECT count(*)::text FROM schema_version";
        assert_eq!(crate::door::world::strings(&mut admin, drafts).await, ["2"]);

        // Another promise, under which it may be; and nobody has agreed under that.
        let level = |level: &str| json!({ "compatibilityLevel": level });
        assert_eq!(registry.get(&reader, CONFIG).await, (200, level("BACKWARD")));
        let set = Some(json!({ "compatibility": "none" }));
        let set = registry.ask(&author, Method::PUT, CONFIG, set).await;
        assert_eq!(set, (200, json!({ "compatibility": "NONE" })));
        assert_eq!(registry.get(&reader, CONFIG).await, (200, level("NONE")));
        assert_eq!(ask("/latest", broken.clone()).await.1["is_compatible"], true);
        let third = registry.register(&author, "orders-value", broken.clone()).await;
        assert_eq!(registry.get(&reader, VERSIONS).await, (200, json!([1, 2])));
        assert_eq!(registry.delete(&author, CONFIG).await, (200, level("NONE")));
        assert_eq!(registry.get(&reader, CONFIG).await, (200, level("BACKWARD")));
        assert_eq!(registry.register(&author, "orders-value", broken).await, third);

        // What refers to a version.
        let reference = json!([{ "name": "Order", "subject": "orders-value", "version": 2 }]);
        let basket = json!({ "type": "record", "name": "Basket", "fields": [{ "name": "of", "type": "Order" }] });
        let basket = json!({ "schema": basket.to_string(), "references": reference });
        let id = registry.register(&author, "sales.Basket", basket.clone()).await;
        registry.approve_but("acme", "orders-value").await;
        let path = format!("{VERSIONS}/2/referencedby");
        assert_eq!(registry.get(&reader, &path).await, (200, json!([id])));
        let path = format!("{VERSIONS}/1/referencedby");
        assert_eq!(registry.get(&reader, &path).await, (200, json!([])));
        let (_, told) = registry.get(&reader, &format!("/confluent/schemas/ids/{id}")).await;
        assert_eq!(told, basket);
        let list = |query: &str| {
            let path = format!("{SUBJECTS}?{query}");
            let (registry, reader) = (&registry, &reader);
            async move { registry.get(reader, &path).await.1 }
        };
        assert_eq!(list("").await, json!(["orders-value", "sales.Basket"]));
        assert_eq!(list("subjectPrefix=sales.").await, json!(["sales.Basket"]));
        assert_eq!(list("subjectPrefix=:*:o").await, json!(["orders-value"]));
        assert_eq!(list("offset=1&limit=-1").await, json!(["sales.Basket"]));
        assert_eq!(list("limit=1").await, json!(["orders-value"]));
        let (_, all) = registry.get(&reader, "/confluent/schemas?latestOnly=true").await;
        let numbers: Vec<_> = all.as_array().unwrap().iter().map(|of| &of["id"]).collect();
        assert_eq!(numbers, [&json!(second), &json!(id)]);
        registry.app.stop().await;
    });
}

// S5, S16
#[test]
fn what_is_deleted_is_deprecated_and_nothing_is_ever_gone() {
    run(async {
        let registry = Registry::start().await;
        let (author, reader) = (registry.author("acme"), registry.reader("acme"));
        let first = registry.register(&author, "orders-value", avro(&["id:long"])).await;
        registry.approve("acme").await;
        let second = avro(&["id:long", "note:string="]);
        registry.register(&author, "orders-value", second.clone()).await;
        registry.approve("acme").await;
        // It waits for somebody to agree, and is asked for once.
        for _ in 0..2 {
            assert_eq!(registry.delete(&author, &format!("{VERSIONS}/1")).await, (200, json!(1)));
        }
        assert_eq!(registry.get(&reader, VERSIONS).await, (200, json!([1, 2])));
        assert_eq!(registry.approve("acme").await, 1);
        assert_eq!(registry.get(&reader, VERSIONS).await, (200, json!([2])));
        assert_eq!(refusal(registry.get(&reader, &format!("{VERSIONS}/1")).await), (404, 40402));
        let all = registry.get(&reader, &format!("{VERSIONS}?deleted=true")).await;
        assert_eq!(all, (200, json!([1, 2])));
        let gone = registry.delete(&author, &format!("{VERSIONS}/1")).await;
        assert_eq!(refusal(gone), (404, 40406));
        // At once where that was agreed to.
        registry.stand_but("acme", "").await;
        let subject = format!("{SUBJECTS}/orders-value");
        let permanent = registry.delete(&author, &format!("{subject}?permanent=true")).await;
        assert_eq!(refusal(permanent), (422, 42205));
        assert_eq!(registry.delete(&author, &subject).await, (200, json!([2])));
        assert_eq!(registry.get(&reader, SUBJECTS).await, (200, json!([])));
        let deleted = registry.get(&reader, &format!("{SUBJECTS}?deleted=true")).await;
        assert_eq!(deleted, (200, json!(["orders-value"])));
        assert_eq!(refusal(registry.get(&reader, VERSIONS).await), (404, 40401));
        assert_eq!(refusal(registry.delete(&author, &subject).await), (404, 40404));
        let latest = format!("{VERSIONS}/latest?deleted=true");
        assert_eq!(refusal(registry.get(&reader, &latest).await), (404, 40402));
        let (status, told) = registry.get(&reader, &format!("{VERSIONS}/1?deleted=true")).await;
        assert_eq!((status, &told["id"]), (200, &json!(first)));
        let by_id = format!("/confluent/schemas/ids/{first}");
        assert_eq!(registry.get(&reader, &by_id).await.0, 200);
        let used = registry.get(&reader, &format!("{by_id}/subjects?deleted=true")).await;
        assert_eq!(used, (200, json!(["orders-value"])));
        // The same again has the number that it has, as long as it is not retired.
        assert_eq!(registry.register(&author, "orders-value", avro(&["id:long"])).await, first);
        registry.retire(&author, "tenant.acme.default.orders-value@1").await;
        assert_eq!(registry.approve("acme").await, 1);
        let refused = registry.post(&author, VERSIONS, avro(&["id:long"])).await;
        assert!(refused.1["message"].as_str().unwrap().contains("retired"), "{refused:?}");
        assert_eq!(refusal(refused), (409, 409));
        // What was written with it can be read for as long as there is any.
        assert_eq!(registry.get(&reader, &by_id).await.0, 200);
        registry.app.stop().await;
    });
}

// S5, S6
#[test]
fn many_that_register_the_same_at_once_have_one_number() {
    run(async {
        let registry = Registry::start().await;
        let author = registry.author("acme");
        let all = (0..8).map(|_| registry.register(&author, "orders-value", avro(&["id:long"])));
        let ids = futures::future::join_all(all).await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let mut admin = registry.app.admin().await;
        let sql = "SELECT (SELECT count(*) FROM schema_version) || ' '
                       || (SELECT count(*) FROM schema_transition)";
        assert_eq!(crate::door::world::strings(&mut admin, sql).await, ["1 1"]);
        // And of several that differ each has its own.
        registry.approve("acme").await;
        registry.stand_but("acme", "").await;
        let all = (0..4).map(|number| {
            let note = format!("note{number}:string=");
            let fields = avro(&["id:long", &note]);
            let (registry, author) = (&registry, &author);
            async move { registry.register(author, "orders-value", fields).await }
        });
        let mut ids = futures::future::join_all(all).await;
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        registry.app.stop().await;
    });
}

// S16
#[test]
fn what_there_is_for_all_subjects() {
    run(async {
        let registry = Registry::start().await;
        let reader = registry.reader("acme");
        for (path, answer) in [
            ("", json!({})),
            ("/", json!({})),
            ("/contexts", json!(["."])),
            ("/schemas/types", json!(["JSON", "PROTOBUF", "AVRO"])),
            ("/schemas", json!([])),
            ("/config", json!({ "compatibilityLevel": "BACKWARD" })),
            ("/config/nothing?defaultToGlobal=true", json!({ "compatibilityLevel": "BACKWARD" })),
            ("/mode", json!({ "mode": "READWRITE" })),
            ("/mode/nothing", json!({ "mode": "READWRITE" })),
        ] {
            let path = format!("/confluent{path}");
            assert_eq!(registry.get(&reader, &path).await, (200, answer), "{path}");
        }
        registry.app.stop().await;
    });
}

const NUMBER: &str =
    r#"{ "type": "object", "properties": { "code": { "type": "string", "pattern": "^a+$" } } }"#;
const OTHER: &str =
    r#"{ "type": "object", "properties": { "code": { "type": "string", "pattern": "^(a)+$" } } }"#;

// S5
#[test]
fn what_cannot_be_told_is_not_compatible() {
    run(async {
        let registry = Registry::start().await;
        let (author, reader) = (registry.author("acme"), registry.reader("acme"));
        let json = |text: &str| json!({ "schemaType": "JSON", "schema": text });
        registry.register(&author, "codes-value", json(NUMBER)).await;
        registry.approve("acme").await;
        registry.stand_but("acme", "").await;
        let path = "/confluent/compatibility/subjects/codes-value/versions/latest?verbose=true";
        let (status, answer) = registry.post(&reader, path, json(OTHER)).await;
        assert_eq!((status, &answer["is_compatible"]), (200, &json!(false)));
        let told = answer["messages"][0].as_str().unwrap();
        assert!(told.contains("cannot be told"), "{answer}");
        // It is a person's to say, whatever was agreed to beforehand.
        registry.register(&author, "codes-value", json(OTHER)).await;
        let versions = registry.get(&reader, &format!("{SUBJECTS}/codes-value/versions")).await;
        assert_eq!(versions, (200, json!([1])));
        let why = json!({ "overrideReason": "the same by hand" });
        assert_eq!(registry.decide("acme", APPROVE, &why, "").await, 1);
        let versions = registry.get(&reader, &format!("{SUBJECTS}/codes-value/versions")).await;
        assert_eq!(versions, (200, json!([1, 2])));
        // Of another format nothing is compatible.
        let (_, answer) = registry.post(&reader, path, avro(&["id:long"])).await;
        assert_eq!(answer["is_compatible"], false);
        let path = format!("{SUBJECTS}/codes-value/versions");
        let refused = registry.post(&author, &path, avro(&["id:long"])).await;
        assert_eq!(refusal(refused), (409, 409));
        registry.app.stop().await;
    });
}
