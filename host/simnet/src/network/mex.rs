//! `w:mex`: GraphQL behind the scenes, persisted queries by number at the door.
//!
//! A query is `<query query_id="…">{"variables":{…}}</query>`, the answer `<result>{"data":{…},"errors":[…]}</result>`
//! (wacore 0.7.0 `iq/mex.rs`, Baileys 7 `Socket/mex.js`). Each room that has operations is asked in turn; a number that
//! none of them knows gets a GraphQL error, never silence.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::newsletters::NewsletterFault;
use super::{LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// Why a query has no data. Clients get it inside a result, as GraphQL has it.
#[derive(Debug, thiserror::Error)]
enum MexFault {
    #[error("the query is not JSON with variables: {0}")]
    Malformed(serde_json::Error),
    // whatsapp-rust 0.7.0 knows by these words that its numbers are out of date.
    #[error("unknown query: no persisted query has the doc_id {0:?}")]
    Unknown(String),
    #[error(transparent)]
    Newsletter(#[from] NewsletterFault),
}

impl MexFault {
    fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Unknown(_) => 400,
            Self::Newsletter(fault) => fault.code(),
        }
    }

    fn body(&self) -> Value {
        let extensions =
            json!({ "error_code": self.code(), "is_retryable": false, "is_summary": false, "severity": "CRITICAL" });
        json!({ "data": null, "errors": [{ "message": self.to_string(), "extensions": extensions }] })
    }
}

impl Network {
    /// Requests in the `w:mex` namespace. False when this is none.
    pub(super) fn receive_mex_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let Some(query) = node.get_optional_child("query") else {
            return false;
        };
        let query_id = wire::attribute(query, "query_id").unwrap_or_default();
        let body = self.answer_mex(key, &query_id, wire::content(query).unwrap_or_default()).unwrap_or_else(|fault| {
            tracing::debug!(query_id, %fault, "a query is refused");
            fault.body()
        });
        let body = NodeBuilder::new("result").bytes(body.to_string().into_bytes()).build();
        self.send(link, wire::result(id).children([body]).build());
        true
    }

    /// The whole answer, with its data or its errors.
    fn answer_mex(&mut self, key: &DeviceKey, query_id: &str, payload: &[u8]) -> Result<Value, MexFault> {
        if let Some(body) = self.answer_group_mex(key, query_id, payload) {
            return Ok(body);
        }
        let payload: Value = serde_json::from_slice(payload).map_err(MexFault::Malformed)?;
        let variables = payload.get("variables").unwrap_or(&Value::Null);
        if let Some(data) = self.newsletter_operation(key, query_id, variables) {
            return Ok(json!({ "data": data? }));
        }
        if let Some(data) = self.account_operation(query_id, variables) {
            return Ok(json!({ "data": data }));
        }
        Err(MexFault::Unknown(query_id.to_owned()))
    }
}
