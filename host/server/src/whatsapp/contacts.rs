//! People: who is on WhatsApp, what it shows of them, and what is done about them.

use whatsapp_rust::wacore_binary::JidExt as _;
use whatsapp_rust::{Client, IsOnWhatsAppResult, Jid};

use switchboard_core::records::content::Person;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::people::Profile;

use super::desk::AskError;
use super::groups::read_jid;
use super::names::Names;
use super::sessions::Sessions;

impl Sessions {
    /// What WhatsApp shows of somebody.
    ///
    /// # Errors
    /// [`AskError`], here and in the rest of this room.
    pub async fn profile(&self, tenant: TenantId, id: SessionId, who: &str) -> Result<Profile, AskError> {
        let jid = read_jid(who)?;
        self.ask(tenant, id, |client, _| async move {
            let found = client.contacts().is_on_whatsapp(std::slice::from_ref(&jid)).await?;
            let Some(found) = find(&found, &jid) else {
                return Ok(Profile { person: Names(&client).person(&jid, &[]).await, ..Profile::default() });
            };
            let verified_name = found.verified_name.as_ref().and_then(|verified| verified.name.clone());
            let person = named(&client, &jid, found).await;
            let info = client.contacts().get_user_info(std::slice::from_ref(&jid)).await?;
            let status = info.into_values().find_map(|info| info.status).filter(|status| !status.is_empty());
            let picture_url = picture(&client, &jid, false).await?;
            Ok(Profile { person, on_whatsapp: true, verified_name, status, picture_url })
        })
        .await
    }

    /// Who of these is on WhatsApp, in their order, with every name.
    pub async fn on_whatsapp(
        &self,
        tenant: TenantId,
        id: SessionId,
        people: &[String],
    ) -> Result<Vec<Option<Person>>, AskError> {
        let people = people.iter().map(|who| read_jid(who)).collect::<Result<Vec<Jid>, AskError>>()?;
        self.ask(tenant, id, |client, _| async move {
            let found = client.contacts().is_on_whatsapp(&people).await?;
            let mut told = Vec::with_capacity(people.len());
            for jid in &people {
                told.push(match find(&found, jid) {
                    Some(found) => Some(named(&client, jid, found).await),
                    None => None,
                });
            }
            Ok(told)
        })
        .await
    }

    /// Where the picture of a person or a group is.
    pub async fn picture(
        &self,
        tenant: TenantId,
        id: SessionId,
        whose: &str,
        preview: bool,
    ) -> Result<Option<String>, AskError> {
        let jid = read_jid(whose)?;
        self.ask(tenant, id, |client, _| async move { picture(&client, &jid, preview).await }).await
    }

    /// Blocks somebody, or ends that.
    pub async fn block(&self, tenant: TenantId, id: SessionId, who: &str, blocked: bool) -> Result<(), AskError> {
        let jid = read_jid(who)?;
        self.ask(tenant, id, |client, _| async move {
            // It takes both of their names.
            let person = with_both_names(&client, &jid).await?;
            if person.phone.is_none() || person.lid.is_none() {
                return Err(AskError::Nobody);
            }
            if blocked {
                client.blocking().block(&jid).await?
            } else {
                client.blocking().unblock(&jid).await?
            }
            Ok(())
        })
        .await
    }

    /// Both names of somebody, as far as they are to be had.
    pub async fn both_names(&self, tenant: TenantId, id: SessionId, who: &str) -> Result<Person, AskError> {
        let jid = read_jid(who)?;
        self.ask(tenant, id, |client, _| async move { with_both_names(&client, &jid).await }).await
    }

    /// Both names of somebody, as far as the session knows them; nothing is asked. `None` while it is not connected.
    pub async fn known_names(&self, tenant: TenantId, id: SessionId, who: &str) -> Option<Person> {
        let (client, _) = self.desk(tenant, id)?;
        Some(Names(&client).person(&who.parse().ok()?, &[]).await)
    }

    /// Has the account's own devices know somebody by this name. `who` is a JID by number.
    pub async fn save_on_phone(&self, tenant: TenantId, id: SessionId, who: &str, name: &str) -> Result<(), AskError> {
        let (jid, name) = (read_jid(who)?, name.to_owned());
        self.ask(tenant, id, |client, _| async move {
            Ok(client.chat_actions().save_contact(&jid, Some(name), None, true).await?)
        })
        .await
    }
}

/// What was found of somebody, if they are there: the answer names them by number or by LID, whichever WhatsApp prefers.
fn find<'a>(found: &'a [IsOnWhatsAppResult], jid: &Jid) -> Option<&'a IsOnWhatsAppResult> {
    let is_them = |found: &&IsOnWhatsAppResult| {
        [Some(&found.jid), found.lid.as_ref(), found.pn_jid.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| name.is_same_user_as(jid))
    };
    found.iter().filter(|found| found.is_registered).find(is_them)
}

/// Every name of somebody who was found.
async fn named(client: &Client, jid: &Jid, found: &IsOnWhatsAppResult) -> Person {
    Names(client).person(jid, &[Some(&found.jid), found.lid.as_ref(), found.pn_jid.as_ref()]).await
}

async fn with_both_names(client: &Client, jid: &Jid) -> Result<Person, AskError> {
    let known = Names(client).person(jid, &[]).await;
    if known.phone.is_some() && known.lid.is_some() {
        return Ok(known);
    }
    let found = client.contacts().is_on_whatsapp(std::slice::from_ref(jid)).await?;
    Ok(match find(&found, jid) {
        Some(found) => named(client, jid, found).await,
        None => known,
    })
}

async fn picture(client: &Client, jid: &Jid, preview: bool) -> Result<Option<String>, AskError> {
    let picture = client.contacts().get_profile_picture(jid, preview).await?;
    Ok(picture.map(|picture| picture.url).filter(|url| !url.is_empty()))
}
