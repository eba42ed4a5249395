//! The media part of the control API: faults of the hosts, the files that phones were sent, and the certificate.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::blobs::BlobError;
use crate::control::ControlAnswer;
use crate::network::{MEDIA_FAULT_PREFIX, MediaFaultCommand, MediaFaultError, ShownFile};
use crate::shared::Shared;

const FILE_TYPE: &str = "application/octet-stream";

/// Only the name of a fault.
#[derive(Deserialize)]
struct FaultName {
    fault: String,
}

/// Whether the body of a fault command is about media.
pub(crate) fn is_media_fault(body: &[u8]) -> bool {
    serde_json::from_slice::<FaultName>(body).is_ok_and(|name| name.fault.starts_with(MEDIA_FAULT_PREFIX))
}

/// Applies such a command and tells what is wrong with the hosts now.
pub(crate) fn media_fault(shared: &Shared, body: &[u8]) -> ControlAnswer {
    let command: MediaFaultCommand = match serde_json::from_slice(body) {
        Ok(command) => command,
        Err(error) => return invalid(format!("body is not what is expected here: {error}")),
    };
    match shared.change(|network| network.apply_media_fault(&command)) {
        Ok(Ok(faults)) => ControlAnswer::json(200, &json!({ "media": faults })),
        Ok(Err(error @ (MediaFaultError::NoPhone(_) | MediaFaultError::NoFile { .. }))) => {
            ControlAnswer::problem(404, "not found", error.to_string())
        }
        Ok(Err(error)) => invalid(error.to_string()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a media fault could not be written down");
            ControlAnswer::problem(500, "internal error", "the change could not be written down")
        }
    }
}

/// The file that message `n` on a phone refers to, opened by the phone.
pub(crate) async fn media_of_message(shared: &Shared, number: &str, n: &str) -> ControlAnswer {
    let Ok(n) = n.parse::<u64>() else {
        return invalid(format!("the number of a message is a number, not {n:?}"));
    };
    let file = match shared.look(|network| network.shown_file(number, n)) {
        ShownFile::File(file) => file,
        ShownFile::NoPhone => {
            return ControlAnswer::problem(404, "no such phone", format!("no phone has the number {number}"));
        }
        ShownFile::NoMessage => {
            return ControlAnswer::problem(404, "no such message", format!("the phone {number} has shown no message {n}"));
        }
        ShownFile::NoFile => return conflict("no file", format!("message {n} refers to no file")),
        ShownFile::Missing(path) => return missing(&path),
    };
    let blobs = Arc::clone(&shared.blobs);
    let path = file.direct_path.clone();
    let opened = spawn_blocking(move || {
        let sealed = blobs.get(&file.direct_path)?;
        Ok::<_, BlobError>(sealed.map(|sealed| file.open(&sealed)))
    });
    match opened.await {
        Ok(Ok(Some(Ok(body)))) => ControlAnswer { status: 200, content_type: FILE_TYPE, body },
        Ok(Ok(Some(Err(error)))) => conflict("file does not open", error.to_string()),
        Ok(Ok(None)) => missing(&path),
        Ok(Err(error)) => broken(&error),
        Err(error) => broken(&error),
    }
}

/// The certificate, for clients that trust no other.
pub(crate) fn tls_certificate(shared: &Shared) -> ControlAnswer {
    ControlAnswer::json(200, &json!({ "certificate": shared.media.tls.certificate() }))
}

fn broken(error: &(dyn std::error::Error + 'static)) -> ControlAnswer {
    tracing::error!(error, "a file of the store cannot be read");
    ControlAnswer::problem(500, "internal error", "the file cannot be read")
}

fn missing(path: &str) -> ControlAnswer {
    ControlAnswer::problem(404, "no such file", format!("nothing is served at {path}"))
}

fn conflict(title: &str, detail: String) -> ControlAnswer {
    ControlAnswer::problem(409, title, detail)
}

fn invalid(detail: String) -> ControlAnswer {
    ControlAnswer::problem(422, "invalid request", detail)
}
