//! Phones that upload a file once more, because a companion could not download it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::network::{Network, Reupload};
use crate::shared::{ChangeError, Shared};

/// Uploads what phones are asked for, one after the other, until the network stops.
///
/// What a phone has on its own disk is what the hosts were once given; a file that a test has taken away is still there.
pub(crate) async fn reupload_files(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = shared.media.reuploads.notified() => {}
        }
        if let Err(error) = upload_all(&shared).await {
            tracing::error!(%error, "what a phone has uploaded again could not be written down");
        }
    }
}

async fn upload_all(shared: &Arc<Shared>) -> Result<(), ChangeError> {
    while let Some(reupload) = shared.change(Network::next_reupload)? {
        let blobs = Arc::clone(&shared.blobs);
        let work = spawn_blocking(move || (link(&blobs, &reupload), reupload));
        match work.await {
            Ok((uploaded, reupload)) => shared.change(|network| network.answer_reupload(reupload, uploaded))?,
            Err(error) => tracing::error!(%error, "a file was not uploaded again"),
        }
    }
    Ok(())
}

fn link(blobs: &crate::blobs::Blobs, reupload: &Reupload) -> bool {
    blobs.link(reupload.from(), &reupload.to).unwrap_or_else(|error| {
        tracing::error!(%error, "a file could not be uploaded again");
        false
    })
}
