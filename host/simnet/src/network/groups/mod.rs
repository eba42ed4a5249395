//! Groups and communities: who is in them, what they allow, and how their messages travel.
//!
//! `model` is what a group is, `iq` reads what devices ask for in the `w:g2` namespace, `members`, `settings`, `invites`,
//! `requests` and `communities` carry it out with the permissions of the real server, `notify` tells everybody, `info`
//! describes a group, `relay`, `phones` and `receipts` move its messages, `commands` serves the control API.
//!
//! Invariant: every change of a group is a record under `group/<id>` in the same outbox as what follows from it.

mod commands;
mod communities;
mod create;
mod info;
mod invites;
mod iq;
mod members;
mod mex;
mod model;
mod notify;
mod phones;
mod receipts;
mod refusal;
mod relay;
mod requests;
mod restore;
mod settings;

#[cfg(test)]
mod community_tests;
#[cfg(test)]
mod member_tests;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod setting_tests;
#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wacore_binary::Jid;

use super::Network;
use super::account::put;
use crate::address::{DeviceKey, Space};
use crate::random;

pub(crate) use commands::GroupFault;
use model::{Group, Place};
use refusal::{Done, Refusal};

/// Members of one group.
const MEMBERS_MAX: usize = 1_024;
/// Groups that one account may be in.
const GROUPS_PER_ACCOUNT_MAX: usize = 5_000;
/// What group ids begin with, and how many random digits follow.
const ID_PREFIX: &str = "120363";
const ID_DIGITS: usize = 12;
/// Letters of an invite code.
const CODE_LETTERS: usize = 22;
const CODE_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// All groups, and what finds them.
#[derive(Default)]
pub(super) struct Groups {
    by_id: BTreeMap<String, Group>,
    /// Every invite code that leads to a group, those that were revoked too.
    id_by_code: HashMap<String, String>,
    /// The groups an account is in.
    of_account: HashMap<String, BTreeSet<String>>,
    /// Accounts that may be invited to groups, but not added.
    invite_only: BTreeSet<String>,
    /// By group and phone: the devices that have the phone's sender key.
    key_holders: HashMap<(String, String), BTreeSet<DeviceKey>>,
}

impl Groups {
    /// Finds a group under all its names again after it was restored or changed.
    fn index(&mut self, id: &str) {
        let Some(group) = self.by_id.get(id) else { return };
        for code in group.revoked_codes.iter().chain([&group.invite_code]) {
            self.id_by_code.insert(code.clone(), id.to_owned());
        }
        for number in group.members.keys() {
            self.of_account.entry(number.clone()).or_default().insert(id.to_owned());
        }
    }
}

impl Network {
    /// Whether an account may change what a group shows of itself; `None` when it is no member or there is no such group.
    pub(super) fn may_edit_group(&self, group: &Jid, number: &str) -> Option<bool> {
        self.groups.by_id.get(group.user.as_str())?.members.get(number)?;
        Some(self.group_of_editor(&group.user, number).is_ok())
    }

    /// In which space the members of a group are named.
    pub(super) fn group_space(&self, group: &Jid) -> Space {
        self.groups.by_id.get(group.user.as_str()).map_or(Space::Number, |group| group.addressing.space())
    }

    /// The numbers of a group's members.
    pub(super) fn group_members(&self, group: &Jid) -> Vec<String> {
        self.groups.by_id.get(group.user.as_str()).map(Group::numbers).unwrap_or_default()
    }

    /// Whether an account is in a group.
    pub(super) fn is_in_group(&self, group: &Jid, number: &str) -> bool {
        self.group_of_member(&group.user, number).is_ok()
    }

    fn group(&self, id: &str) -> Done<&Group> {
        self.groups.by_id.get(id).ok_or(Refusal::NOT_FOUND)
    }

    /// A group that the account is in. Who is not in it learns only that it exists.
    fn group_of_member(&self, id: &str, number: &str) -> Done<&Group> {
        let group = self.group(id)?;
        if group.members.contains_key(number) { Ok(group) } else { Err(Refusal::FORBIDDEN) }
    }

