//! The verb by which plugins ask others over HTTP.

use async_trait::async_trait;

use switchboard_core::records::id::TenantId;
use switchboard_runtime::verbs::{FetchAnswer, FetchError, FetchRequest, FetchVerbs};

use super::HostVerbs;

#[async_trait]
impl FetchVerbs for HostVerbs {
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        self.fetches.fetch(tenant, request).await
    }
}
