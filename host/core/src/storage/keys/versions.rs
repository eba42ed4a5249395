//! Where versions of plugins lie, and the components that they share.

use super::{RecordType, key, length};
use crate::records::id::TenantId;

/// A hash as it stands in keys: its bytes. What is not hexadecimal stands for itself.
fn raw(sha256: &str) -> Vec<u8> {
    hex::decode(sha256).unwrap_or_else(|_| sha256.as_bytes().to_vec())
}

pub(in crate::storage) fn plugin_versions(tenant: TenantId, name: &str) -> Vec<u8> {
    key(tenant, RecordType::PluginVersion, &[&length(name), name.as_bytes()])
}

pub(in crate::storage) fn plugin_version(tenant: TenantId, name: &str, sha256: &str) -> Vec<u8> {
    [plugin_versions(tenant, name), raw(sha256)].concat()
}

/// A component in parts, in their order.
pub(in crate::storage) fn artifact_parts(tenant: TenantId, sha256: &str) -> Vec<u8> {
    key(tenant, RecordType::ArtifactPart, &[&raw(sha256)])
}

pub(in crate::storage) fn artifact_part(tenant: TenantId, sha256: &str, n: u32) -> Vec<u8> {
    key(tenant, RecordType::ArtifactPart, &[&raw(sha256), &n.to_be_bytes()])
}

/// How many versions of a tenant's plugins have this component.
pub(in crate::storage) fn artifact_uses(tenant: TenantId, sha256: &str) -> Vec<u8> {
    key(tenant, RecordType::ArtifactUses, &[&raw(sha256)])
}

/// How many bytes the components of a tenant have, each counted once.
pub(in crate::storage) fn artifact_bytes(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::ArtifactBytes, &[])
}
