//! Where templates lie.

use super::{RecordType, key, length};
use crate::records::id::{TemplateId, TenantId};

pub(in crate::storage) fn template(tenant: TenantId, id: TemplateId) -> Vec<u8> {
    key(tenant, RecordType::Template, &[&id.0.to_be_bytes()])
}

pub(in crate::storage) fn templates(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Template, &[])
}

/// Every language of a template, in front of which its name stands.
pub(in crate::storage) fn templates_by_name(tenant: TenantId, name: &str) -> Vec<u8> {
    key(tenant, RecordType::TemplateByName, &[&length(name), name.as_bytes()])
}

pub(in crate::storage) fn template_by_name(tenant: TenantId, name: &str, language: &str) -> Vec<u8> {
    let mut key = templates_by_name(tenant, name);
    key.extend_from_slice(language.as_bytes());
    key
}

pub(in crate::storage) fn template_count(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::TemplateCount, &[])
}

pub(in crate::storage) fn template_settings(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::TemplateSettings, &[])
}
