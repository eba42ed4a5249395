//! The questions about groups that clients ask in the `w:mex` namespace, as JSON.
//!
//! `{"variables":{…}}` goes in, `{"data":{…}}` comes out; the numbers of the queries are those of wacore 0.7.0
//! `iq/mex_operations.rs`. Other rooms answer other queries.

use serde_json::{Value, json};

use super::Network;
use super::model::{Group, Mode, Place, Who};
use super::refusal::{Done, Refusal};
use crate::address::DeviceKey;

/// `WAWebMexFetchAllSubgroupsJobQuery`.
const FETCH_ALL_SUBGROUPS: &str = "9935467776504344";
/// `WAWebMexQuerySubgroupParticipantCountJobQuery`.
const SUBGROUP_PARTICIPANT_COUNT: &str = "24079399904996141";
/// `WAWebMexUpdateGroupPropertyJobMutation`.
const UPDATE_GROUP_PROPERTY: &str = "9418211574894172";

impl Network {
    /// The whole answer to a query about groups; `None` for one that is about something else.
    pub(in crate::network) fn answer_group_mex(&mut self, key: &DeviceKey, query: &str, payload: &[u8]) -> Option<Value> {
        let asker = &key.number;
        let payload: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        let variables = payload.get("variables").cloned().unwrap_or(Value::Null);
        let answer = match query {
            FETCH_ALL_SUBGROUPS => self.subgroups(asker, &group_in(&variables, "/group_id")),
            SUBGROUP_PARTICIPANT_COUNT => self.subgroup_counts(asker, &group_in(&variables, "/input/group_jid")),
            UPDATE_GROUP_PROPERTY => self.update_property(asker, &group_in(&variables, "/group_id"), &variables),
            _ => return None,
        };
        Some(match answer {
            Ok(data) => json!({ "data": data }),
            Err(Refusal { code, text }) => json!({
                "data": null,
                "errors": [{
                    "message": text,
                    "extensions": { "error_code": code, "is_summary": true, "is_retryable": false, "severity": "CRITICAL" },
                }],
            }),
        })
    }

    /// As whatsapp-rust 0.7.0 `get_subgroups` reads it: the announcement group stands apart from the others.
    fn subgroups(&self, asker: &str, id: &str) -> Done<Value> {
        self.community_of_member(id, asker)?;
        let announcements = self.announcement_group(id);
        let linked = self.linked_groups(id);
        let edges: Vec<Value> = linked
            .iter()
            .filter(|linked| Some(*linked) != announcements.as_ref())
            .filter_map(|id| Some(json!({ "node": self.subgroup(id, self.groups.by_id.get(id)?) })))
            .collect();
        let default = announcements.and_then(|id| Some(self.subgroup(&id, self.groups.by_id.get(&id)?)));
        Ok(json!({ "xwa2_group_query_by_id": {
            "__typename": "XWA2Group",
            "id": address(id),
            "default_sub_group": default,
            "sub_groups": { "edges": edges },
        } }))
    }

    fn subgroup(&self, id: &str, group: &Group) -> Value {
        let creator = self.jid_of(&DeviceKey::new(group.creator.as_str(), 0), group.addressing.space());
        let general = matches!(group.place, Place::General { .. });
        json!({
            "id": address(id),
            "subject": { "value": group.subject, "creation_time": group.subject_s },
            "creation_time": group.created_s,
            "creator": { "id": creator.to_string() },
            "total_participants_count": group.members.len(),
            "membership_approval_requests": { "total_count": group.requests.len() },
            "properties": {
                "general_chat": if general { "true" } else { "false" },
                "hidden_group": "false",
                "membership_approval_mode_enabled": group.settings.approval,
            },
        })
    }

    fn subgroup_counts(&self, asker: &str, id: &str) -> Done<Value> {
        self.community_of_member(id, asker)?;
        let linked = self.linked_groups(id);
        let edges = linked.iter().filter_map(|id| {
            let count = self.groups.by_id.get(id)?.members.len();
            Some(json!({ "node": { "id": address(id), "total_participants_count": count } }))
        });
        Ok(json!({ "xwa2_group_query_by_id": {
            "__typename": "XWA2Group",
            "id": address(id),
            "sub_groups": { "edges": edges.collect::<Vec<_>>() },
        } }))
    }

    /// Settings that have no element of their own in `w:g2`.
    fn update_property(&mut self, asker: &str, id: &str, variables: &Value) -> Done<Value> {
        self.group_of_admin(id, asker)?;
        let update = variables.get("update").ok_or(Refusal::BAD_REQUEST)?;
        let who = |name: &str| update.get(name).and_then(Value::as_str).and_then(Who::parse);
        let limit = update.pointer("/limit_sharing/limit_sharing_enabled").and_then(Value::as_bool);
        if let Some(who) = who("member_link_mode") {
            self.set_mode(id, asker, Mode::Link, who)?;
        } else if let Some(who) = who("member_share_group_history_mode") {
            self.set_mode(id, asker, Mode::ShareHistory, who)?;
        } else if let Some(on) = limit {
            let tag = if on { "limit_sharing_enabled" } else { "limit_sharing_disabled" };
            self.set_flag(id, asker, tag, |settings| settings.limit_sharing = on)?;
        } else {
            return Err(Refusal::BAD_REQUEST);
        }
        Ok(json!({ "xwa2_group_update_property": { "id": address(id), "state": "ACTIVE" } }))
    }
}

fn address(id: &str) -> String {
    super::group_jid(id).to_string()
}

/// The id of the group that a variable names.
fn group_in(variables: &Value, pointer: &str) -> String {
    let text = variables.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    text.strip_suffix("@g.us").unwrap_or(text).to_owned()
}
