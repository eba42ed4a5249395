//! What clients ask of newsletters through `w:mex`: persisted queries by number, with JSON in and out.
//!
//! The numbers change with each release of WhatsApp Web. Those here are wacore 0.7.0's (`mex_operations.rs`), Baileys 7's
//! (`Types/Mex.js`) and whatsmeow's for the web. One number may stand for two operations that answer under two names; then
//! both names are answered.

use serde_json::{Value, json};

use super::queries::{PAGE, directory_categories, newsletter_id, previewable_domains};
use super::rules::Mute;
use super::{NewsletterFault, answers};
use crate::address::DeviceKey;
use crate::network::Network;

/// What a query is about, with the names under which its answer stands where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    AcceptAdminInvite,
    AdminInfo,
    AdminInvitesAndSubscribers,
    ChangeOwner,
    Create,
    Delete,
    Demote { field: &'static str },
    DirectoryCategories,
    DirectoryList { field: &'static str },
    Enforcements,
    Fetch,
    Followers { field: &'static str, list: &'static str },
    Insights,
    InviteAdmin,
    Join,
    Leave,
    LogExposures,
    Mute { field: &'static str, muted: bool },
    Pin { field: &'static str, pinned: bool },
    PreviewableDomains,
    Reactions,
    Reports,
    RevokeAdminInvite,
    Similar,
    Subscribed,
    Update,
    UserSetting,
    Voters,
}

use Operation as Op;

const OPERATIONS: [(&str, Operation); 50] = [
    ("9580828702035549", Op::AcceptAdminInvite),
    ("26278439461859188", Op::AdminInfo),
    ("9801384413216421", Op::AdminInfo),
    ("7130823597031706", Op::AdminInfo),
    ("9783111038412085", Op::AdminInvitesAndSubscribers),
    ("9546742745432473", Op::ChangeOwner),
    ("7341777602580933", Op::ChangeOwner),
    ("25149874324715067", Op::Create),
    ("8823471724422422", Op::Create),
    ("6234210096708695", Op::Create),
    ("30062808666639665", Op::Delete),
    ("9880997548630971", Op::Demote { field: "xwa2_newsletter_admin_demote" }),
    ("6551828931592903", Op::Demote { field: "xwa2_newsletter_demote" }),
    ("35266481849605779", Op::DirectoryCategories),
    ("26125047313831973", Op::DirectoryList { field: "xwa2_newsletters_directory_list" }),
    ("6190824427689257", Op::DirectoryList { field: "xwa2_newsletters_directory_list" }),
    ("26301059626252132", Op::DirectoryList { field: "xwa2_newsletters_directory_search" }),
    ("25806748772361516", Op::DirectoryList { field: "xwa2_newsletters_recommended" }),
    ("7263823273662354", Op::DirectoryList { field: "xwa2_newsletters_recommended" }),
    ("27835373536068060", Op::Enforcements),
    ("27456920720571478", Op::Fetch),
    ("26944199458535748", Op::Fetch),
    ("6563316087068696", Op::Fetch),
    ("7272540469429201", Op::Fetch),
    ("27472091235714801", Op::Followers { field: "xwa2_newsletter_followers", list: "followers" }),
    ("9800646650009898", Op::Followers { field: "xwa2_newsletter_subscribers", list: "subscribers" }),
    ("9853618868050977", Op::Insights),
    ("9387141988078609", Op::InviteAdmin),
    ("24404358912487870", Op::Join),
    ("9926858900719341", Op::Join),
    ("9767147403369991", Op::Leave),
    ("6392786840836363", Op::Leave),
    ("25260800823586918", Op::LogExposures),
    ("29766401636284406", Op::Mute { field: "xwa2_newsletter_mute_v2", muted: true }),
    ("6274038279359549", Op::Mute { field: "xwa2_newsletter_mute_v2", muted: true }),
    ("9864994326891137", Op::Mute { field: "xwa2_newsletter_unmute_v2", muted: false }),
    ("6068417879924485", Op::Mute { field: "xwa2_newsletter_unmute_v2", muted: false }),
    ("27165709459706559", Op::Pin { field: "xwa2_newsletter_pin_messages", pinned: true }),
    ("28007176042216937", Op::Pin { field: "xwa2_newsletter_unpin_messages", pinned: false }),
    ("9849510985088294", Op::PreviewableDomains),
    ("29575462448733991", Op::Reactions),
    ("35936238352686172", Op::Reports),
    ("9656078347839416", Op::RevokeAdminInvite),
    ("26217043484590756", Op::Similar),
    ("25399611239711790", Op::Subscribed),
    ("6388546374527196", Op::Subscribed),
    ("24250201037901610", Op::Update),
    ("7150902998257522", Op::Update),
    ("31938993655691868", Op::UserSetting),
    ("9407762219322536", Op::Voters),
];

impl Network {
    /// Carries out a query; `None` when its number is none of a newsletter's.
    pub(in crate::network) fn newsletter_operation(
        &mut self,
        key: &DeviceKey,
        query_id: &str,
        variables: &Value,
    ) -> Option<Result<Value, NewsletterFault>> {
        let (_, operation) = OPERATIONS.iter().find(|(number, _)| *number == query_id)?;
        Some(self.carry_out(key, *operation, variables))
    }

    fn carry_out(&mut self, key: &DeviceKey, operation: Operation, variables: &Value) -> Result<Value, NewsletterFault> {
        match operation {
            Op::Create => self.mex_create(key, variables),
            Op::Update => self.mex_update(key, variables),
            Op::Fetch => self.mex_fetch(key, variables),
            Op::Subscribed => Ok(self.mex_subscribed(key)),
            Op::DirectoryList { field } => Ok(json!({ field: self.newsletter_directory(key, variables) })),
            Op::DirectoryCategories => Ok(directory_categories(variables)),
            Op::PreviewableDomains => Ok(previewable_domains(variables)),
            Op::LogExposures => {
                Ok(json!({ "xwa2_newsletter_log_exposures": { "__typename": "XWA2NewsletterLogExposures" } }))
            }
            Op::Reports => Ok(json!({ "xwa2_channels_reports": { "channels_reports": [] } })),
            _ => {
                let id = newsletter_id(variables)?;
                self.newsletter(&id)?;
                self.carry_out_on(key, &id, operation, variables)
            }
        }
    }

    /// The operations that name one newsletter.
    fn carry_out_on(
        &mut self,
        key: &DeviceKey,
        id: &str,
        operation: Operation,
        variables: &Value,
    ) -> Result<Value, NewsletterFault> {
        match operation {
            Op::Join => {
                self.follow_newsletter(key, id)?;
                Ok(json!({ "xwa2_newsletter_join_v2": self.seen_by(key, id)? }))
            }
            Op::Leave => {
                self.unfollow_newsletter(key, id)?;
                Ok(json!({ "xwa2_newsletter_leave_v2": self.seen_by(key, id)? }))
            }
            Op::Delete => {
                let jid = self.newsletter(id)?.jid().to_string();
                self.delete_newsletter(key, id)?;
                Ok(json!({ "xwa2_newsletter_delete_v2": { "id": jid, "state": { "type": "DELETED" } } }))
            }
            Op::Mute { field, muted } => {
                self.mute_newsletter(key, id, Mute::Posts, muted)?;
                Ok(json!({ field: self.seen_by(key, id)? }))
            }
            Op::UserSetting => self.mex_user_setting(key, id, variables),
            Op::AdminInfo | Op::AdminInvitesAndSubscribers | Op::Followers { .. } => {
                self.mex_people(key, id, operation, variables)
            }
            Op::InviteAdmin | Op::RevokeAdminInvite | Op::Demote { .. } | Op::ChangeOwner => {
                self.mex_admins(key, id, operation, variables)
            }
            Op::AcceptAdminInvite => {
                self.accept_admin_invite(key, id)?;
                Ok(json!({ "xwa2_newsletter_admin_invite_accept": answers::bare(self.newsletter(id)?) }))
            }
            Op::Pin { field, pinned } => self.mex_pin(key, id, variables, field, pinned),
            Op::Reactions | Op::Voters => self.mex_responses(id, operation, variables),
            Op::Similar => {
                let others = self.newsletters.by_id.values().filter(|newsletter| newsletter.id != id);
                let others: Vec<Value> = others.take(PAGE).map(|newsletter| answers::metadata(newsletter, None)).collect();
                Ok(json!({ "xwa2_newsletters_similar": { "result": others } }))
            }
            Op::Insights => Ok(json!({ "xwa2_newsletter_admin_insights": {
                "newsletter_id": self.newsletter(id)?.jid().to_string(),
                "last_update_time": self.now_s().to_string(),
                "metrics_status": "AVAILABLE",
                "result": [],
                "state": { "type": "ACTIVE" },
            } })),
            // What is left is the one list of what moderators have objected to: nobody moderates here.
            _ => Ok(json!({ "xwa2_channel_enforcements": {
                "admin_profiles": [], "geosuspensions": [], "profile_picture_deletions": [], "suspensions": [],
                "violating_messages": [],
            } })),
        }
    }

    pub(super) fn seen_by(&self, key: &DeviceKey, id: &str) -> Result<Value, NewsletterFault> {
        Ok(answers::metadata(self.newsletter(id)?, Some(&key.number)))
    }
}
