//! The import `secrets`: what people wrote down for a plugin, by name.

use super::Answer;
use crate::bindings::switchboard::plugin::secrets;
use crate::call::CallState;

impl secrets::Host for CallState {
    async fn get(&mut self, _: String) -> Answer<String> {
        self.not_granted("secrets")
    }
}
