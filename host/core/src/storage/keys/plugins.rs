//! Where plugins lie, and what they are owed.

use super::{RecordType, key, length};
use crate::clock::Timestamp;
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

pub(in crate::storage) fn all_parked_works(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::ParkedWork, &[])
}

/// Who ended the chain of responders at an event.
pub(in crate::storage) fn chain_end(tenant: TenantId, event: u64) -> Vec<u8> {
    key(tenant, RecordType::ChainEnd, &[&event.to_be_bytes()])
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

/// What a plugin keeps for a tenant. `plugin` is its full name.
pub(in crate::storage) fn kvs(tenant: TenantId, plugin: &str) -> Vec<u8> {
    key(tenant, RecordType::Kv, &[&length(plugin), plugin.as_bytes()])
}

pub(in crate::storage) fn kv(tenant: TenantId, plugin: &str, name: &str) -> Vec<u8> {
    key(tenant, RecordType::Kv, &[&length(plugin), plugin.as_bytes(), name.as_bytes()])
}

/// What is kept for a time, whoever keeps it, in the order of its end.
pub(in crate::storage) fn kv_expiries(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::KvExpiry, &[])
}

/// Behind everything that is over at `now`.
pub(in crate::storage) fn kv_expiries_to(tenant: TenantId, now: Timestamp) -> Vec<u8> {
    key(tenant, RecordType::KvExpiry, &[&now.0.saturating_add(1).to_be_bytes()])
}

pub(in crate::storage) fn kv_expiry(tenant: TenantId, at: Timestamp, plugin: &str, name: &str) -> Vec<u8> {
    let parts: [&[u8]; 4] = [&at.0.to_be_bytes(), &length(plugin), plugin.as_bytes(), name.as_bytes()];
    key(tenant, RecordType::KvExpiry, &parts)
}

/// How many bytes a plugin keeps for a tenant.
pub(in crate::storage) fn kv_bytes(tenant: TenantId, plugin: &str) -> Vec<u8> {
    key(tenant, RecordType::KvBytes, &[plugin.as_bytes()])
}

/// Secrets of a plugin of `owner`'s.
pub(in crate::storage) fn plugin_secrets(owner: TenantId, plugin: &str) -> Vec<u8> {
    key(owner, RecordType::PluginSecret, &[&length(plugin), plugin.as_bytes()])
}

pub(in crate::storage) fn plugin_secret(owner: TenantId, plugin: &str, name: &str) -> Vec<u8> {
    key(owner, RecordType::PluginSecret, &[&length(plugin), plugin.as_bytes(), name.as_bytes()])
}

/// How many there are.
pub(in crate::storage) fn plugin_secret_count(owner: TenantId, plugin: &str) -> Vec<u8> {
    key(owner, RecordType::PluginSecretCount, &[plugin.as_bytes()])
}
