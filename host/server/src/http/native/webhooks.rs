//! Webhook endpoints in the host's own API. A key that is bound to a session reaches the endpoints of that session alone.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::WebhookId;
use switchboard_core::records::webhook::{Attempt, WebhookEndpoint};
use switchboard_core::storage::{DeadDelivery, Replay};

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, JSON_BYTES_MAX, Route, no_content, route};
use crate::webhook::{KEEP_OLD, WebhookChange, WebhookError, WebhookWish};

/// Entries in one answer.
const PAGE_MAX: usize = 200;
/// The resource that scopes name.
const RESOURCE: &str = "webhooks";

pub(super) const ROUTES: &[Route] = &[
    route("GET", "webhooks", |door, call| Box::pin(door.list_webhooks(call))),
    route("POST", "webhooks", |door, call| Box::pin(door.create_webhook(call))),
    route("GET", "webhooks/{id}", |door, call| Box::pin(door.show_webhook(call))),
    route("PATCH", "webhooks/{id}", |door, call| Box::pin(door.change_webhook(call))),
    route("DELETE", "webhooks/{id}", |door, call| Box::pin(door.delete_webhook(call))),
    route("POST", "webhooks/{id}/enable", |door, call| Box::pin(door.enable_webhook(call))),
    route("POST", "webhooks/{id}/test", |door, call| Box::pin(door.test_webhook(call))),
    route("POST", "webhooks/{id}/rotate", |door, call| Box::pin(door.rotate_webhook(call))),
    route("POST", "webhooks/{id}/replay", |door, call| Box::pin(door.replay_webhook(call))),
    route("GET", "webhooks/{id}/attempts", |door, call| Box::pin(door.list_attempts(call))).asked(&["limit", "before"]),
    route("GET", "webhooks/{id}/dead", |door, call| Box::pin(door.list_dead_deliveries(call))).asked(&["limit", "after"]),
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    secret: Option<String>,
    keep_old_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Enabling {
    skip_backlog: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplayWish {
    event: Option<u64>,
    /// Delivers one event also where the filter leaves it out.
    force: bool,
    from: Option<u64>,
    to: Option<u64>,
    failed_since: Option<Timestamp>,
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NoSuchWebhook(_) | WebhookError::NoSuchSession(_) | WebhookError::NoSuchEvent => {
                Self::not_found(error.to_string())
            }
            WebhookError::Invalid { field, at: None, why } => Self::invalid(field, why),
            WebhookError::Invalid { field, at: Some(at), why } => Self::invalid_at(&[field, &at.to_string()], why),
            WebhookError::NotWanted(..) => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "filtered"),
            WebhookError::TooMany | WebhookError::TooMuchOwed => Self::new(StatusCode::CONFLICT, error.to_string()),
            WebhookError::Denied(why) => why.into(),
            WebhookError::Storage(error) => error.into(),
        }
    }
}

