//! The import `secrets`: what people wrote down for a plugin, by name.

use super::kv::Keeping;
use super::{Answer, NOT_GRANTED};
use crate::bindings::switchboard::plugin::secrets;
use crate::bindings::switchboard::plugin::types as wit;
use crate::call::CallState;
use crate::verbs::VerbError;

impl secrets::Host for CallState {
    async fn get(&mut self, name: String) -> Answer<String> {
        self.count()?;
        if !self.grants.secrets.contains(&name) {
            let short: String = name.chars().take(switchboard_core::rules::grants::SECRET_NAME_CHARS_MAX).collect();
            return Ok(Err(wit::HostError::Denied(format!("secrets: {NOT_GRANTED}: {short:?}"))));
        }
        if matches!(self.keeping, Keeping::Nothing) {
            let why = "secrets: only requests of a router and runs of a responder read them";
            return Ok(Err(wit::HostError::Denied(why.to_owned())));
        }
        let Some(verbs) = self.verbs.clone() else { return Ok(Err(super::no_host())) };
        let plugin = self.plugin.clone();
        let read = async move { verbs.secret(&plugin, &name).await?.ok_or(VerbError::NotFound) };
        let answer = self.timed(read).await;
        if let Ok(secret) = &answer {
            // Before the guest has it: whatever it says from now on is masked.
            self.masks.learn(secret);
        }
        Ok(answer)
    }
}
