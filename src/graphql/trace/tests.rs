use std::sync::Arc;

use async_graphql::{EmptyMutation, EmptySubscription, Object, Response, Schema, Value};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;

use super::{
    FTV1, FederatedTracing,
    recording::MAX_NODES,
    report::{Id, Node, Trace},
};
use crate::{clock::SystemClock, error::Error};

struct Query;

#[Object]
impl Query {
    async fn numbers(&self, count: usize) -> Vec<Query> {
        std::iter::repeat_with(|| Query).take(count).collect()
    }

    async fn one(&self) -> i32 {
        1
    }

    async fn own(&self) -> Option<Result<i32, Error>> {
        Some(Err(Error::Forbidden))
    }

    async fn foreign(&self) -> Option<async_graphql::Result<i32>> {
        Some(Err(async_graphql::Error::new_with_source(std::io::Error::other("secret"))))
    }
}

async fn traced(document: &str) -> (Response, Trace) {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription)
        .extension(FederatedTracing::new(Arc::new(SystemClock)))
        .finish();
    let response = schema.execute(document).await;
    let Some(Value::String(text)) = response.extensions.get(FTV1) else { panic!("no trace") };
    let trace = Trace::decode(STANDARD.decode(text).unwrap().as_slice()).unwrap();
    (response, trace)
}

fn name(name: &str) -> Option<Id> {
    Some(Id::ResponseName(name.to_owned()))
}

/// The nodes below, none outside its parent's time.
fn count(node: &Node, from: u64, to: u64) -> usize {
    let inside = |child: &Node| {
        assert!(from <= child.start_time && child.end_time <= to);
        1 + count(child, child.start_time, child.end_time)
    };
    node.child.iter().map(inside).sum()
}

#[tokio::test]
async fn a_trace_has_the_tree_of_the_answer() {
    let (_, trace) = traced("{ list: numbers(count: 2) { one again: one } one __typename }").await;
    let root = trace.root.unwrap();
    assert_eq!(count(&root, 0, trace.duration_ns), 1 + 2 * 3 + 1);
    let [list, one] = root.child.as_slice() else { panic!("{root:?}") };
    assert_eq!((&list.id, &one.id), (&name("list"), &name("one")));
    assert_eq!((list.original_field_name.as_str(), list.r#type.as_str()), ("numbers", "[Query!]!"));
    assert_eq!((one.parent_type.as_str(), one.r#type.as_str()), ("Query", "Int!"));
    let [first, second] = list.child.as_slice() else { panic!("{list:?}") };
    assert_eq!((&first.id, &second.id), (&Some(Id::Index(0)), &Some(Id::Index(1))));
    assert_eq!(second.child[0].id, name("one"));
    assert_eq!(second.child[1].original_field_name, "one");
    assert!(!trace.is_incomplete && trace.start_time.is_some() && trace.end_time.is_some());
}

#[tokio::test]
async fn an_error_is_where_it_happened_and_shows_no_more_than_the_answer() {
    let (_, trace) = traced("{ numbers(count: 2) { own } foreign }").await;
    let root = trace.root.unwrap();
    let [numbers, foreign] = root.child.as_slice() else { panic!("{root:?}") };
    for element in &numbers.child {
        assert_eq!(element.child[0].error[0].message, "this token may not do this");
        assert_eq!(element.child[0].error[0].location[0].line, 1);
    }
    assert_eq!(foreign.error[0].message, "an internal error occurred");

    let (_, refused) = traced("{ unknown }").await;
    assert!(refused.root.unwrap().error[0].message.contains("unknown"));
}

#[tokio::test]
async fn a_large_answer_has_a_trace_that_says_what_it_lacks() {
    let (response, trace) = traced("{ numbers(count: 30000) { one } }").await;
    assert!(response.is_ok() && trace.is_incomplete);
    assert_eq!(count(&trace.root.unwrap(), 0, trace.duration_ns), MAX_NODES);
}
