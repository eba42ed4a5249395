//! Takes files out of JSON while it arrives: the base64 text of the members that are asked for becomes bytes, chunk by chunk.
//!
//! Whatever is no such text passes through as it is. JSON that is not well formed is not judged here: who reads it later does.

/// Levels of objects and lists that are looked into; readers of JSON refuse deeper ones.
const DEPTH_MAX: usize = 127;
/// Longest name of a member that is looked at, bytes as it is written.
const KEY_BYTES_MAX: usize = 512;
/// Longest beginning of a data URL, `data:image/png;base64,`.
const DATA_URL_BYTES_MAX: usize = 256;
/// What a data URL begins with.
const DATA: &[u8] = b"data:";

/// What comes of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that passes through. Where a file was, its opening quotation mark is the last of one piece and the closing one the
    /// first of another.
    Json(Vec<u8>),
    /// A file begins, at this path, such as `image.base64` or `files.0.base64`.
    Begin(String),
    /// The next bytes of the file.
    Bytes(Vec<u8>),
    /// The file is whole; the MIME type that its data URL named.
    End(Option<String>),
}

/// The text of a member is not base64.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is not base64")]
pub(super) struct NotBase64 {
    /// Where.
    pub(super) path: String,
}

/// Reads JSON as it comes.
pub(super) struct Extractor {
    keys: Vec<String>,
    levels: Vec<Level>,
    state: State,
}

/// An object or a list that is open.
struct Level {
    object: bool,
    /// The next text is the name of a member.
    expects_key: bool,
    /// The member that is read, as far as its name is one that is looked at.
    key: Option<String>,
    /// The element that is read.
    index: u64,
}

enum State {
    /// Between texts.
    Between,
    /// In the name of a member: as it is written, unless that is too long.
    Key { written: Option<Vec<u8>>, escaped: bool },
    /// In a text that passes through.
    Text { escaped: bool },
    /// In the text of a file.
    File(Box<FileText>),
    /// Too deep: all that follows passes through.
    Lost,
}

impl Extractor {
    /// One that takes the text of members of these names.
    pub(super) fn new(keys: &[String]) -> Self {
        Self { keys: keys.to_vec(), levels: Vec::new(), state: State::Between }
    }

    /// What comes of the next bytes.
    ///
    /// # Errors
    /// [`NotBase64`]; nothing that follows is to be fed then.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Vec<Piece>, NotBase64> {
        let (mut pieces, mut json) = (Vec::new(), Vec::new());
        for &byte in input {
            if let State::File(file) = &mut self.state {
                let ended = file.take(byte).and_then(|open| if open { Ok(false) } else { file.end().map(|()| true) });
                let ended = ended.map_err(|Bad| NotBase64 { path: file.path.clone() })?;
                if !ended {
                    continue;
                }
                if !file.bytes.is_empty() {
                    pieces.push(Piece::Bytes(std::mem::take(&mut file.bytes)));
                }
                pieces.push(Piece::End(file.mime.take()));
                self.state = State::Between;
            } else if self.step(byte) {
                json.push(byte);
                pieces.push(Piece::Json(std::mem::take(&mut json)));
                let path = self.path();
                pieces.push(Piece::Begin(path.clone()));
                self.state = State::File(Box::new(FileText::at(path)));
                continue;
            }
            json.push(byte);
        }
        match &mut self.state {
            State::File(file) if !file.bytes.is_empty() => pieces.push(Piece::Bytes(std::mem::take(&mut file.bytes))),
            _ if !json.is_empty() => pieces.push(Piece::Json(json)),
            _ => {}
        }
        Ok(pieces)
    }

    /// Looks at a byte outside of files; whether a file begins behind it.
    fn step(&mut self, byte: u8) -> bool {
        match &mut self.state {
            State::Between => return self.between(byte),
            State::Key { written, escaped } => {
                if byte == b'"' && !*escaped {
                    let name = written.take().and_then(|written| read_name(&written));
                    if let Some(level) = self.levels.last_mut() {
                        level.key = name;
                    }
                    self.state = State::Between;
                    return false;
                }
                *escaped = byte == b'\\' && !*escaped;
                match written {
                    Some(bytes) if bytes.len() < KEY_BYTES_MAX => bytes.push(byte),
                    _ => *written = None,
                }
            }
            State::Text { escaped } => {
                if byte == b'"' && !*escaped {
                    self.state = State::Between;
                } else {
                    *escaped = byte == b'\\' && !*escaped;
                }
            }
            State::File(_) | State::Lost => {}
        }
        false
    }

    fn between(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => {
                let level = self.levels.last();
                if level.is_some_and(|level| level.expects_key) {
                    self.state = State::Key { written: Some(Vec::new()), escaped: false };
                    return false;
                }
                let name = level.filter(|level| level.object).and_then(|level| level.key.as_ref());
                if name.is_some_and(|name| self.keys.contains(name)) {
                    return true;
                }
                self.state = State::Text { escaped: false };
            }
            b'{' | b'[' if self.levels.len() >= DEPTH_MAX => self.state = State::Lost,
            b'{' => self.levels.push(Level { object: true, expects_key: true, key: None, index: 0 }),
            b'[' => self.levels.push(Level { object: false, expects_key: false, key: None, index: 0 }),
            b'}' | b']' => drop(self.levels.pop()),
            b':' => self.levels.iter_mut().last().into_iter().for_each(|level| level.expects_key = false),
            b',' => self.levels.iter_mut().last().into_iter().for_each(|level| {
                level.expects_key = level.object;
                level.index = level.index.saturating_add(1);
            }),
            _ => {}
        }
        false
    }

    fn path(&self) -> String {
        let part =
            |level: &Level| if level.object { level.key.clone().unwrap_or_default() } else { level.index.to_string() };
        self.levels.iter().map(part).collect::<Vec<String>>().join(".")
    }
}

