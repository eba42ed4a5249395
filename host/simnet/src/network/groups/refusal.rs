//! What the server says when it does not do what was asked.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// The outcome of a request.
pub(super) type Done<T> = Result<T, Refusal>;

/// A refusal as it stands in an `<error>`, or as the `error` of one participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server answers {code} {text}")]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: &'static str,
}

impl Refusal {
    const fn new(code: u16, text: &'static str) -> Self {
        Self { code, text }
    }

    /// Whoever wants to join is in already (wacore 0.7.0 `GroupJoinError`).
    pub(super) const ALREADY_IN: Self = Self::new(304, "not-modified");
    pub(super) const BAD_REQUEST: Self = Self::new(400, "bad-request");
    /// The invite code is for admins, and the asker is none (wacore 0.7.0 `InviteInfoError`).
    pub(super) const NOT_AUTHORIZED: Self = Self::new(401, "not-authorized");
    pub(super) const FORBIDDEN: Self = Self::new(403, "forbidden");
    pub(super) const NOT_FOUND: Self = Self::new(404, "item-not-found");
    /// The owner is no target for other admins, and who was removed does not come back by a link.
    pub(super) const NOT_ALLOWED: Self = Self::new(405, "not-allowed");
    pub(super) const NOT_ACCEPTABLE: Self = Self::new(406, "not-acceptable");
    pub(super) const CONFLICT: Self = Self::new(409, "conflict");
    /// The invite was taken back, or its time is over.
    pub(super) const GONE: Self = Self::new(410, "gone");
    /// The community to which the group belongs takes nobody any more (wacore 0.7.0 `GroupJoinError`).
    pub(super) const COMMUNITY_FULL: Self = Self::new(412, "precondition-failed");
    /// The group, or the number of somebody's groups, is at its limit.
    pub(super) const FULL: Self = Self::new(419, "resource-limit");
    /// Nobody may join by a link for a while.
    pub(super) const GROWTH_LOCKED: Self = Self::new(436, "growth-locked");

    pub(super) fn node(self, id: &str, from: &Jid) -> Node {
        NodeBuilder::new("iq")
            .attr("from", from)
            .attr("type", "error")
            .attr("id", id)
            .children([NodeBuilder::new("error").attr("code", self.code).attr("text", self.text).build()])
            .build()
    }
}
