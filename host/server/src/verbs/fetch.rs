//! The verb by which plugins ask others over HTTP.

use async_trait::async_trait;

use switchboard_core::records::id::TenantId;
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_core::storage::StorageError;
use switchboard_runtime::verbs::{FetchAnswer, FetchError, FetchRequest, FetchVerbs};

use super::HostVerbs;

#[async_trait]
impl FetchVerbs for HostVerbs {
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let failed = |error: StorageError| FetchError::Unreachable(error.to_string());
        let owner = self.storage.tenant(tenant).await.map_err(failed)?;
        let plan = owner.and_then(|owner| PluginFigures::of(&owner).http_per_minute);
        self.fetches.fetch(tenant, plan, request).await
    }
}
