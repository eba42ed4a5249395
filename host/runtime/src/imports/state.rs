//! The imports `kv`, `http` and `secrets`: what a plugin keeps, and whom it may ask.

use super::Answer;
use crate::bindings::switchboard::plugin::types as wit;
use crate::bindings::switchboard::plugin::{http, kv, secrets};
use crate::call::CallState;

/// What a plugin is told that has not been granted what it asks for.
const NOT_GRANTED: &str = "the plugin has no grant for it";

impl CallState {
    fn not_granted<T>(&mut self, what: &str) -> Answer<T> {
        self.count()?;
        Ok(Err(wit::HostError::Denied(format!("{what}: {NOT_GRANTED}"))))
    }
}

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

impl http::Host for CallState {
    async fn fetch(&mut self, _: http::Request) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.count()?;
        Ok(Err(http::HttpError::Denied(NOT_GRANTED.to_owned())))
    }
}

impl secrets::Host for CallState {
    async fn get(&mut self, _: String) -> Answer<String> {
        self.not_granted("secrets")
    }
}
