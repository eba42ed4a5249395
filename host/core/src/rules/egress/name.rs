//! Which host names belong to an inner network, whatever they lead to.

/// Most characters of a host name (RFC 1035).
const NAME_CHARS_MAX: usize = 253;
/// Most characters between two of its dots.
const LABEL_CHARS_MAX: usize = 63;

/// Names that never belong to the public internet, with everything below them.
const INNER: [&str; 17] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "home.arpa",
    "lan",
    // Services of a Kubernetes cluster, as pods may call them; `cluster.local` is below `local`.
    "svc",
    "test",
    "invalid",
    "onion",
    // Google's other name of its metadata service; the better known one is below `internal`.
    "metadata.goog",
    "in-addr.arpa",
    "ip6.arpa",
];

/// Whether `name` (lower case, no dot at its end) is one of an inner network: listed, or without any dot.
pub(super) fn is_inner(name: &str) -> bool {
    !name.contains('.') || INNER.iter().any(|inner| is_or_is_below(name, inner))
}

/// Whether `name` can be looked up at all.
pub fn is_host_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX && name.split('.').all(|label| (1..=LABEL_CHARS_MAX).contains(&label.len()))
}

/// Whether `name` is below `parent`: `a.example.com` is below `example.com`, and `example.com` is not.
pub fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
}

fn is_or_is_below(name: &str, parent: &str) -> bool {
    name == parent || is_below(name, parent)
}
