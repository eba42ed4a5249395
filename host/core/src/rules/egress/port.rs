//! Which ports no request over HTTP has any business at.

/// Ports of services that read a request as commands of their own, or that administer a machine. Sorted.
///
/// An allow list does not open them: what listens there is no receiver of webhooks. All lie below 32768, where systems begin
/// to give ports out by themselves.
const FORBIDDEN: [u16; 76] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 993, 995, 2049, 2375, 2376, 2379, 3306, 3389, 5432, 6379, 6380, 10250, 11211,
    11214, 27017,
];

/// Whether no request may go to `port`.
pub(super) fn is_forbidden(port: u16) -> bool {
    FORBIDDEN.binary_search(&port).is_ok()
}