/// The name of a member, as it is written between its quotation marks.
fn read_name(written: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", written, b"\""].concat()).ok()
}

/// It is not base64.
struct Bad;

/// The text of one file.
struct FileText {
    path: String,
    escape: Escape,
    head: Head,
    mime: Option<String>,
    /// What up to three characters mean that make no byte yet.
    bits: u32,
    digits: u8,
    padding: u8,
    bytes: Vec<u8>,
}

/// An escape in the text.
enum Escape {
    None,
    Begun,
    /// `\u` with so many digits so far, which make this number.
    Unicode {
        digits: u8,
        value: u32,
    },
}

/// What stands in front of the base64.
enum Head {
    /// It may still become a data URL.
    Maybe(Vec<u8>),
    /// It is one, and this is what follows `data:`.
    DataUrl(Vec<u8>),
    /// Nothing any more.
    Over,
}

impl FileText {
    fn at(path: String) -> Self {
        let head = Head::Maybe(Vec::new());
        Self { path, escape: Escape::None, head, mime: None, bits: 0, digits: 0, padding: 0, bytes: Vec::new() }
    }

    /// Takes the next byte of the JSON; whether the text goes on.
    fn take(&mut self, byte: u8) -> Result<bool, Bad> {
        match std::mem::replace(&mut self.escape, Escape::None) {
            Escape::None => match byte {
                b'"' => return Ok(false),
                b'\\' => self.escape = Escape::Begun,
                other => self.character(other)?,
            },
            Escape::Begun => match byte {
                b'u' => self.escape = Escape::Unicode { digits: 0, value: 0 },
                b'/' => self.character(b'/')?,
                // White space has no meaning in base64, however it is written.
                b'n' | b'r' | b't' => {}
                _ => return Err(Bad),
            },
            Escape::Unicode { digits, value } => {
                let digit = char::from(byte).to_digit(16).ok_or(Bad)?;
                let value = value * 16 + digit;
                if digits < 3 {
                    self.escape = Escape::Unicode { digits: digits + 1, value };
                } else {
                    self.character(u8::try_from(value).map_err(|_| Bad)?)?;
                }
            }
        }
        Ok(true)
    }

    /// A character of the text itself.
    fn character(&mut self, byte: u8) -> Result<(), Bad> {
        match &mut self.head {
            Head::Over => self.digit(byte),
            Head::Maybe(seen) => {
                if seen.is_empty() && byte.is_ascii_whitespace() {
                    return Ok(());
                }
                seen.push(byte);
                if !DATA.starts_with(seen) {
                    return self.head_over();
                }
                if seen.len() == DATA.len() {
                    self.head = Head::DataUrl(Vec::new());
                }
                Ok(())
            }
            Head::DataUrl(seen) if byte == b',' => {
                let text = String::from_utf8(std::mem::take(seen)).map_err(|_| Bad)?;
                let said = text.strip_suffix(";base64").ok_or(Bad)?;
                self.mime = said.split(';').next().filter(|mime| !mime.is_empty()).map(str::to_owned);
                self.head = Head::Over;
                Ok(())
            }
            Head::DataUrl(seen) => {
                seen.push(byte);
                if seen.len() > DATA_URL_BYTES_MAX { Err(Bad) } else { Ok(()) }
            }
        }
    }

