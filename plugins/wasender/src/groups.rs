//! Groups: list, make, look at, change, their members, and invitations.

use serde_json::{Value, json};
use switchboard_dialect::people::jid_of;
use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::groups::{self as host, Group, GroupMembers, GroupUpdate, Member, MemberAction, MemberOutcome};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Contact, HostError, WhatsappRefusal};

use crate::answer::success;
use crate::pages;
use crate::sessions::own;

pub fn list(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let find = |offset, limit| host::find(session, offset, limit).map(|page| (page.entries, page.total));
    Ok(success(pages::list(request, find, brief)?))
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let subject = fields.required_text("name");
    let description = fields.text("description");
    fields.require("participants");
    let people = fields.texts("participants");
    done(fields)?;
    Ok(success(whole(&host::create(session, &subject, description.as_deref(), &people).of(What::Session)?)))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(success(whole(&host::get(own(request)?, request.param("jid")).of(What::Group)?)))
}

pub fn participants(request: &Request) -> Result<Response, Failure> {
    let group = host::get(own(request)?, request.param("jid")).of(What::Group)?;
    Ok(success(group.members.iter().map(member).collect()))
}

pub fn add(request: &Request) -> Result<Response, Failure> {
    change_members(request, Some(MemberAction::Add))
}

pub fn remove(request: &Request) -> Result<Response, Failure> {
    change_members(request, Some(MemberAction::Remove))
}

pub fn update(request: &Request) -> Result<Response, Failure> {
    change_members(request, None)
}

/// Does something with members: what the path says, or the field `action`.
fn change_members(request: &Request, action: Option<MemberAction>) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let action = action.or_else(|| match fields.required_text("action").as_str() {
        "promote" => Some(MemberAction::Promote),
        "demote" => Some(MemberAction::Demote),
        "" => None,
        _ => {
            fields.refuse("action", "must be promote or demote");
            None
        }
    });
    fields.require("participants");
    let people = fields.texts("participants");
    done(fields)?;
    // A field was refused whenever there is no action.
    let action = action.ok_or(Failure::Internal)?;
    let outcomes = host::members(session, request.param("jid"), action, &people).of(What::Group)?;
    Ok(success(outcomes.iter().map(|result| outcome(result, action)).collect()))
}

pub fn settings(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let update = GroupUpdate {
        subject: fields.text("subject"),
        description: fields.text("description"),
        announce: fields.flag("announce"),
        restrict: fields.flag("restrict"),
    };
    done(fields)?;
    let group = host::change(session, request.param("jid"), &update).of(What::Group)?;
    Ok(success(json!({
        "subject": group.subject,
        "description": group.description.unwrap_or_default(),
        "announce": group.announce,
        "restrict": group.restrict,
    })))
}

pub fn leave(request: &Request) -> Result<Response, Failure> {
    host::leave(own(request)?, request.param("jid")).of(What::Group)?;
    Ok(success(json!({})))
}

pub fn invite_link(request: &Request) -> Result<Response, Failure> {
    Ok(success(json!({ "link": host::invite_link(own(request)?, request.param("jid"), false).of(What::Group)? })))
}

/// Published clients read either name.
pub fn picture(request: &Request) -> Result<Response, Failure> {
    let url = host::picture(own(request)?, request.param("jid"), false).of(What::Group)?;
    Ok(success(json!({ "url": url, "imgUrl": url })))
}

pub fn accept(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let code = fields.required_text("code");
    done(fields)?;
    let joined = host::join(session, &code).map_err(of_code)?;
    Ok(success(json!({ "groupJid": joined.jid, "pendingApproval": joined.waiting })))
}

pub fn invitation(request: &Request) -> Result<Response, Failure> {
    let code = request.param("code");
    let found = host::invitation_of(own(request)?, code).map_err(of_code)?;
    Ok(success(json!({
        "groupJid": found.jid,
        "subject": found.subject,
        "size": found.member_count,
        "owner": owner(found.owner.as_ref()),
        "inviteCode": code,
    })))
}

/// Of a code that nobody gave out WhatsApp says that it is not acceptable.
fn of_code(error: HostError) -> Failure {
    match error {
        HostError::RefusedByWhatsapp(WhatsappRefusal { code: 406, .. }) => {
            Failure::Missing(What::Group, "There is no such invitation".to_owned())
        }
        other => Failure::of(other, What::Group),
    }
}

fn owner(owner: Option<&Contact>) -> String {
    owner.map(jid_of).unwrap_or_default()
}

fn brief(group: &Group) -> Value {
    json!({
        "id": group.jid,
        "jid": group.jid,
        "name": group.subject,
        "subject": group.subject,
        "imgUrl": null,
        "size": group.member_count,
        "creation": created_s(group),
        "owner": owner(group.owner.as_ref()),
    })
}

/// Seconds since 1970; 0 when WhatsApp does not say.
fn created_s(group: &Group) -> u64 {
    group.created_at_ms.unwrap_or_default() / 1000
}

fn whole(there: &GroupMembers) -> Value {
    let group = &there.group;
    json!({
        "id": group.jid,
        "jid": group.jid,
        "creation": created_s(group),
        "name": group.subject,
        "subject": group.subject,
        "owner": owner(group.owner.as_ref()),
        "desc": group.description.clone().unwrap_or_default(),
        "size": group.member_count,
        "announce": group.announce,
        "restrict": group.restrict,
        "participants": there.members.iter().map(member).collect::<Vec<_>>(),
    })
}

fn member(member: &Member) -> Value {
    let rank = match (member.owner, member.admin) {
        (true, _) => Some("superadmin"),
        (false, true) => Some("admin"),
        (false, false) => None,
    };
    let jid = jid_of(&member.person);
    json!({
        "id": jid,
        "jid": jid,
        "lid": member.person.lid,
        "admin": rank,
        "isAdmin": member.admin,
        "isSuperAdmin": member.owner,
    })
}

fn outcome(outcome: &MemberOutcome, action: MemberAction) -> Value {
    let jid = jid_of(&outcome.person);
    json!({ "status": outcome.code, "id": jid, "jid": jid, "message": message(outcome.code, action) })
}

fn message(code: u16, action: MemberAction) -> &'static str {
    match (code, action) {
        (200, MemberAction::Add) => "added",
        (200, MemberAction::Remove) => "removed",
        (200, MemberAction::Promote) => "promoted",
        (200, MemberAction::Demote) => "demoted",
        (202, _) => "waits for an admin",
        (401, _) => "has blocked this account",
        (403, MemberAction::Add) => "can only be invited",
        (403, _) => "not allowed",
        (404, MemberAction::Add) => "not on WhatsApp",
        (404, _) => "not in the group",
        (405, _) => "is the owner, or the last admin",
        (408, _) => "has left the group lately",
        (409, _) => "is in the group already",
        (419 | 500, MemberAction::Add) => "the group is full",
        _ => "refused by WhatsApp",
    }
}
