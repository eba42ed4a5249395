//! The import `keys`, which only the operator's plugins have.

use switchboard_core::records::id::{KeyId, SessionId};

use super::Answer;
use crate::bindings::switchboard::plugin::keys;
use crate::call::CallState;
use crate::verbs::{AccountKey, NewAccountKey};

fn shown(key: &AccountKey) -> keys::AccountKey {
    let AccountKey { record, used } = key;
    keys::AccountKey {
        id: record.id.0,
        name: record.name.clone(),
        description: record.description.clone(),
        hint: format!("{}{}", record.kind.prefix(record.test), record.hint),
        expires_at_ms: record.expires_at.map(|at| at.0),
        created_at_ms: record.created_at.0,
        requests: used.requests,
        last_used_at_ms: used.last_used_at.map(|at| at.0),
    }
}

impl keys::Host for CallState {
    async fn session_key(&mut self, session: u64) -> Answer<String> {
        self.verb(|verbs, caller| async move { verbs.session_key(&caller, SessionId(session)).await }).await
    }

    async fn session_keys(&mut self) -> Answer<Vec<(u64, String)>> {
        self.verb(|verbs, caller| async move {
            let keys = verbs.session_keys(&caller).await?;
            Ok(keys.into_iter().map(|(session, key)| (session.0, key)).collect())
        })
        .await
    }

    async fn renew_session_key(&mut self, session: u64) -> Answer<String> {
        self.verb(|verbs, caller| async move { verbs.renew_session_key(&caller, SessionId(session)).await }).await
    }

    async fn webhook_secrets(&mut self, session: Option<u64>) -> Answer<Vec<(u64, String)>> {
        let plugin = std::sync::Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move {
            let secrets = verbs.endpoint_secrets(&caller, &plugin, session.map(SessionId)).await?;
            Ok(secrets.into_iter().map(|(id, secret)| (id.0, secret)).collect())
        })
        .await
    }

    async fn create(&mut self, new: keys::NewKey) -> Answer<keys::DrawnKey> {
        let new = NewAccountKey { name: new.name, description: new.description, expires_at_ms: new.expires_at_ms };
        self.verb(|verbs, caller| async move {
            let (key, text) = verbs.create_key(&caller, new).await?;
            Ok(keys::DrawnKey { key: shown(&key), text })
        })
        .await
    }

    async fn all(&mut self) -> Answer<Vec<keys::AccountKey>> {
        self.verb(|verbs, caller| async move { Ok(verbs.account_keys(&caller).await?.iter().map(shown).collect()) }).await
    }

    async fn get(&mut self, id: u64) -> Answer<keys::AccountKey> {
        self.verb(|verbs, caller| async move { Ok(shown(&verbs.account_key(&caller, KeyId(id)).await?)) }).await
    }

    async fn revoke(&mut self, id: u64) -> Answer<()> {
        self.verb(|verbs, caller| async move { verbs.revoke_key(&caller, KeyId(id)).await }).await
    }
}
