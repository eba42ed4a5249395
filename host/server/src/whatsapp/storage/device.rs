//! The device record: the account, its long-term keys and the counters of the client.

use std::sync::Arc;

use async_trait::async_trait;
use wacore::stats::StorageResourceReport;
use wacore::store::Device;
use wacore::store::device::DEVICE_PROPS;
use wacore::store::error::Result;
use wacore::store::traits::DeviceStore;

use super::{DEVICE_ID, DeviceBackend, Tries, codec, tables};

/// The only key in the table of the device.
const DEVICE_KEY: &[u8] = b"device";

// `snapshot_db` keeps its default, which does nothing: it would write key material to disk, and the library's feature
// that calls it is off.
#[async_trait]
impl DeviceStore for DeviceBackend {
    async fn save(&self, device: &Device) -> Result<()> {
        self.put(tables::DEVICE, DEVICE_KEY, &codec::to_json(device)?).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        let Some(mut device) = self.get_json::<Device>(tables::DEVICE, DEVICE_KEY).await? else {
            return Ok(None);
        };
        // Not part of the record, and empty after reading it; an unpaired device would register without a name.
        device.device_props = Arc::new(DEVICE_PROPS.clone());
        Ok(Some(device))
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.get(tables::DEVICE, DEVICE_KEY).await?.is_some())
    }

    async fn create(&self) -> Result<i32> {
        let mut tries = Tries::of("create");
        loop {
            // A second `create` must not replace the keys of a device which may be paired by now.
            if self.exists().await? {
                return Ok(DEVICE_ID);
            }
            let mut batch = self.storage.batch();
            batch.unchanged(tables::DEVICE, DEVICE_KEY, None);
            batch.put(tables::DEVICE, DEVICE_KEY, &codec::to_json(&Device::new())?);
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(DEVICE_ID);
            }
        }
    }

    async fn resource_report(&self) -> StorageResourceReport {
        // The database's cache is shared by all sessions; no part of it belongs to this one.
        StorageResourceReport { memory_bytes: Some(0), ..StorageResourceReport::default() }
    }
}
