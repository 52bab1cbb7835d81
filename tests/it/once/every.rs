//! Every way to change something takes a key, without knowing it: those that are, and those to come.

use drr::auth::policy::Role;
use reqwest::RequestBuilder;

use super::{Answered, TENANT, count};
use crate::{
    cluster::run,
    policy::{Entry, World, entries},
};

/// What was done, as the trail has it: repetitions are flagged, refusals are none.
const EFFECTS: &str = "SELECT count(*) FROM audit_event WHERE result = 'SUCCESS'
                         AND coalesce(resource, '') NOT LIKE 'idempotency:%'
                         AND action NOT LIKE '%.read'";

async fn send(request: RequestBuilder) -> Answered {
    Answered::of(request.send().await.unwrap()).await
}

/// Sends it as everybody, until somebody may do it: who that is, and the answer.
async fn first(world: &World, entry: &Entry, url: &str, key: &str) -> (String, Answered) {
    for role in Role::ALL {
        let token = world.app.token(TENANT, role);
        let answer = send(entry.keyed(world, url, key).bearer_auth(&token)).await;
        let faults = answer.json().get("errors").is_some();
        if answer.status.is_success() && !faults {
            return (token, answer);
        }
        assert_eq!(answer.code(), "FORBIDDEN", "{}: {:#}", entry.reaches, answer.json());
    }
    panic!("nobody may do {}", entry.reaches);
}

// D43: `every_way_in_is_in_the_list` makes sure that the list has them all.
#[test]
fn every_mutation_and_every_post_counts_once_under_a_key() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        let mut tried = 0;
        for entry in entries().filter(|entry| entry.changes()) {
            let (reaches, url) = (entry.reaches, entry.urls(app).remove(0));
            let key = format!("key-of-{reaches}-{}", entry.operation);
            let before = count(app, EFFECTS).await;
            let (token, made) = first(&world, entry, &url, &key).await;
            let effects = count(app, EFFECTS).await;
            assert!(effects > before, "{reaches}: no effect");

            let under = |key| entry.keyed(&world, &url, key).bearer_auth(&token);
            let again = send(under(&key)).await;
            assert!(again.replayed() && !made.replayed(), "{reaches}: {:#}", again.json());
            assert_eq!((again.status, &again.bytes), (made.status, &made.bytes), "{reaches}");

            let body = under(&key).build().unwrap().body().unwrap().as_bytes().unwrap().to_vec();
            let other = send(under(&key).body([&body[..], b" "].concat())).await;
            let expected = (422, "IDEMPOTENCY_CONFLICT");
            assert_eq!((other.status.as_u16(), other.code().as_str()), expected, "{reaches}");

            let malformed = send(under("two words")).await;
            let expected = (400, "BAD_USER_INPUT");
            let refused = (malformed.status.as_u16(), malformed.code());
            assert_eq!((refused.0, refused.1.as_str()), expected, "{reaches}");
            assert_eq!(count(app, EFFECTS).await, effects, "{reaches}");
            tried += 1;
        }
        assert!(tried >= 6, "{tried}");
    });
}
