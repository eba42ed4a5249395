//! Small requests that need little or no state: reports of spam, notices to accept, lists that are empty here.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::account::put;
use super::{LinkId, Network};
use crate::address::{DeviceKey, Space};
use crate::{random, wire};

/// Reports that are remembered; the oldest goes first.
const REPORTS_MAX: usize = 1_000;
/// Messages in one report.
const REPORTED_MAX: usize = 100;
const REPORT_ID_DIGITS: usize = 16;
/// Seconds after which a client asks again which notices there are.
const NOTICES_REFRESH_S: u32 = 86_400;

/// A report of spam, stored under `report/<number>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpamReport {
    n: u64,
    id: String,
    by: String,
    /// Where in the app it was made, like `MessageMenu`.
    flow: String,
    /// Whom it is about.
    about: Vec<String>,
    message_ids: Vec<String>,
}

/// The last reports.
pub(super) type Reports = VecDeque<SpamReport>;

impl Network {
    /// Requests in small namespaces. False when this is none of them.
    pub(super) fn receive_service_iq(
        &mut self,
        link: LinkId,
        key: &DeviceKey,
        namespace: &str,
        kind: &str,
        id: &str,
        node: &Node,
    ) -> bool {
        let content = match (namespace, kind) {
            ("spam", _) => {
                let Some(report) = self.take_report(key, node) else {
                    self.send(link, wire::refusal(id, 400, "bad-request"));
                    return true;
                };
                // whatsapp-rust 0.7.0 reads it only as text, and only what can be packed arrives as text: digits can.
                Some(NodeBuilder::new("report_id").string_content(report).build())
            }
            // Whatever a client asks about is accepted already.
            ("tos", "get") => node.get_optional_child("request").map(notices),
            // There are no bots.
            ("bot", "get") => Some(NodeBuilder::new("bot").attr("v", "2").build()),
            _ => return false,
        };
        self.send(link, wire::result(id).children(content).build());
        true
    }

    /// Keeps a report; returns its id.
    fn take_report(&mut self, key: &DeviceKey, node: &Node) -> Option<String> {
        let list = node.get_optional_child("spam_list")?;
        let messages: Vec<&Node> = list.get_children_by_tag("message").take(REPORTED_MAX).collect();
        let mut about: Vec<String> = ["jid", "source"].into_iter().filter_map(|name| wire::attribute(list, name)).collect();
        about.extend(
            messages
                .iter()
                .flat_map(|message| ["from", "participant"].into_iter().filter_map(|name| wire::attribute(message, name))),
        );
        about.sort_unstable();
        about.dedup();
        let report = SpamReport {
            n: self.reports.back().map_or(1, |last| last.n.saturating_add(1)),
            id: random::digits(REPORT_ID_DIGITS),
            by: self.jid_of(key, Space::Number).to_string(),
            flow: wire::attribute(list, "spam_flow").unwrap_or_default(),
            about,
            message_ids: messages.iter().filter_map(|message| wire::attribute(message, "id")).collect(),
        };
        let id = report.id.clone();
        self.out.records.push(put(format!("report/{}", report.n), &report));
        self.reports.push_back(report);
        if self.reports.len() > REPORTS_MAX
            && let Some(oldest) = self.reports.pop_front()
        {
            self.out.records.push((format!("report/{}", oldest.n), None));
        }
        Some(id)
    }

    pub(super) fn restore_report(&mut self, value: Value) -> Option<()> {
        self.reports.push_back(serde_json::from_value(value).ok()?);
        // Stored keys are sorted as texts.
        self.reports.make_contiguous().sort_by_key(|report| report.n);
        Some(())
    }

    /// The last reports of spam, oldest first.
    pub(crate) fn spam_reports(&self) -> Vec<SpamReport> {
        self.reports.iter().cloned().collect()
    }
}

fn notices(request: &Node) -> Node {
    let notices = request.get_children_by_tag("notice").filter_map(|notice| {
        let id = wire::attribute(notice, "id")?;
        Some(NodeBuilder::new("notice").attr("id", id).attr("state", "true").build())
    });
    NodeBuilder::new("tos").attr("refresh", NOTICES_REFRESH_S).children(notices).build()
}