    /// A group that the account is an admin of.
    fn group_of_admin(&self, id: &str, number: &str) -> Done<&Group> {
        let group = self.group_of_member(id, number)?;
        if group.is_admin(number) { Ok(group) } else { Err(Refusal::FORBIDDEN) }
    }

    /// A group whose name, description or picture the account may change.
    fn group_of_editor(&self, id: &str, number: &str) -> Done<&Group> {
        let group = self.group_of_member(id, number)?;
        if group.settings.locked && !group.is_admin(number) { Err(Refusal::FORBIDDEN) } else { Ok(group) }
    }

    /// Changes a group and writes it down.
    fn change_group<T>(&mut self, id: &str, change: impl FnOnce(&mut Group) -> T) -> Done<T> {
        let group = self.groups.by_id.get_mut(id).ok_or(Refusal::NOT_FOUND)?;
        let value = change(group);
        group.version += 1;
        self.record_group(id);
        Ok(value)
    }

    fn record_group(&mut self, id: &str) {
        if let Some(group) = self.groups.by_id.get(id) {
            self.out.records.push(put(format!("group/{id}"), group));
        }
        self.groups.index(id);
    }

    /// Forgets a group that nobody is in any more.
    fn remove_group(&mut self, id: &str) {
        let Some(group) = self.groups.by_id.remove(id) else { return };
        for code in group.revoked_codes.iter().chain([&group.invite_code]) {
            self.groups.id_by_code.remove(code);
        }
        for number in group.members.keys() {
            if let Some(groups) = self.groups.of_account.get_mut(number) {
                groups.remove(id);
            }
        }
        self.out.records.push((format!("group/{id}"), None));
        self.forget_key_holders(id);
    }

    fn new_group_id(&self) -> String {
        loop {
            let id = format!("{ID_PREFIX}{}", random::digits(ID_DIGITS));
            if !self.groups.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// The groups an account is in, parents of communities included.
    fn groups_of(&self, number: &str) -> Vec<String> {
        self.groups.of_account.get(number).into_iter().flatten().cloned().collect()
    }

    fn may_join_one_more(&self, number: &str) -> bool {
        self.groups.of_account.get(number).is_none_or(|groups| groups.len() < GROUPS_PER_ACCOUNT_MAX)
    }

    /// The groups linked to a community, its announcement group included.
    fn linked_groups(&self, parent: &str) -> Vec<String> {
        self.groups.by_id.iter().filter(|(_, group)| group.parent() == Some(parent)).map(|(id, _)| id.clone()).collect()
    }

    /// The group in which a community's admins speak to all its members.
    fn announcement_group(&self, parent: &str) -> Option<String> {
        let announces = |group: &Group| matches!(&group.place, Place::Announcements { parent: own } if own == parent);
        self.groups.by_id.iter().find(|(_, group)| announces(group)).map(|(id, _)| id.clone())
    }

    /// The groups of a community that all its members are in; none for any other group.
    fn common_groups(&self, parent: &str) -> Vec<String> {
        if !self.group(parent).is_ok_and(Group::is_parent) {
            return Vec::new();
        }
        let is_common = |group: &Group| match &group.place {
            Place::Announcements { parent: own } | Place::General { parent: own } => own == parent,
            _ => false,
        };
        self.groups.by_id.iter().filter(|(_, group)| is_common(group)).map(|(id, _)| id.clone()).collect()
    }

    /// The phone and the companions of every member.
    fn devices_in(&self, group: &Group) -> Vec<DeviceKey> {
        group.members.keys().flat_map(|number| self.devices_of(number)).collect()
    }
}

/// The address of a group.
fn group_jid(id: &str) -> Jid {
    Jid::group(id)
}

/// A fresh invite code.
fn new_code() -> String {
    let letter = |byte: u8| CODE_ALPHABET.get(usize::from(byte) % CODE_ALPHABET.len()).copied().unwrap_or(b'A');
    random::bytes::<CODE_LETTERS>().into_iter().map(|byte| char::from(letter(byte))).collect()
}
