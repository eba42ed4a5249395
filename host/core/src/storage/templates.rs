//! Templates of a tenant: each under its id, and found by name and language.

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange, count_in};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::records::id::{TemplateId, TenantId};
use crate::records::template::{Template, TemplateSettings};
use crate::rules::template::TEMPLATES_MAX;

/// What became of the wish to store a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateStored {
    /// It is durable.
    Done,
    /// Another one has its name and language.
    Taken,
    /// The tenant has [`TEMPLATES_MAX`] already.
    Full,
    /// It is gone.
    Missing,
}

impl Storage {
    /// Makes a template.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken; else when the engine fails.
    pub async fn create_template(&self, template: &Template) -> Result<TemplateStored, StorageError> {
        let tenant = template.tenant;
        let (key, by_name) = places(template);
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.check(Check::Absent { key: by_name.clone() });
        batch.check(Check::AtMost { key: keys::template_count(tenant), max: TEMPLATES_MAX as u64 - 1 });
        batch.put(key.clone(), encode(&key, template)?);
        batch.put(by_name.clone(), encode(&by_name, &template.id)?);
        batch.add(keys::template_count(tenant), 1);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(TemplateStored::Done),
            Err(StorageError::Conflict) if self.engine.get(&by_name).await?.is_some() => Ok(TemplateStored::Taken),
            Err(StorageError::Conflict) if self.template_total(tenant).await? >= TEMPLATES_MAX as u64 => {
                Ok(TemplateStored::Full)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a template in the place of the one that has its id. The moment when it was made stays.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn replace_template(&self, template: &Template) -> Result<TemplateStored, StorageError> {
        let (key, by_name) = places(template);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(TemplateStored::Missing) };
            let before: Template = decode(&key, &value)?;
            let (_, old_name) = places(&before);
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            if old_name != by_name {
                if self.engine.get(&by_name).await?.is_some() {
                    return Ok(TemplateStored::Taken);
                }
                batch.check(Check::Absent { key: by_name.clone() });
                batch.delete(old_name);
                batch.put(by_name.clone(), encode(&by_name, &template.id)?);
            }
            let template = Template { created_at: before.created_at, ..template.clone() };
            batch.put(key.clone(), encode(&key, &template)?);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| TemplateStored::Done),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Removes a template; whether there was one.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn delete_template(&self, tenant: TenantId, id: TemplateId) -> Result<bool, StorageError> {
        let key = keys::template(tenant, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(false) };
            let (_, by_name) = places(&decode(&key, &value)?);
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.delete(key.clone());
            batch.delete(by_name);
            batch.add(keys::template_count(tenant), -1);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| true),
            }
        }
        Err(StorageError::Conflict)
    }

    /// A template of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn template(&self, tenant: TenantId, id: TemplateId) -> Result<Option<Template>, StorageError> {
        self.read(&keys::template(tenant, id)).await
    }

    /// Up to `limit` templates of a tenant by id, from after `after` on.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn templates(
        &self,
        tenant: TenantId,
        after: Option<TemplateId>,
        limit: usize,
    ) -> Result<Vec<Template>, StorageError> {
        let mut range = KeyRange::prefix(&keys::templates(tenant), limit);
        if let Some(after) = after {
            range = range.after(&keys::template(tenant, after));
        }
        self.engine.range(&range).await?.iter().map(|(key, value)| decode(key, value)).collect()
    }

    /// The languages that a template of this name has, with the id of each.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn template_languages(&self, tenant: TenantId, name: &str) -> Result<Vec<(String, TemplateId)>, StorageError> {
        let prefix = keys::templates_by_name(tenant, name);
        let found = self.engine.range(&KeyRange::prefix(&prefix, TEMPLATES_MAX)).await?;
        let language = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let language = key.get(prefix.len()..).unwrap_or_default();
            Ok((String::from_utf8_lossy(language).into_owned(), decode(key, value)?))
        };
        found.iter().map(language).collect()
    }

    async fn template_total(&self, tenant: TenantId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::template_count(tenant)).await?.as_deref()))
    }

    /// What a tenant has set for its templates.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn template_settings(&self, tenant: TenantId) -> Result<TemplateSettings, StorageError> {
        Ok(self.read(&keys::template_settings(tenant)).await?.unwrap_or_default())
    }

    /// Sets what holds for all templates of a tenant.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn set_template_settings(&self, tenant: TenantId, settings: &TemplateSettings) -> Result<(), StorageError> {
        let key = keys::template_settings(tenant);
        let mut batch = Batch::default();
        batch.put(key.clone(), encode(&key, settings)?);
        self.engine.commit(batch).await.map(|_| ())
    }
}

/// Where a template lies, and where it is found by its name.
fn places(template: &Template) -> (Vec<u8>, Vec<u8>) {
    let by_name = keys::template_by_name(template.tenant, &template.name, &template.language);
    (keys::template(template.tenant, template.id), by_name)
}
