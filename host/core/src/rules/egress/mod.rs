//! Where the host may go on behalf of others: webhook targets, media by URL, what plugins fetch.
//!
//! Pure rules. A URL is judged as it is written ([`CheckedUrl`]), and each address that its name leads to is judged again
//! ([`AllowList::judge`]), since a public name may lead inwards. Looking names up and connecting is the caller's matter.
//!
//! Invariant: what is not on the public internet is refused unless the operator named it; no setting lets everything through.

mod address;
mod allow;
mod name;
mod own;
mod port;
mod target;

pub use address::NotPublic;
pub use allow::{AllowError, AllowList};
pub use name::{is_below, is_host_name};
pub use own::is_own;
pub use target::{CheckedUrl, TargetError, TargetHost, URL_BYTES_MAX};

/// Headers that belong to the connection, or say whose host is asked: whoever causes a request cannot set them.
pub const CONNECTION_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests;
