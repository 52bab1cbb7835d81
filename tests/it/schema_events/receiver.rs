//! A receiver of the webhook that keeps what it takes, and answers what it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drr::webhook::{SigningSecret, Webhook};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::breach::webhook::hmac;

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

#[derive(Default)]
pub struct Receiver {
    /// What it took.
    got: Mutex<Vec<Value>>,
    /// What it was sent, taken or not: the ids.
    sent: Mutex<Vec<String>>,
    /// What to answer, one after the other; 204 when there is nothing left.
    answers: Mutex<VecDeque<u16>>,
    /// Of which source it takes nothing.
    refused: Mutex<Option<String>>,
}

async fn receive(State(own): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header(header::CONTENT_TYPE.as_str()), "application/cloudevents+json");
    let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let signed = hmac(SECRET, &[signed.as_bytes(), &body].concat());
    let signature = format!("v1,{}", STANDARD.encode(signed));
    assert_eq!(header("webhook-signature"), signature);
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["id"], header("webhook-id"));
    own.sent.lock().unwrap().push(header("webhook-id").to_owned());
    let refused = own.refused.lock().unwrap().clone();
    if refused.is_some_and(|source| event["source"] == source.as_str()) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let answer = own.answers.lock().unwrap().pop_front().unwrap_or(204);
    let answer = StatusCode::from_u16(answer).unwrap();
    if answer.is_success() {
        own.got.lock().unwrap().push(event);
    }
    answer
}

impl Receiver {
    /// Listens; whoever ends the task ends the receiver.
    pub async fn listen(self: &Arc<Self>, at: &str) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = Router::new().route("/hook", post(receive)).with_state(self.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (address, task)
    }

    pub fn answer(&self, with: &[u16]) {
        self.answers.lock().unwrap().extend(with);
    }

    /// Takes nothing of this source.
    pub fn refuse(&self, source: Option<&str>) {
        *self.refused.lock().unwrap() = source.map(str::to_owned);
    }

    pub fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }

    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

pub fn webhook(address: &str) -> Box<Webhook> {
    let secret = SigningSecret::parse(&format!("whsec_{}", STANDARD.encode(SECRET))).unwrap();
    Box::new(Webhook::new(&format!("http://{address}/hook"), secret).unwrap())
}
