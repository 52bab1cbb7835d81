use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::{EmptyMutation, EmptySubscription, Interface, Object, Request, Schema};
use futures::FutureExt;
use proptest::prelude::*;
use tokio::task::yield_now;

use super::*;
use crate::error::Error;

/// How many fields wait at once, and how many did at the most.
#[derive(Debug, Default)]
struct Waits(AtomicUsize, AtomicUsize);

struct Thing(i32);

#[Object]
impl Thing {
    async fn id(&self) -> i32 {
        self.0
    }

    async fn name(&self) -> String {
        format!("thing {}", self.0)
    }

    async fn nothing(&self) -> Option<i32> {
        None
    }

    async fn slow(&self, context: &Context<'_>, turns: Option<u8>) -> i32 {
        let waits = context.data_unchecked::<Arc<Waits>>();
        let now = waits.0.fetch_add(1, Ordering::SeqCst) + 1;
        waits.1.fetch_max(now, Ordering::SeqCst);
        for _ in 0..turns.unwrap_or(3) {
            yield_now().await;
        }
        waits.0.fetch_sub(1, Ordering::SeqCst);
        self.0 * 2
    }

    async fn broken(&self) -> Nullable<i32> {
        nullable(Err(Error::bad_input("thing", "is broken")))
    }

    async fn fatal(&self) -> Result<i32> {
        yield_now().await;
        Err(Error::bad_input("thing", "is broken for good"))
    }

    async fn parts(&self) -> Vec<Direct<Thing>> {
        (1..4).map(|part| Direct(Thing(self.0 * 10 + part))).collect()
    }

    async fn part(&self) -> Nullable<Direct<Thing>> {
        yield_now().await;
        direct(Ok(Some(Thing(self.0 + 1))))
    }
}

#[derive(Interface)]
#[graphql(field(name = "id", ty = "i32"))]
enum Numbered {
    Thing(Thing),
}

struct Query;

#[Object]
impl Query {
    async fn thing(&self) -> Direct<Thing> {
        Direct(Thing(1))
    }

    async fn numbered(&self) -> Numbered {
        Numbered::Thing(Thing(7))
    }
}

type Things = Schema<Query, EmptyMutation, EmptySubscription>;

/// An answer, its data as it is sent, and how many fields waited at once.
fn ask(document: &str, library: bool) -> (serde_json::Value, String, usize) {
    let waits = Arc::new(Waits::default());
    let schema = Things::build(Query, EmptyMutation, EmptySubscription).finish();
    let request = Request::new(document).data(waits.clone());
    let request = if library { request.data(Traced) } else { request };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(schema.execute(request).boxed());
    // The order of its members counts, which the value below does not keep.
    let data = serde_json::to_string(&answer.data).unwrap();
    let mut answer = serde_json::to_value(answer).unwrap();
    if let Some(errors) = answer.get_mut("errors").and_then(|errors| errors.as_array_mut()) {
        errors.sort_by_key(ToString::to_string);
    }
    (answer, data, waits.1.load(Ordering::SeqCst))
}

fn same(document: &str) -> serde_json::Value {
    let (answer, data, _) = ask(document, false);
    let (expected, expected_data, _) = ask(document, true);
    assert_eq!((&answer, data), (&expected, expected_data), "{document}");
    answer
}

#[test]
fn an_answer_is_the_one_that_the_library_gives() {
    let data = same(
        "{ thing { id slow name last: slow(turns: 1) nothing parts { id slow } __typename } }",
    );
    let thing = &data["data"]["thing"];
    assert_eq!((&thing["last"], &thing["parts"][2]["slow"]), (&2.into(), &26.into()));
    same(
        "{ thing { ...A ... on Thing { name } ... { nothing } } } fragment A on Thing { id part { id } }",
    );
    same("{ thing { ... on Numbered { id } name } numbered { id ... on Thing { part { id } } } }");
    same("{ thing { part { id } part { name } id id } }");
    same("{ thing { id @include(if: false) name @skip(if: false) } }");
    assert_eq!(
        same("{ thing { id broken part { broken id } } }")["errors"].as_array().unwrap().len(),
        2
    );
    assert_eq!(same("{ thing { id part { id fatal } name } }")["data"]["thing"]["name"], "thing 1");
    assert!(same("{ thing { slow fatal } }")["data"].is_null());
    let many: String = (0..60).map(|number| format!("f{number}: id ")).collect();
    same(&format!("{{ thing {{ {many} }} }}"));
}

#[test]
fn fields_that_wait_do_so_side_by_side() {
    let document = "{ thing { a: slow b: slow parts { a: slow b: slow } c: slow } }";
    let (_, _, at_once) = ask(document, false);
    assert_eq!(at_once, 9, "of an object, and of all objects of a list");
    assert_eq!(ask(document, true).2, at_once);
}

fn selections() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("id".to_owned()),
        Just("name".to_owned()),
        Just("slow".to_owned()),
        Just("slow1: slow(turns: 1)".to_owned()),
        Just("broken".to_owned()),
        Just("__typename".to_owned()),
        Just("nothing".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let many = prop::collection::vec(inner, 1..6);
        (0..5_u8, many).prop_map(|(kind, many)| {
            let many = many.join(" ");
            match kind {
                0 => format!("part {{ {many} }}"),
                1 => format!("parts {{ {many} }}"),
                2 => format!("other: part {{ {many} }}"),
                3 => format!("... on Thing {{ {many} }}"),
                _ => format!("id ... {{ {many} }} name"),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_is_asked_the_answer_is_the_librarys(selection in selections()) {
        same(&format!("{{ thing {{ {selection} }} }}"));
    }
}
