//! The import `kv`: what a plugin keeps for a tenant.

use super::Answer;
use crate::bindings::switchboard::plugin::kv;
use crate::call::CallState;

impl kv::Host for CallState {
    async fn get(&mut self, _: String) -> Answer<Option<Vec<u8>>> {
        self.not_granted("kv")
    }

    async fn put(&mut self, _: String, _: Vec<u8>, _: Option<u32>) -> Answer<()> {
        self.not_granted("kv")
    }

    async fn put_if(&mut self, _: String, _: kv::Expected, _: Vec<u8>, _: Option<u32>) -> Answer<bool> {
        self.not_granted("kv")
    }

    async fn delete(&mut self, _: String) -> Answer<bool> {
        self.not_granted("kv")
    }

    async fn scan(&mut self, _: kv::Stretch) -> Answer<kv::Page> {
        self.not_granted("kv")
    }

    async fn usage(&mut self) -> Answer<kv::Kept> {
        self.not_granted("kv")
    }
}
