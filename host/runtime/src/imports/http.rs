//! The import `http`: whom a plugin may ask.

use super::NOT_GRANTED;
use crate::bindings::switchboard::plugin::http;
use crate::call::CallState;

impl http::Host for CallState {
    async fn fetch(&mut self, _: http::Request) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.count()?;
        Ok(Err(http::HttpError::Denied(NOT_GRANTED.to_owned())))
    }
}
