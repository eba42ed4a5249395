//! Where calls of plugins are remembered: with the plugin's owner, those that failed apart from the others.

use super::{HEAD_BYTES, RecordType, key, length};
use crate::records::id::TenantId;

fn of(record: RecordType, owner: TenantId, plugin: &str, rest: &[&[u8]]) -> Vec<u8> {
    let name: [&[u8]; 2] = [&length(plugin), plugin.as_bytes()];
    key(owner, record, &[&name[..], rest].concat())
}

/// Every call of every plugin of an owner.
pub(in crate::storage) fn all_logged_calls(owner: TenantId) -> Vec<u8> {
    key(owner, RecordType::LoggedCall, &[])
}

/// Where it is counted how many calls there are of the kind of the call that lies under `call`.
pub(in crate::storage) fn count_of_logged_call(call: &[u8]) -> Vec<u8> {
    let list = call.len().saturating_sub(size_of::<u64>());
    let mut count = call.get(..list).unwrap_or_default().to_vec();
    if let Some(record) = count.get_mut(HEAD_BYTES - 1) {
        *record = RecordType::LoggedCallCount as u8;
    }
    count
}

/// Every call of a plugin.
pub(in crate::storage) fn logged_calls_of(owner: TenantId, plugin: &str) -> Vec<u8> {
    of(RecordType::LoggedCall, owner, plugin, &[])
}

pub(in crate::storage) fn logged_calls(owner: TenantId, plugin: &str, failed: bool) -> Vec<u8> {
    of(RecordType::LoggedCall, owner, plugin, &[&[u8::from(failed)]])
}

pub(in crate::storage) fn logged_call(owner: TenantId, plugin: &str, failed: bool, n: u64) -> Vec<u8> {
    of(RecordType::LoggedCall, owner, plugin, &[&[u8::from(failed)], &n.to_be_bytes()])
}

pub(in crate::storage) fn logged_call_counter(owner: TenantId, plugin: &str) -> Vec<u8> {
    of(RecordType::LoggedCallCounter, owner, plugin, &[])
}

pub(in crate::storage) fn logged_call_count(owner: TenantId, plugin: &str, failed: bool) -> Vec<u8> {
    of(RecordType::LoggedCallCount, owner, plugin, &[&[u8::from(failed)]])
}
