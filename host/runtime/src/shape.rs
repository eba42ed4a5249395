//! Calls the `webhook` interface: an event becomes the body and headers of an outgoing request.

use switchboard_core::flow::delivery_worker::{Payload, PayloadSigning};
use switchboard_core::records::event::Event;
use switchboard_core::records::session::Session;

use crate::bindings::webhook_world::exports::switchboard::plugin::webhook as wit_webhook;
use crate::convert;
use crate::log::short_words;
use crate::outcome::{Called, Limit, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};

impl Runtime {
    /// Calls `webhook.shape`. `None` leaves the event out.
    pub async fn shape(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        event: &Event,
        session: &Session,
        format: &str,
    ) -> Called<Option<Payload>> {
        let Some(pre) = &plugin.webhook else { return not_served("webhook") };
        let (event, session) = (convert::event(event), convert::session(session));
        let called = self
            .call(context, async |store| {
                let instance = pre.instantiate_async(&mut *store).await?;
                instance.switchboard_plugin_webhook().call_shape(store, &event, &session, format).await
            })
            .await;
        let outcome = match called.outcome {
            Outcome::Reply(Ok(payload)) => self.checked_payload(payload.map(core_payload)),
            Outcome::Reply(Err(why)) => Outcome::PluginError(short_words(&why)),
            Outcome::PluginError(why) => Outcome::PluginError(why),
            Outcome::Trap(why) => Outcome::Trap(why),
            Outcome::LimitExceeded(limit, why) => Outcome::LimitExceeded(limit, why),
        };
        Called { outcome, report: called.report }
    }

    fn checked_payload(&self, payload: Option<Payload>) -> Outcome<Option<Payload>> {
        let Some(shaped) = &payload else { return Outcome::Reply(None) };
        let header_bytes = shaped.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let bytes = shaped.body.len() + header_bytes;
        let limit = self.limits.output_bytes_max;
        if bytes > limit {
            let why = format!("a payload of {bytes} bytes; the limit is {limit}");
            return Outcome::LimitExceeded(Limit::Bytes, why);
        }
        Outcome::Reply(payload)
    }
}

fn core_payload(payload: wit_webhook::Payload) -> Payload {
    Payload {
        headers: payload.headers.into_iter().map(|field| (field.name, field.value)).collect(),
        body: payload.body,
        signing: match payload.signing {
            wit_webhook::Signing::StandardWebhooks => PayloadSigning::Standard,
            wit_webhook::Signing::HmacSha256(header) => PayloadSigning::HmacSha256(header),
            wit_webhook::Signing::None => PayloadSigning::None,
        },
    }
}
