//! QR codes as dialects show them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use switchboard_guest_sdk::sessions::QrCode;

/// The picture of a code as a data URL.
pub fn data_url(code: &QrCode) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(&code.png))
}