impl FrontDoor {
    async fn list_webhooks(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "read").await?;
        let webhooks = self.webhooks.list(&principal).await?;
        let webhooks: Vec<Value> = webhooks.iter().map(webhook_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "webhooks": webhooks })))
    }

    /// Answers with the secret, which is never shown again.
    async fn create_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let wish: WebhookWish = call.json(JSON_BYTES_MAX).await?;
        let (webhook, secret) = self.webhooks.create(&principal, wish).await?;
        Ok(json_answer(StatusCode::CREATED, &with_secret(&webhook, secret)))
    }

    async fn show_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "read").await?;
        let webhook = self.webhooks.find(&principal, call.id(0)?).await?;
        Ok(json_answer(StatusCode::OK, &webhook_json(&webhook)))
    }

    async fn change_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let id: WebhookId = call.id(0)?;
        let change: WebhookChange = call.json(JSON_BYTES_MAX).await?;
        let webhook = self.webhooks.change(&principal, id, change).await?;
        Ok(json_answer(StatusCode::OK, &webhook_json(&webhook)))
    }

    async fn delete_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        self.webhooks.delete(&principal, call.id(0)?).await?;
        Ok(no_content())
    }

    async fn enable_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let id: WebhookId = call.id(0)?;
        let Enabling { skip_backlog } = call.json_or_nothing(JSON_BYTES_MAX).await?;
        let webhook = self.webhooks.enable(&principal, id, skip_backlog).await?;
        Ok(json_answer(StatusCode::OK, &webhook_json(&webhook)))
    }

    /// Answers with the `webhook-id` that the test will have.
    async fn test_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let webhook_id = self.webhooks.test(&principal, call.id(0)?).await?;
        Ok(json_answer(StatusCode::ACCEPTED, &json!({ "webhook_id": webhook_id })))
    }

    /// Answers with the new secret, which is never shown again.
    async fn rotate_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let id: WebhookId = call.id(0)?;
        let wish: Rotation = call.json_or_nothing(JSON_BYTES_MAX).await?;
        let keep_old = wish.keep_old_seconds.map_or(KEEP_OLD, Duration::from_secs);
        let (webhook, secret) = self.webhooks.rotate(&principal, id, wish.secret, keep_old).await?;
        Ok(json_answer(StatusCode::OK, &with_secret(&webhook, secret)))
    }

    /// `next` is where the next call has to begin, when one call did not take everything.
    async fn replay_webhook(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "write").await?;
        let id: WebhookId = call.id(0)?;
        let what = match call.json(JSON_BYTES_MAX).await? {
            ReplayWish { event: Some(n), force, from: None, to: None, failed_since: None } => Replay::Event { n, force },
            ReplayWish { event: None, force: false, from: Some(from), to: Some(to), failed_since: None } => {
                Replay::Range { from, to }
            }
            ReplayWish { event: None, force: false, from: None, to: None, failed_since: Some(since) } => {
                Replay::FailedSince(since)
            }
            _ => {
                let why = "one of these is needed: event, and force if need be; from and to; failed_since";
                return Err(Problem::invalid_at(&[], why));
            }
        };
        let (count, next) = self.webhooks.replay(&principal, id, what).await?;
        Ok(json_answer(StatusCode::ACCEPTED, &json!({ "replayed": count, "next": next })))
    }

    /// `?before=N&limit=M`: attempts, newest first.
    async fn list_attempts(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "read").await?;
        let (query, id) = (call.query(), call.id(0)?);
        let limit = query.limit(PAGE_MAX)?;
        let attempts = self.webhooks.attempts(&principal, id, query.number("before")?, limit).await?;
        let next = attempts.last().map(|attempt| attempt.n).filter(|n| attempts.len() == limit && *n > 1);
        let attempts: Vec<Value> = attempts.iter().map(attempt_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "attempts": attempts, "next_before": next })))
    }

    /// `?after=N&limit=M`: deliveries that were given up, by event number.
    async fn list_dead_deliveries(&self, call: Call) -> Answered {
        let principal = self.tenant(call.headers(), RESOURCE, "read").await?;
        let (query, id) = (call.query(), call.id(0)?);
        let limit = query.limit(PAGE_MAX)?;
        let dead = self.webhooks.dead(&principal, id, query.number("after")?.unwrap_or(0), limit).await?;
        let next = dead.last().and_then(|dead| dead.event).filter(|_| dead.len() == limit);
        let dead: Vec<Value> = dead.iter().map(dead_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "dead": dead, "next_after": next })))
    }
}

fn webhook_json(webhook: &WebhookEndpoint) -> Value {
    json!({
        "id": webhook.id, "name": webhook.name, "url": webhook.url, "session_id": webhook.session,
        "events": webhook.events, "format": webhook.format, "ordered": webhook.ordered, "signing": webhook.signing,
        "public_keys": webhook.public_keys, "headers": webhook.header_names, "active": webhook.active,
        "disabled_reason": webhook.disabled_reason, "failing_since": webhook.failing_since, "failures": webhook.failures,
        "settings": webhook.settings, "reveal_secret": webhook.reveal_secret,
        "created_at": webhook.created_at, "updated_at": webhook.updated_at, "test": webhook.test,
    })
}

fn with_secret(webhook: &WebhookEndpoint, secret: Option<String>) -> Value {
    let mut body = webhook_json(webhook);
    if let (Some(body), Some(secret)) = (body.as_object_mut(), secret) {
        body.insert("secret".to_owned(), secret.into());
    }
    body
}

fn attempt_json(attempt: &Attempt) -> Value {
    json!({
        "n": attempt.n, "webhook_id": attempt.webhook_id, "event": attempt.event, "at": attempt.at,
        "attempt": attempt.attempt, "status": attempt.status, "error": attempt.error, "ms": attempt.took_ms,
        "answer": attempt.answer, "event_name": attempt.event_name,
    })
}

fn dead_json(dead: &DeadDelivery) -> Value {
    let delivery = &dead.delivery;
    json!({
        "event": dead.event, "webhook_id": delivery.webhook_id, "session_id": delivery.session, "tries": delivery.tries,
        "last_error": delivery.last_error, "created_at": delivery.created_at, "given_up_at": delivery.updated_at,
    })
}
