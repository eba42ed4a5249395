//! Calls the `webhook` interface: an event becomes the bodies and headers of outgoing requests.

use switchboard_core::flow::delivery_worker::{HmacContent, HmacHeader, Payload, PayloadSigning};
use switchboard_core::records::event::Event;
use switchboard_core::records::message::Message;
use switchboard_core::records::session::Session;
use switchboard_core::records::webhook::WebhookEndpoint;
use switchboard_core::storage::OptionTally;

use crate::bindings::webhook_world::exports::switchboard::plugin::webhook as wit_webhook;
use crate::convert;
use crate::log::short_words;
use crate::outcome::{Called, Limit, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};

/// Requests that a format makes of one event.
const PAYLOADS_MAX: usize = 4;

/// What is to be shaped.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'a> {
    /// What happened.
    pub event: &'a Event,
    /// To which session.
    pub session: &'a Session,
    /// The accepted message that came further.
    pub message: Option<&'a Message>,
    /// Of a vote: how its poll stands.
    pub poll: &'a [OptionTally],
    /// The body that the host's own format has of it, JSON.
    pub standard: &'a [u8],
    /// Where the requests go.
    pub endpoint: &'a WebhookEndpoint,
}

impl Runtime {
    /// Calls `webhook.shape`. No payload at all leaves the event out.
    pub async fn shape(&self, plugin: &LoadedPlugin, context: &CallContext, matter: &Matter<'_>) -> Called<Vec<Payload>> {
        let Some(pre) = &plugin.webhook else { return not_served("webhook") };
        let (event, about, endpoint) = (convert::event(matter.event), about(matter), endpoint(matter.endpoint));
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_webhook().call_shape(store, &event, &about, &endpoint).await
                })
            })
            .await;
        let outcome = match called.outcome {
            Outcome::Reply(Ok(payloads)) => {
                checked_payloads(payloads.into_iter().map(core_payload).collect(), self.output_bytes_max(context))
            }
            Outcome::Reply(Err(why)) => Outcome::PluginError(short_words(&why)),
            Outcome::PluginError(why) => Outcome::PluginError(why),
            Outcome::Trap(why) => Outcome::Trap(why),
            Outcome::LimitExceeded(limit, why) => Outcome::LimitExceeded(limit, why),
        };
        Called { outcome, report: called.report }
    }
}

fn checked_payloads(payloads: Vec<Payload>, limit: usize) -> Outcome<Vec<Payload>> {
    if payloads.len() > PAYLOADS_MAX {
        let why = format!("{} requests of one event; the limit is {PAYLOADS_MAX}", payloads.len());
        return Outcome::PluginError(why);
    }
    let header_bytes = |payload: &Payload| {
        payload.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + payload.name.len()
    };
    let bytes: usize = payloads.iter().map(|payload| payload.body.len() + header_bytes(payload)).sum();
    if bytes > limit {
        let why = format!("payloads of {bytes} bytes; the limit is {limit}");
        return Outcome::LimitExceeded(Limit::Bytes, why);
    }
    Outcome::Reply(payloads)
}

fn about(matter: &Matter<'_>) -> wit_webhook::About {
    let option = |tally: &OptionTally| wit_webhook::OptionTally {
        name: tally.option.clone(),
        voters: tally.voters.iter().map(convert::person).collect(),
    };
    wit_webhook::About {
        session: convert::session(matter.session),
        message: matter.message.map(convert::message),
        poll: matter.poll.iter().map(option).collect(),
        standard: String::from_utf8_lossy(matter.standard).into_owned(),
    }
}

fn endpoint(endpoint: &WebhookEndpoint) -> wit_webhook::Endpoint {
    wit_webhook::Endpoint {
        id: endpoint.id.0,
        format: endpoint.format.clone(),
        events: endpoint.events.clone(),
        settings: convert::settings(&endpoint.settings),
        reveal_secret: endpoint.reveal_secret,
    }
}

fn core_payload(payload: wit_webhook::Payload) -> Payload {
    Payload {
        name: payload.name,
        headers: payload.headers.into_iter().map(|field| (field.name, field.value)).collect(),
        body: payload.body,
        signing: match payload.signing {
            wit_webhook::Signing::StandardWebhooks => PayloadSigning::Standard,
            wit_webhook::Signing::HmacSha256(hmac) => PayloadSigning::Hmac(HmacHeader {
                header: hmac.header,
                prefix: hmac.prefix,
                content: match hmac.content {
                    wit_webhook::HmacContent::Body => HmacContent::Body,
                    wit_webhook::HmacContent::TimestampAndBody => HmacContent::TimestampAndBody,
                },
                timestamp_header: hmac.timestamp_header,
            }),
            wit_webhook::Signing::SecretIn(header) => PayloadSigning::SecretIn(header),
            wit_webhook::Signing::None => PayloadSigning::None,
        },
    }
}
