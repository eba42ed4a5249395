//! Where contacts lie, polls that are known, and who voted what.

use super::{RecordType, key, length};
use crate::records::id::{SessionId, TenantId};

/// What votes in a poll are opened with.
pub(in crate::storage) fn known_poll(tenant: TenantId, session: SessionId, whatsapp_id: &str) -> Vec<u8> {
    key(tenant, RecordType::KnownPoll, &[&session.0.to_be_bytes(), whatsapp_id.as_bytes()])
}

pub(in crate::storage) fn known_polls_of(tenant: TenantId, session: SessionId) -> Vec<u8> {
    known_poll(tenant, session, "")
}

pub(in crate::storage) fn known_polls(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::KnownPoll, &[])
}

/// What people chose in the polls of a session: one row a person, under the LID where that is known.
pub(in crate::storage) fn poll_vote(tenant: TenantId, session: SessionId, poll: &str, voter: &str) -> Vec<u8> {
    let mut key = poll_votes(tenant, session, poll);
    key.extend_from_slice(voter.as_bytes());
    key
}

pub(in crate::storage) fn poll_votes(tenant: TenantId, session: SessionId, poll: &str) -> Vec<u8> {
    key(tenant, RecordType::PollVote, &[&session.0.to_be_bytes(), &length(poll), poll.as_bytes()])
}

pub(in crate::storage) fn poll_votes_of(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::PollVote, &[&session.0.to_be_bytes()])
}

pub(in crate::storage) fn all_poll_votes(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::PollVote, &[])
}

/// The people whom a session knows: those of whom only the LID is known in front, the rest by telephone number.
pub(in crate::storage) fn contacts(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::Contact, &[&session.0.to_be_bytes()])
}

pub(in crate::storage) fn contact_by_lid(tenant: TenantId, session: SessionId, lid: &str) -> Vec<u8> {
    key(tenant, RecordType::Contact, &[&session.0.to_be_bytes(), b"l", lid.as_bytes()])
}

pub(in crate::storage) fn contact_by_phone(tenant: TenantId, session: SessionId, phone: &str) -> Vec<u8> {
    key(tenant, RecordType::Contact, &[&session.0.to_be_bytes(), b"p", phone.as_bytes()])
}

/// The telephone number of whoever has a LID.
pub(in crate::storage) fn contact_of_lid(tenant: TenantId, session: SessionId, lid: &str) -> Vec<u8> {
    key(tenant, RecordType::ContactOfLid, &[&session.0.to_be_bytes(), lid.as_bytes()])
}

pub(in crate::storage) fn contacts_of_lid(tenant: TenantId, session: SessionId) -> Vec<u8> {
    contact_of_lid(tenant, session, "")
}

/// How many people a session knows.
pub(in crate::storage) fn contact_count(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::ContactCount, &[&session.0.to_be_bytes()])
}
