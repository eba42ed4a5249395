//! The people whom a session knows, by telephone number, or by LID as long as that is all there is.
//!
//! A row is written only when something about somebody is new. Who is known by number and by LID has one row under the number,
//! and a pointer under the LID; two rows that turn out to be one person become one.

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{CONTACT_CHANGED, ContactChange, Event, Fact};
use crate::records::id::{SessionId, TenantId};
use crate::records::people::{KnownContact, Learned};

/// Most people whom a session knows.
pub const CONTACTS_MAX: u64 = 100_000;
/// Most people on one page.
pub const CONTACT_PAGE_MAX: usize = 1_000;

/// Somebody as they are known now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// All that is known of them.
    pub contact: KnownContact,
    /// What was new became an event.
    pub told: bool,
}

/// A row with its place and the value that it has.
struct Row {
    key: Vec<u8>,
    value: Vec<u8>,
    contact: KnownContact,
}

impl Storage {
    /// Writes down what is new about somebody; them as they are known now. `None` when nothing names them, or when the session
    /// knows too many to learn of another. What is new becomes an event where `told` says so or a webhook endpoint wants it.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails or a record is damaged.
    pub async fn learn_contact(
        &self,
        tenant: TenantId,
        session: SessionId,
        at: Timestamp,
        learned: &Learned,
        told: bool,
    ) -> Result<Option<Learnt>, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let by_phone = match &learned.phone {
                Some(phone) => self.contact_row(keys::contact_by_phone(tenant, session, phone)).await?,
                None => None,
            };
            let by_lid = match &learned.lid {
                Some(lid) => self.contact_row_of_lid(tenant, session, lid).await?,
                None => None,
            };
            let now = merged(by_phone.as_ref(), by_lid.as_ref(), learned, at);
            let Some(place) = place(tenant, session, &now) else { return Ok(None) };
            let there: Vec<&Row> = distinct(by_phone.as_ref(), by_lid.as_ref());
            if let [one] = there.as_slice()
                && one.contact == now
            {
                return Ok(Some(Learnt { contact: now, told: false }));
            }
            let mut batch = Batch::default();
            batch.check(Self::owner_check(tenant, session));
            for row in &there {
                batch.check(Check::Equals { key: row.key.clone(), value: row.value.clone() });
                if row.key != place {
                    batch.delete(row.key.clone());
                }
            }
            if !there.iter().any(|row| row.key == place) {
                batch.check(Check::Absent { key: place.clone() });
            }
            let count = keys::contact_count(tenant, session);
            if there.is_empty() {
                batch.check(Check::AtMost { key: count.clone(), max: CONTACTS_MAX - 1 });
            }
            let added = 1 - i64::try_from(there.len()).unwrap_or(0);
            if added != 0 {
                batch.add(count, added);
            }
            batch.put(place.clone(), encode(&place, &now)?);
            if let (Some(phone), Some(lid)) = (&now.phone, &now.lid) {
                let pointer = keys::contact_of_lid(tenant, session, lid);
                batch.put(pointer.clone(), encode(&pointer, phone)?);
            }
            let told = told || self.webhooks_want(tenant, session, CONTACT_CHANGED).await?;
            if told {
                let change = ContactChange { contact: now.clone(), new: there.is_empty() };
                let fact = Fact::ContactChanged(Box::new(change));
                Self::append_event(&mut batch, tenant, &Event { n: 0, at, session, fact })?;
            }
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(Learnt { contact: now, told })),
            }
            if self.session(tenant, session).await?.is_none() {
                return Err(StorageError::Conflict);
            }
            if there.is_empty() && self.contact_total(tenant, session).await? >= CONTACTS_MAX {
                return Ok(None);
            }
        }
        Err(StorageError::Conflict)
    }

    /// What is known of somebody, by either name.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn contact(
        &self,
        tenant: TenantId,
        session: SessionId,
        phone: Option<&str>,
        lid: Option<&str>,
    ) -> Result<Option<KnownContact>, StorageError> {
        if let Some(phone) = phone
            && let Some(row) = self.contact_row(keys::contact_by_phone(tenant, session, phone)).await?
        {
            return Ok(Some(row.contact));
        }
        let Some(lid) = lid else { return Ok(None) };
        Ok(self.contact_row_of_lid(tenant, session, lid).await?.map(|row| row.contact))
    }

    /// Up to [`CONTACT_PAGE_MAX`] people from number `offset` on: those without a telephone number first, the rest by it.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn contacts(
        &self,
        tenant: TenantId,
        session: SessionId,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<KnownContact>, StorageError> {
        let (mut skip, mut left) = (offset, limit.min(CONTACT_PAGE_MAX));
        let mut found = Vec::new();
        let mut range = KeyRange::prefix(&keys::contacts(tenant, session), CONTACT_PAGE_MAX);
        while left > 0 {
            let page = self.engine.range(&range).await?;
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            for (key, value) in page.iter().skip(skip).take(left) {
                found.push(decode(key, value)?);
            }
            left -= page.len().saturating_sub(skip).min(left);
            skip = skip.saturating_sub(page.len());
            if page.len() < CONTACT_PAGE_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// How many people a session knows.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn contact_total(&self, tenant: TenantId, session: SessionId) -> Result<u64, StorageError> {
        let value = self.engine.get(&keys::contact_count(tenant, session)).await?;
        Ok(super::engine::count_in(value.as_deref()))
    }

    async fn contact_row(&self, key: Vec<u8>) -> Result<Option<Row>, StorageError> {
        let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
        let contact = decode(&key, &value)?;
        Ok(Some(Row { key, value, contact }))
    }

    /// The row of whoever has this LID, wherever it lies.
    async fn contact_row_of_lid(
        &self,
        tenant: TenantId,
        session: SessionId,
        lid: &str,
    ) -> Result<Option<Row>, StorageError> {
        if let Some(phone) = self.read::<String>(&keys::contact_of_lid(tenant, session, lid)).await? {
            let row = self.contact_row(keys::contact_by_phone(tenant, session, &phone)).await?;
            // A number goes from one person to another; then this one is known by LID alone.
            if let Some(row) = row.filter(|row| row.contact.lid.as_deref() == Some(lid)) {
                return Ok(Some(row));
            }
        }
        self.contact_row(keys::contact_by_lid(tenant, session, lid)).await
    }
}

