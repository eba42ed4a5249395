//! Names to addresses: the seam at which tests give any answer they like.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Look-ups under way at once. The system's resolver keeps a thread for each and cannot be called back.
pub const LOOKUPS_MAX: usize = 64;

/// Looks names up.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Every address that `name` leads to, aliases followed.
    ///
    /// # Errors
    /// When there is no answer.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver: its hosts file, its servers, its order.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // The place is taken until the thread is free again, even when nobody waits for the answer any more.
            let _place = place;
            // The port is nobody's: only addresses are asked for.
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
