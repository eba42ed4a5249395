//! Both names of a person, from what a client has learned: telephone number and LID.

use whatsapp_rust::{Client, Jid};

use switchboard_core::records::content::Person;

/// Looks names up in a client's memory and storage; nothing is asked of WhatsApp.
pub(super) struct Names<'a>(pub(super) &'a Client);

impl Names<'_> {
    /// Everything that is known of `jid`. `also` are other names of the same person that came with it.
    pub(super) async fn person(&self, jid: &Jid, also: &[Option<&Jid>]) -> Person {
        let mut phone = None;
        let mut lid = None;
        for name in [Some(jid)].into_iter().chain(also.iter().copied()).flatten() {
            if name.is_pn() {
                phone.get_or_insert_with(|| name.user.to_string());
            } else if name.is_lid() {
                lid.get_or_insert_with(|| name.user.to_string());
            }
        }
        if phone.is_some() != lid.is_some() && !self.own(&mut phone, &mut lid) {
            self.learned(jid, &mut phone, &mut lid).await;
        }
        Person { jid: jid.to_non_ad_string(), phone, lid: lid.map(|user| format!("{user}@lid")) }
    }

    /// The account's own names, if it is one of them.
    fn own(&self, phone: &mut Option<String>, lid: &mut Option<String>) -> bool {
        let (Some(own_phone), Some(own_lid)) = (self.0.pn(), self.0.lid()) else { return false };
        let (own_phone, own_lid) = (own_phone.user.to_string(), own_lid.user.to_string());
        let is_own = phone.as_ref() == Some(&own_phone) || lid.as_ref() == Some(&own_lid);
        if is_own {
            (*phone, *lid) = (Some(own_phone), Some(own_lid));
        }
        is_own
    }

    async fn learned(&self, jid: &Jid, phone: &mut Option<String>, lid: &mut Option<String>) {
        match self.0.get_lid_pn_entry(jid).await {
            Ok(Some(entry)) => {
                phone.get_or_insert_with(|| entry.phone_number.to_string());
                lid.get_or_insert_with(|| entry.lid.to_string());
            }
            Ok(None) => {}
            // The event is told with the names that it came with.
            Err(error) => tracing::warn!(%error, "the other name of a contact cannot be looked up"),
        }
    }
}
