//! People: the list, one of them, their names and pictures, and who is blocked.

use serde_json::{Value, json};
use switchboard_dialect::people::jid_of;
use switchboard_dialect::{Failure, What, done, fields};
use switchboard_guest_sdk::contacts::{self as host, ContactEntry, Profile};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::HostError;

use crate::answer::success;
use crate::pages;
use crate::sessions::own;

pub fn list(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let find = |offset, limit| host::find(session, offset, limit).map(|page| (page.entries, page.total));
    Ok(success(pages::list(request, find, known)?))
}

pub fn save(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let who_field = if fields.has("jid") { "jid" } else { "phone" };
    let who = fields.required_text(who_field);
    let name_field = if fields.has("fullName") { "fullName" } else { "name" };
    let name = fields.required_text(name_field);
    let on_phone = fields.flag("saveOnPrimaryAddressbook").unwrap_or(false);
    done(fields)?;
    let saved = host::save(session, &who, &name, on_phone).map_err(|error| of(who_field, error))?;
    let mut data = known(&saved);
    if let Some(data) = data.as_object_mut() {
        data.insert("jid".to_owned(), json!(saved.person.jid));
        data.insert("fullName".to_owned(), json!(saved.name));
    }
    Ok(success(data))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    let (session, phone) = (own(request)?, request.param("phone"));
    let profile = host::profile_of(session, phone).map_err(of_phone)?;
    if !profile.on_whatsapp {
        return Err(Failure::NotFound(What::Contact));
    }
    let saved = host::get(session, phone).map_err(of_phone)?;
    Ok(success(shown(&profile, saved.as_ref())))
}

pub fn picture(request: &Request) -> Result<Response, Failure> {
    let url = host::picture(own(request)?, request.param("phone"), false).map_err(of_phone)?;
    Ok(success(json!({ "imgUrl": url })))
}

pub fn block(request: &Request) -> Result<Response, Failure> {
    set_blocked(request, true, "Contact blocked")
}

pub fn unblock(request: &Request) -> Result<Response, Failure> {
    set_blocked(request, false, "Contact unblocked")
}

fn set_blocked(request: &Request, blocked: bool, message: &str) -> Result<Response, Failure> {
    host::block(own(request)?, request.param("phone"), blocked).map_err(of_phone)?;
    Ok(success(json!({ "message": message })))
}

pub fn on_whatsapp(request: &Request) -> Result<Response, Failure> {
    let phone = [request.param("phone").to_owned()];
    let found = host::on_whatsapp(own(request)?, &phone).map_err(of_phone)?;
    let person = found.into_iter().next().and_then(|found| found.person);
    let jid = person.as_ref().map(jid_of);
    Ok(success(json!({ "exists": person.is_some(), "jid": jid })))
}

pub fn lid_of(request: &Request) -> Result<Response, Failure> {
    let names = host::names(own(request)?, request.param("x")).map_err(of_phone)?;
    let lid = names.lid.ok_or_else(|| missing("No LID is known for this number"))?;
    Ok(success(json!({ "lid": lid })))
}

pub fn phone_of(request: &Request) -> Result<Response, Failure> {
    let asked = request.param("x");
    let asked = if asked.contains('@') { asked.to_owned() } else { format!("{asked}@lid") };
    let names = host::names(own(request)?, &asked).map_err(of_phone)?;
    let phone = names.phone.ok_or_else(|| missing("No number is known for this LID"))?;
    Ok(success(json!({ "pn": format!("{phone}@s.whatsapp.net") })))
}

/// The host names the field by its own word for it.
fn of(field: &str, error: HostError) -> Failure {
    match error {
        HostError::Invalid(invalid) if invalid.field == "who" => Failure::field(field, invalid.why),
        other => Failure::of(other, What::Contact),
    }
}

fn of_phone(error: HostError) -> Failure {
    of("phone", error)
}

fn missing(why: &str) -> Failure {
    Failure::Missing(What::Contact, why.to_owned())
}

/// Somebody of whom nothing was asked.
fn known(entry: &ContactEntry) -> Value {
    json!({
        "id": entry.person.jid,
        "name": entry.name,
        "notify": entry.person.push_name,
        "verifiedName": entry.verified_name,
        "imgUrl": null,
        "status": null,
    })
}

/// Somebody as WhatsApp shows them, with what the session knows.
fn shown(profile: &Profile, saved: Option<&ContactEntry>) -> Value {
    let verified = profile.verified_name.as_ref().or(saved.and_then(|saved| saved.verified_name.as_ref()));
    json!({
        "id": jid_of(&profile.person),
        "name": saved.and_then(|saved| saved.name.as_ref()),
        "notify": saved.and_then(|saved| saved.person.push_name.as_ref()),
        "verifiedName": verified,
        "imgUrl": profile.picture_url,
        "status": profile.status,
    })
}
