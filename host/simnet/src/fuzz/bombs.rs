//! Compressed data made by hand, since nothing here needs to compress otherwise.

/// The bytes as they are, in a zlib stream.
pub(crate) fn zlib_stored(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(plain);
    stream.extend(adler32(plain.iter().copied()).to_be_bytes());
    stream
}

/// A zlib stream of some kilobytes that inflates to `count` zeros.
pub(crate) fn zlib_of_zeros(count: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b1, 1); // the last block,
    bits.push(0b01, 2); // with fixed codes
    bits.push_code(0x30, 8); // the literal 0
    let mut left = count - 1;
    while left >= 258 {
        bits.push_code(0b1100_0101, 8); // length 258
        bits.push_code(0, 5); // distance 1
        left -= 258;
    }
    for _ in 0..left {
        bits.push_code(0x30, 8);
    }
    bits.push_code(0, 7); // the end
    let mut stream = vec![0x78, 0x01];
    stream.extend(bits.finish());
    stream.extend(adler32(std::iter::repeat_n(0, count)).to_be_bytes());
    stream
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl Bits {
    /// Plain numbers go in from the lowest bit.
    fn push(&mut self, value: u32, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push((self.pending & 0xff) as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Codes go in from the highest bit.
    fn push_code(&mut self, code: u32, count: u32) {
        for bit in (0..count).rev() {
            self.push((code >> bit) & 1, 1);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push((self.pending & 0xff) as u8);
        }
        self.bytes
    }
}

fn adler32(bytes: impl Iterator<Item = u8>) -> u32 {
    let (a, b) = bytes.fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}
