//! Where plugins lie, and what they are owed.

use super::{RecordType, key, length};
use crate::records::id::TenantId;

/// `subscription` is the name of the plugin and of its owner, such as `operator/auto-reply`.
pub(in crate::storage) fn cursor(tenant: TenantId, subscription: &str) -> Vec<u8> {
    key(tenant, RecordType::Cursor, &[subscription.as_bytes()])
}

pub(in crate::storage) fn cursors(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Cursor, &[])
}

pub(in crate::storage) fn work(tenant: TenantId, subscription: &str, event: u64) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&length(subscription), subscription.as_bytes(), &event.to_be_bytes()];
    key(tenant, RecordType::Work, &parts)
}

pub(in crate::storage) fn works(tenant: TenantId, subscription: &str) -> Vec<u8> {
    key(tenant, RecordType::Work, &[&length(subscription), subscription.as_bytes()])
}

pub(in crate::storage) fn parked_work(tenant: TenantId, subscription: &str, event: u64) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&length(subscription), subscription.as_bytes(), &event.to_be_bytes()];
    key(tenant, RecordType::ParkedWork, &parts)
}

pub(in crate::storage) fn parked_works(tenant: TenantId, subscription: &str) -> Vec<u8> {
    key(tenant, RecordType::ParkedWork, &[&length(subscription), subscription.as_bytes()])
}

pub(in crate::storage) fn plugin(tenant: TenantId, name: &str) -> Vec<u8> {
    key(tenant, RecordType::Plugin, &[name.as_bytes()])
}

pub(in crate::storage) fn plugins(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Plugin, &[])
}

/// Components as hosts before versions stored them: whole.
pub(in crate::storage) fn artifacts(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Artifact, &[])
}

pub(in crate::storage) fn artifact(tenant: TenantId, sha256: &str) -> Vec<u8> {
    key(tenant, RecordType::Artifact, &[sha256.as_bytes()])
}
