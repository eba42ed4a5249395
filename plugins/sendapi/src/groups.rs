//! Groups and contacts.

use serde_json::{Value, json};
use switchboard_dialect::people::phone_of;
use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::groups::{self as host, Group, GroupMembers, GroupUpdate, MemberAction};
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::HostError;
use switchboard_guest_sdk::{contacts, iso8601, sessions};

use crate::sessions::{acting, named, number, page};

/// What ids of groups begin with.
const PREFIX: &str = "grp_";
/// Most characters of a group's name and of its description.
const NAME_CHARS_MAX: usize = 25;
const DESCRIPTION_CHARS_MAX: usize = 512;
/// Most groups that a list has.
const GROUPS_MAX: u32 = 1_000;
/// WhatsApp's word for who is no admin.
const NO_ADMIN: u32 = 403;

/// How this dialect spells a group.
fn spelled(jid: &str) -> String {
    format!("{PREFIX}{}", jid.trim_end_matches("@g.us"))
}

/// The JID of the group that a text names, with or without the prefix.
fn jid(text: &str) -> Result<String, Failure> {
    let id = text.strip_prefix(PREFIX).unwrap_or(text).trim_end_matches("@g.us");
    let is_id = !id.is_empty() && id.chars().all(|char| char.is_ascii_digit() || char == '-');
    if is_id { Ok(format!("{id}@g.us")) } else { Err(Failure::NotFound(What::Group)) }
}

fn listed(group: &Group) -> Value {
    json!({
        "id": spelled(&group.jid),
        "name": group.subject,
        "participant_count": group.member_count,
        "created_at": group.created_at_ms.map(iso8601),
    })
}

/// A group in full. Only admins are shown the link that invites into it.
fn whole(session: u64, group: &GroupMembers) -> Value {
    let invite_link = host::invite_link(session, &group.group.jid, false).ok();
    json!({
        "id": spelled(&group.group.jid),
        "name": group.group.subject,
        "description": group.group.description,
        "participants": group.members.iter().map(|member| phone_of(&member.person)).collect::<Vec<_>>(),
        "invite_link": invite_link,
        "created_at": group.group.created_at_ms.map(iso8601),
    })
}

/// The session that a query names, or the only one that is connected.
fn queried(query: &mut Fields) -> Result<u64, Failure> {
    acting(query.text("session_id").as_deref().map(number).transpose()?)
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let session = named(&mut fields)?;
    let name = fields.required_text("name");
    fields.at_most("name", NAME_CHARS_MAX);
    let description = fields.text("description").filter(|description| !description.is_empty());
    fields.at_most("description", DESCRIPTION_CHARS_MAX);
    fields.require("participants");
    let people = fields.texts("participants");
    if fields.has("participants") && people.is_empty() {
        fields.refuse("participants", "must have at least 1 entry");
    }
    done(fields)?;
    let session = acting(session)?;
    let made = host::create(session, &name, description.as_deref(), &people).of(What::Session)?;
    Ok(json_response(201, &whole(session, &made)))
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let session = queried(&mut query)?;
    done(query)?;
    let found = host::find(session, 0, GROUPS_MAX).of(What::Session)?;
    let groups: Vec<Value> = found.entries.iter().map(listed).collect();
    Ok(json_response(200, &json!({ "data": groups, "meta": { "total": found.total } })))
}

/// The first session that is connected and in the group.
fn member_of(group: &str, named: Option<u64>) -> Result<u64, Failure> {
    if let Some(id) = named {
        return Ok(id);
    }
    let all = sessions::all().of(What::Session)?;
    let mut missing = Failure::NoSession;
    for session in all.iter().filter(|session| switchboard_dialect::status::is_ready(session)) {
        match host::get(session.id, group) {
            Ok(_) => return Ok(session.id),
            Err(error) => missing = Failure::of(error, What::Group),
        }
    }
    Err(missing)
}

/// What WhatsApp refuses to who is no admin.
fn refused(error: HostError) -> Failure {
    match error {
        HostError::RefusedByWhatsapp(refusal) if u32::from(refusal.code) == NO_ADMIN => Failure::NotAdmin,
        other => Failure::of(other, What::Group),
    }
}

pub fn update(request: &Request) -> Result<Response, Failure> {
    let jid = jid(request.param("id"))?;
    let mut fields = fields(request)?;
    let session = named(&mut fields)?;
    let subject = fields.has("name").then(|| fields.required_text("name"));
    fields.at_most("name", NAME_CHARS_MAX);
    let description = fields.text("description");
    fields.at_most("description", DESCRIPTION_CHARS_MAX);
    let (added, removed) = (fields.texts("add_participants"), fields.texts("remove_participants"));
    done(fields)?;
    let session = member_of(&jid, session)?;
    if subject.is_some() || description.is_some() {
        let update = GroupUpdate { subject, description, announce: None, restrict: None };
        host::change(session, &jid, &update).map_err(refused)?;
    }
    for (action, people) in [(MemberAction::Add, added), (MemberAction::Remove, removed)] {
        if !people.is_empty() {
            host::members(session, &jid, action, &people).map_err(refused)?;
        }
    }
    Ok(json_response(200, &whole(session, &host::get(session, &jid).map_err(refused)?)))
}

pub fn contacts(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let (page, session) = (page(&mut query), queried(&mut query)?);
    done(query)?;
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let found = contacts::find(session, narrow(page.offset()), narrow(page.per_page)).of(What::Session)?;
    let shaped = found.entries.iter().map(|entry| {
        json!({
            "phone": entry.person.phone.as_ref().map(|phone| format!("+{phone}")),
            "name": entry.name.as_ref().or(entry.verified_name.as_ref()).or(entry.person.push_name.as_ref()),
            "profile_picture_url": Value::Null,
            "is_whatsapp_user": true,
        })
    });
    Ok(page.of(shaped.collect(), u64::from(found.total)))
}

pub fn check_contact(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let session = queried(&mut query)?;
    done(query)?;
    let phone = request.param("phone");
    let asked = contacts::on_whatsapp(session, &[phone.to_owned()]).map_err(|error| match error {
        HostError::Invalid(field) => Failure::field("phone", field.why),
        other => Failure::of(other, What::Session),
    })?;
    let found = asked.first().filter(|one| one.exists);
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let body = json!({
        "phone": format!("+{digits}"),
        "is_whatsapp_user": found.is_some(),
        "whatsapp_id": found.and_then(|one| one.person.as_ref()).map(|person| &person.jid),
    });
    Ok(json_response(200, &body))
}
