//! Multipart forms as clients write them.

use std::fmt::Display;

/// What lies between the parts.
pub const BOUNDARY: &str = "----a0b1c2";

/// A part of a form: its head below the boundary, and its bytes.
pub type Part<'a> = (String, &'a [u8]);

/// A field of a form.
pub fn field<'a>(name: &str, value: &'a str) -> Part<'a> {
    (format!("name=\"{name}\""), value.as_bytes())
}

/// A file of a form.
pub fn file<'a>(field: &str, name: &str, mime: &str, bytes: &'a [u8]) -> Part<'a> {
    (format!("name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: {mime}"), bytes)
}

/// A whole form of these parts: the head of each below its boundary, and its bytes.
pub fn form<H: Display>(parts: &[(H, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, bytes) in parts {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    body
}