/// Where somebody's row lies.
fn place(tenant: TenantId, session: SessionId, contact: &KnownContact) -> Option<Vec<u8>> {
    match (&contact.phone, &contact.lid) {
        (Some(phone), _) => Some(keys::contact_by_phone(tenant, session, phone)),
        (None, Some(lid)) => Some(keys::contact_by_lid(tenant, session, lid)),
        (None, None) => None,
    }
}

/// The rows that are there, each once.
fn distinct<'a>(one: Option<&'a Row>, other: Option<&'a Row>) -> Vec<&'a Row> {
    let other = other.filter(|other| one.is_none_or(|one| one.key != other.key));
    one.into_iter().chain(other).collect()
}

/// What is known once `learned` is. Newer names take the place of older ones; what was known of somebody who had the number
/// before is forgotten.
fn merged(by_phone: Option<&Row>, by_lid: Option<&Row>, learned: &Learned, at: Timestamp) -> KnownContact {
    let is_them = |row: &&KnownContact| learned.lid.is_none() || row.lid.is_none() || row.lid == learned.lid;
    let rows: Vec<&KnownContact> = distinct(by_phone, by_lid).into_iter().map(|row| &row.contact).filter(is_them).collect();
    let first = |of: fn(&KnownContact) -> &Option<String>| rows.iter().find_map(|row| of(row).clone());
    let newest = |new: &Option<String>, of: fn(&KnownContact) -> &Option<String>| new.clone().or_else(|| first(of));
    KnownContact {
        phone: newest(&learned.phone, |row| &row.phone),
        lid: newest(&learned.lid, |row| &row.lid),
        push_name: newest(&learned.push_name, |row| &row.push_name),
        name: newest(&learned.name, |row| &row.name),
        verified_name: newest(&learned.verified_name, |row| &row.verified_name),
        since: rows.iter().map(|row| row.since).min().unwrap_or(at),
    }
}