    /// It is no data URL: what was seen is base64 itself.
    fn head_over(&mut self) -> Result<(), Bad> {
        if let Head::Maybe(seen) = std::mem::replace(&mut self.head, Head::Over) {
            for byte in seen {
                self.digit(byte)?;
            }
        }
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<(), Bad> {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            // The alphabet for addresses is understood as well.
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                self.padding += 1;
                return if self.digits >= 2 && self.digits + self.padding <= 4 { Ok(()) } else { Err(Bad) };
            }
            _ if byte.is_ascii_whitespace() => return Ok(()),
            _ => return Err(Bad),
        };
        if self.padding > 0 {
            return Err(Bad);
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            let [_, first, second, third] = self.bits.to_be_bytes();
            self.bytes.extend([first, second, third]);
            (self.bits, self.digits) = (0, 0);
        }
        Ok(())
    }

    /// The text is over: what is left of it is decoded.
    fn end(&mut self) -> Result<(), Bad> {
        match &self.head {
            Head::Maybe(_) => self.head_over()?,
            Head::DataUrl(_) => return Err(Bad),
            Head::Over => {}
        }
        if self.padding > 0 && self.digits + self.padding != 4 {
            return Err(Bad);
        }
        // Bits behind the last byte mean nothing: some encoders leave some.
        match self.digits {
            0 => {}
            2 => self.bytes.extend((self.bits >> 4).to_be_bytes().last()),
            3 => self.bytes.extend((self.bits >> 2).to_be_bytes().last_chunk::<2>().into_iter().flatten()),
            _ => return Err(Bad),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use switchboard_core::entropy::{Entropy, SeededEntropy};

    /// What came of a text: the JSON with `<n>` where file number n was, and the files.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Read {
        json: Vec<u8>,
        files: Vec<(String, Vec<u8>, Option<Option<String>>)>,
        refused: Option<String>,
    }

    fn read(chunks: &[&[u8]]) -> Read {
        let mut extractor = Extractor::new(&["base64".to_owned(), "data".to_owned()]);
        let mut read = Read::default();
        for chunk in chunks {
            let pieces = match extractor.feed(chunk) {
                Ok(pieces) => pieces,
                Err(refused) => return Read { refused: Some(refused.path), ..Read::default() },
            };
            for piece in pieces {
                match piece {
                    Piece::Json(text) => read.json.extend(text),
                    Piece::Begin(path) => {
                        read.json.extend(format!("<{}>", read.files.len()).bytes());
                        read.files.push((path, Vec::new(), None));
                    }
                    Piece::Bytes(bytes) => read.files.last_mut().unwrap().1.extend(bytes),
                    Piece::End(mime) => read.files.last_mut().unwrap().2 = Some(mime),
                }
            }
        }
        read
    }

    fn number(entropy: &SeededEntropy, below: usize) -> usize {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % below as u64).unwrap()
    }

    #[test]
    fn the_text_of_the_named_members_becomes_files_and_all_else_stays_as_it_is() {
        let text = r#"{"to":"1","image":{"base64":"aGVsbG8=","caption":"a \"base64\": \"x\""},"base64":"",
            "list":[1,{"data":"data:image/png;charset=x;base64,aGk"}],"data":5,"b":["base64","aGk="],
            "b\u0061se64":"aG\/k\r\n","other":"aGVsbG8="}"#;
        let read = read(&[text.as_bytes()]);
        let json = r#"{"to":"1","image":{"base64":"<0>","caption":"a \"base64\": \"x\""},"base64":"<1>",
            "list":[1,{"data":"<2>"}],"data":5,"b":["base64","aGk="],
            "b\u0061se64":"<3>","other":"aGVsbG8="}"#;
        assert_eq!(String::from_utf8(read.json).unwrap(), json);
        let png = Some(Some("image/png".to_owned()));
        let file = |path: &str, bytes: &[u8], mime| (path.to_owned(), bytes.to_vec(), mime);
        let expected = vec![
            file("image.base64", b"hello", Some(None)),
            file("base64", b"", Some(None)),
            file("list.1.data", b"hi", png),
            file("base64", &STANDARD.decode("aG/k").unwrap(), Some(None)),
        ];
        assert_eq!((read.files, read.refused), (expected, None));
    }

    #[test]
    fn what_is_not_base64_is_refused_with_its_path() {
        for text in [
            "a",
            "aGk=x",
            "aGk==",
            "====",
            "a===",
            "aG k\\u00e9",
            "aGk\\",
            "\\\"",
            "data:image/png,aGk=",
            "datum:",
            "a%62",
            "ä",
            "data:;base64,a",
            "data:aGVsbG8=",
        ] {
            let json = format!("{{\"a\":{{\"base64\":\"{text}\"}}}}");
            assert_eq!(read(&[json.as_bytes()]).refused.as_deref(), Some("a.base64"), "{text}");
        }
        for (text, bytes) in
            [("data", &b"u\xab\x5a"[..]), ("aGk", b"hi"), (" a G\\nk\\u003d", b"hi"), ("-_-_", b"\xfb\xff\xbf")]
        {
            let json = format!("{{\"base64\":\"{text}\"}}");
            let read = read(&[json.as_bytes()]);
            assert_eq!((read.refused, &*read.files[0].1), (None, bytes), "{text}");
        }
    }

    #[test]
    fn wherever_the_text_is_split_the_result_is_the_same() {
        let entropy = SeededEntropy::new(11);
        let parts = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"base64\"",
            "\"data\"",
            "\"x\"",
            "\"aGVsbG8=\"",
            "\"data:a/b;base64,aGk=\"",
            "1",
            " ",
            "\"a\\\"b\\\\\"",
            "\"b\\u0061se64\"",
            "\"",
            "\\",
            "aGk",
        ];
        for round in 0..400 {
            let mut text = if round % 2 == 0 {
                String::new()
            } else {
                "{\"a\":[{\"base64\":\"data:x/y;base64,aGVs\\/bG8=\",".to_owned()
            };
            for _ in 0..number(&entropy, 30) {
                text.push_str(parts[number(&entropy, parts.len())]);
            }
            let bytes = text.as_bytes();
            let whole = read(&[bytes]);
            for at in 0..=bytes.len() {
                let (front, back) = bytes.split_at(at);
                assert_eq!(read(&[front, back]), whole, "{text:?} at {at}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&single), whole, "{text:?}");
        }
    }

    #[test]
    fn well_formed_json_stays_well_formed_and_files_are_where_a_reader_finds_their_handles() {
        let entropy = SeededEntropy::new(12);
        fn value(entropy: &SeededEntropy, depth: usize) -> serde_json::Value {
            match number(entropy, if depth == 0 { 3 } else { 5 }) {
                0 => serde_json::json!(number(entropy, 99)),
                1 => serde_json::json!("t\"e\\x\u{e4}t"),
                2 => serde_json::json!(STANDARD.encode(vec![7; number(entropy, 9)])),
                3 => (0..number(entropy, 4)).map(|_| value(entropy, depth - 1)).collect(),
                _ => {
                    let name = |n: usize| ["base64", "data", "x", "y\"z"][n].to_owned();
                    let members = (0..number(entropy, 4)).map(|n| (name(n), value(entropy, depth - 1)));
                    serde_json::Value::Object(members.collect())
                }
            }
        }
        for _ in 0..500 {
            let original = value(&entropy, 4);
            let read = read(&[original.to_string().as_bytes()]);
            if read.refused.is_some() {
                continue;
            }
            let left: serde_json::Value = serde_json::from_slice(&read.json).unwrap();
            for (n, (path, bytes, ended)) in read.files.iter().enumerate() {
                let pointer = format!("/{}", path.replace('.', "/"));
                assert_eq!(left.pointer(&pointer), Some(&serde_json::json!(format!("<{n}>"))), "{original}");
                let text = original.pointer(&pointer).unwrap().as_str().unwrap();
                assert_eq!((STANDARD.decode(text).as_ref(), ended), (Ok(bytes), &Some(None)), "{original}");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm() {
        let entropy = SeededEntropy::new(13);
        for _ in 0..2000 {
            let mut bytes = vec![0; number(&entropy, 200)];
            entropy.fill(&mut bytes);
            read(&[b"{\"base64\":\"", &bytes]);
            read(&[&bytes, b"{\"base64\":\"aGk=\"}"]);
        }
        let deep = "[".repeat(100_000) + "{\"base64\":\"aGk=\"}";
        assert_eq!(read(&[deep.as_bytes()]).files, []);
        let long = format!("{{\"{}\":\"x\",\"base64\":\"aGk=\"}}", "k".repeat(100_000));
        assert_eq!(read(&[long.as_bytes()]).files.len(), 1);
    }
}
