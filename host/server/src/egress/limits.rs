//! How long, how far and how much: the limits of guarded requests.

use std::time::Duration;

/// Longest wait for a connection, TLS included.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer's head.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Most redirects that are followed.
const REDIRECTS_MAX: u32 = 5;

/// Longest delivery of a webhook.
const EXCHANGE_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for the beginning of a body that nobody needs.
const BODY_WAIT: Duration = Duration::from_secs(2);
/// Bytes of a body that are kept.
const BODY_BYTES_KEPT: usize = 1024;

/// What a download may always take.
const DOWNLOAD_WAIT: Duration = Duration::from_secs(10);
/// What no download may take.
const DOWNLOAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// What a source must send in a second, so that 100 MiB, the largest document, have the whole 60 s.
const DOWNLOAD_BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;

/// Limits of an exchange of which the status matters and the body hardly does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeLimits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for the head of the last answer, name look-ups, connections and redirects included.
    pub total: Duration,
    /// Longest wait for the body after that; what has come by then is kept.
    pub body: Duration,
    /// Bytes of the body that are kept; more is no error.
    pub body_bytes_kept: usize,
    /// Most bytes of an answer's head. The library itself ends at 100 headers or some 400 KiB.
    pub header_bytes_max: usize,
    /// Most redirects that are followed; one more is an error.
    pub redirects_max: u32,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            connect: CONNECT_WAIT,
            total: EXCHANGE_WAIT,
            body: BODY_WAIT,
            body_bytes_kept: BODY_BYTES_KEPT,
            header_bytes_max: HEADER_BYTES_MAX,
            redirects_max: REDIRECTS_MAX,
        }
    }
}

/// Limits of a download of which every byte matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadLimits {
    /// Most bytes of the body.
    pub bytes_max: u64,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// What the whole download may take, whatever its size; the announced size adds to it.
    pub base: Duration,
    /// What it may take at most.
    pub total_max: Duration,
    /// How fast a source must be: what is announced is divided by this and added to `base`.
    pub bytes_per_second_min: u64,
    /// Most bytes of an answer's head.
    pub header_bytes_max: usize,
    /// Most redirects that are followed; one more is an error.
    pub redirects_max: u32,
}

impl DownloadLimits {
    /// The usual limits for at most `bytes_max` bytes.
    pub fn of(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            connect: CONNECT_WAIT,
            base: DOWNLOAD_WAIT,
            total_max: DOWNLOAD_WAIT_MAX,
            bytes_per_second_min: DOWNLOAD_BYTES_PER_SECOND,
            header_bytes_max: HEADER_BYTES_MAX,
            redirects_max: REDIRECTS_MAX,
        }
    }

    /// How long a download may take that announces `bytes`, from its very beginning.
    pub(super) fn time_for(&self, announced: Option<u64>) -> Duration {
        let bytes = announced.unwrap_or(0);
        let millis = bytes.saturating_mul(1000) / self.bytes_per_second_min.max(1);
        self.base.saturating_add(Duration::from_millis(millis)).min(self.total_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_download_grows_with_what_is_announced_up_to_a_minute() {
        const MIB: u64 = 1024 * 1024;
        let limits = DownloadLimits::of(100 * MIB);
        for (announced, seconds) in [
            (None, 10),
            (Some(0), 10),
            (Some(2 * MIB), 11),
            (Some(16 * MIB), 18),
            (Some(100 * MIB), 60),
            (Some(101 * MIB), 60),
            (Some(u64::MAX), 60),
        ] {
            assert_eq!(limits.time_for(announced).as_secs(), seconds, "{announced:?}");
        }
    }
}
