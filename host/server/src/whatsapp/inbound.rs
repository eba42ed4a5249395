//! What comes in: durable in the event log before WhatsApp gets its acknowledgement.

use std::sync::Arc;

use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid, async_trait};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::inbox::Inbox;
use switchboard_core::records::event::Incoming;

use super::content::from_protobuf;

/// Commits messages to the event log before they are acknowledged.
pub(super) struct DurableInbox(pub(super) Inbox);

#[async_trait]
impl InboundDurabilityHook for DurableInbox {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[InboundMessage]) -> whatsapp_rust::anyhow::Result<()> {
        let incoming: Vec<Incoming> = batch.iter().filter_map(incoming).collect();
        if !incoming.is_empty() {
            self.0.messages(&incoming).await?;
        }
        Ok(())
    }
}

fn incoming(message: &InboundMessage) -> Option<Incoming> {
    let (content, extras) = from_protobuf(&message.message)?;
    let source = &message.info.source;
    let names = [Some(&source.sender), source.sender_alt.as_ref()];
    let by = |wanted: fn(&Jid) -> bool| names.into_iter().flatten().find(|jid| wanted(jid)).map(|jid| jid.user.to_string());
    let sent_at = u64::try_from(message.info.timestamp.timestamp_millis()).unwrap_or_default();
    Some(Incoming {
        whatsapp_id: message.info.id.to_string(),
        chat: source.chat.to_non_ad_string(),
        from: source.sender.to_non_ad_string(),
        from_phone: by(Jid::is_pn),
        from_lid: by(Jid::is_lid).map(|user| format!("{user}@lid")),
        push_name: Some(message.info.push_name.clone()).filter(|name| !name.is_empty()),
        from_me: source.is_from_me,
        group: source.is_group,
        sent_at: Timestamp(sent_at),
        content,
        extras,
    })
}
