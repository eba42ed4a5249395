//! What routes say of bodies: between the WIT package's records and ours, and what a route may ask for.

use crate::bindings::router_world::exports::switchboard::plugin::router as wit;
use crate::types::{BodyRule, FileKind, FileRefusal, FileRule, FileWhy, FormRule, ReceivedFile};

/// Largest body that a route may have passed on.
const JSON_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Largest file that a route may take.
const FILE_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Files that one request may bring along under one rule.
const FILES_MAX: u32 = 10;
/// Most bytes of the fields of a form.
const FIELDS_BYTES_MAX: u32 = 1024 * 1024;
/// Rules for files, and names of members that are files, of one route.
const RULES_MAX: usize = 16;
/// Bytes of such a name.
const NAME_BYTES_MAX: usize = 64;

fn core_kind(kind: wit::FileKind) -> FileKind {
    match kind {
        wit::FileKind::Any => FileKind::Any,
        wit::FileKind::Image => FileKind::Image,
        wit::FileKind::Video => FileKind::Video,
        wit::FileKind::Audio => FileKind::Audio,
    }
}

fn wit_kind(kind: FileKind) -> wit::FileKind {
    match kind {
        FileKind::Any => wit::FileKind::Any,
        FileKind::Image => wit::FileKind::Image,
        FileKind::Video => wit::FileKind::Video,
        FileKind::Audio => wit::FileKind::Audio,
    }
}

fn core_file_rule(rule: wit::FileRule) -> FileRule {
    FileRule { field: rule.field, count_max: rule.count_max, bytes_max: rule.bytes_max, kind: core_kind(rule.kind) }
}

pub(crate) fn wit_file_rule(rule: &FileRule) -> wit::FileRule {
    let FileRule { field, count_max, bytes_max, kind } = rule.clone();
    wit::FileRule { field, count_max, bytes_max, kind: wit_kind(kind) }
}

pub(crate) fn core_rule(rule: wit::BodyRule) -> BodyRule {
    let form = rule.form.map(|form| FormRule {
        files: form.files.into_iter().map(core_file_rule).collect(),
        fields_bytes_max: form.fields_bytes_max,
    });
    BodyRule {
        json_bytes_max: rule.json_bytes_max,
        base64_keys: rule.base64_keys,
        form,
        raw: rule.raw.map(core_file_rule),
        form_only: rule.form_only,
    }
}

pub(crate) fn wit_file(file: &ReceivedFile) -> wit::ReceivedFile {
    let ReceivedFile { field, blob, file_name, mime, kind, bytes, sha256 } = file.clone();
    wit::ReceivedFile { field, blob, file_name, mime, kind: wit_kind(kind), bytes, sha256 }
}

pub(crate) fn wit_refusal(refused: &FileRefusal) -> wit::FileRefusal {
    let FileRefusal { field, file_name, why, bytes_max } = refused.clone();
    let why = match why {
        FileWhy::TooLarge => wit::FileWhy::TooLarge,
        FileWhy::WrongKind => wit::FileWhy::WrongKind,
        FileWhy::Empty => wit::FileWhy::Empty,
        FileWhy::NotBase64 => wit::FileWhy::NotBase64,
        FileWhy::NoRoom => wit::FileWhy::NoRoom,
    };
    wit::FileRefusal { field, file_name, why, bytes_max }
}

/// Whether a route may have this rule. `keyed`: it asks for a credential.
///
/// # Errors
/// Why not.
pub(crate) fn check(rule: &BodyRule, keyed: bool) -> Result<(), &'static str> {
    if rule.json_bytes_max > JSON_BYTES_MAX {
        return Err("the body may have at most 33554432 bytes");
    }
    if rule.form_only && rule.form.is_none() {
        return Err("it takes nothing but a form, and no form");
    }
    if rule.takes_files() && !keyed {
        return Err("files need a credential: somebody has to keep them");
    }
    let form_files = rule.form.as_ref().map(|form| form.files.as_slice()).unwrap_or_default();
    if form_files.len() > RULES_MAX || rule.base64_keys.len() > RULES_MAX {
        return Err("it may have at most 16 rules for files and 16 members with base64");
    }
    if form_files.iter().chain(&rule.raw).any(|file| !(1..=FILES_MAX).contains(&file.count_max)) {
        return Err("1 to 10 files of a field are allowed");
    }
    if form_files.iter().chain(&rule.raw).any(|file| !(1..=FILE_BYTES_MAX).contains(&file.bytes_max)) {
        return Err("a file may have 1 to 104857600 bytes");
    }
    if rule.form.as_ref().is_some_and(|form| form.fields_bytes_max > FIELDS_BYTES_MAX) {
        return Err("the fields of a form may have at most 1048576 bytes");
    }
    let name = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
    if !(form_files.iter().map(|file| &file.field).all(name) && rule.base64_keys.iter().all(name)) {
        return Err("the name of a field or a member with a file must have 1 to 64 bytes");
    }
    Ok(())
}
