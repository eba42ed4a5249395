//! A network for the stage's host: it remembers what it was asked, and answers everything but what is to hang.

use async_trait::async_trait;
use switchboard_core::records::id::TenantId;
use switchboard_runtime::verbs::{FetchAnswer, FetchError, FetchRequest, FetchVerbs};

use super::FakeVerbs;

impl FakeVerbs {
    /// What was asked of others so far, and for which tenant.
    pub fn fetched(&self) -> Vec<(u64, FetchRequest)> {
        self.fetched.lock().unwrap().clone()
    }
}

#[async_trait]
impl FetchVerbs for FakeVerbs {
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let hangs = request.url.ends_with("/hang");
        self.fetched.lock().unwrap().push((tenant.0, request));
        if hangs {
            std::future::pending::<()>().await;
        }
        let headers = vec![("x-kind".to_owned(), "fake".to_owned())];
        Ok(FetchAnswer { status: 200, headers, body: b"ok".to_vec() })
    }
}
