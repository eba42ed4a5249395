//! Versions of the components that tests upload: the same code under other hashes.

use std::path::Path;

use switchboard_runtime::{GRANTS_SECTION, INSTANCE_KEPT, INSTANCE_SECTION, add_section};

/// What the misbehaving router answers to what it does not serve.
const REFUSAL: &[u8; 9] = b"not found";

/// The bytes of a component that the build script built.
pub fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(path)).unwrap()
}

/// A component with a section more that nothing reads: the same code, other bytes.
pub fn stamped(path: &str, n: u16) -> Vec<u8> {
    let mut component = std::fs::read(Path::new(path)).unwrap();
    let [high, low] = n.to_be_bytes();
    component.extend([0, 4, 1, b'v', high, low]);
    component
}

/// A component with a wish for these grants.
pub fn asking(path: &str, wish: &serde_json::Value) -> Vec<u8> {
    let mut component = std::fs::read(Path::new(path)).unwrap();
    add_section(&mut component, GRANTS_SECTION, wish.to_string().as_bytes());
    component
}

/// A component that asks for its instances to be kept.
pub fn keeping(path: &str) -> Vec<u8> {
    let mut component = std::fs::read(Path::new(path)).unwrap();
    add_section(&mut component, INSTANCE_SECTION, INSTANCE_KEPT);
    component
}

/// A component with a section more of this many zeros: what it does is the same, and it is larger.
pub fn padded(component: &[u8], zeros: u32) -> Vec<u8> {
    let mut padded = component.to_vec();
    add_section(&mut padded, "p", &vec![0; zeros as usize]);
    padded
}

/// The misbehaving router at `path`, whose answer to what it does not serve says which version it is.
pub fn saying(path: &str, words: &[u8; 9]) -> Vec<u8> {
    replaced(&std::fs::read(Path::new(path)).unwrap(), REFUSAL, words)
}

/// A component with `from` replaced by `to` wherever it stands.
///
/// # Panics
/// When it stands nowhere, or `to` is longer or shorter.
pub fn replaced(component: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let windows = component.windows(from.len()).enumerate();
    let places: Vec<usize> = windows.filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the component does not have it");
    let mut replaced = component.to_vec();
    for at in places {
        replaced[at..at + from.len()].copy_from_slice(to);
    }
    replaced
}
