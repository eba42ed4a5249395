//! Binary WebAssembly by hand, where text would be too large or too well-behaved.

/// What a component begins with.
pub(super) const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// What a core module begins with.
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// A number as WebAssembly writes it.
pub(super) fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A section of this kind.
pub(super) fn section(kind: u8, content: &[u8]) -> Vec<u8> {
    [[kind].as_slice(), &leb(content.len()), content].concat()
}

/// A section of so many entries.
pub(super) fn list(kind: u8, count: usize, entry: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut content = leb(count);
    for n in 0..count {
        content.extend(entry(n));
    }
    section(kind, &content)
}

/// A component of these sections.
pub(super) fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    sections.iter().for_each(|section| bytes.extend(section));
    bytes
}

/// A name with its length before it.
pub(super) fn name(text: &str) -> Vec<u8> {
    [leb(text.len()).as_slice(), text.as_bytes()].concat()
}

/// The good component with a core module more, which nobody instantiates, of so many functions with this body.
pub(super) fn with_functions(mut component: Vec<u8>, count: usize, body: &[u8]) -> Vec<u8> {
    let mut module = CORE_MODULE.to_vec();
    // One type, from nothing to nothing; every function has it.
    module.extend(section(1, &[1, 0x60, 0, 0]));
    module.extend(list(3, count, |_| vec![0]));
    module.extend(list(10, count, |_| [leb(body.len()).as_slice(), body].concat()));
    component.extend(section(1, &module));
    component
}

/// The good component with one more in it, which it instantiates.
pub(super) fn with_instance_of(mut component: Vec<u8>, inner: &[u8]) -> Vec<u8> {
    let index = components_in(&component);
    component.extend(section(4, inner));
    component.extend(section(5, &[[1, 0].as_slice(), &leb(index), &[0]].concat()));
    component
}

/// How many components lie directly in one.
fn components_in(component: &[u8]) -> usize {
    let (mut at, mut count) = (COMPONENT.len(), 0);
    while at < component.len() {
        count += usize::from(component[at] == 4);
        let (mut length, mut shift) = (0_usize, 0);
        at += 1;
        loop {
            let byte = component[at];
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at += length;
    }
    count
}
