//! The project's files, and just enough of Rust's grammar to tell code from comments, literals and tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders that hold what tools made or fetched.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

/// Every text file of the project, in the order of their paths.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
});

/// A text file.
pub(crate) struct Source {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// A Rust file with spaces in place of comments and literals; empty for other files.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    pub(crate) fn has_extension(&self, wanted: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| wanted.contains(&extension))
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the file is `place`, or below it.
    pub(crate) fn is_in(&self, place: &str) -> bool {
        self.path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether all of the file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let in_folder = self.path.split('/').any(|part| part == "tests" || part == "benches");
        in_folder || TEST_MODULES.iter().any(|module| self.is_in(module))
    }

    /// Where the files of this file's modules are.
    fn module_folder(&self) -> &str {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        match path.rsplit_once('/') {
            Some((folder, "lib" | "main" | "mod")) => folder,
            _ => path,
        }
    }
}

/// The modules in files of their own that exist only in tests, by path without `.rs`.
static TEST_MODULES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut found = Vec::new();
    for source in SOURCES.iter() {
        let mut rest = source.code.as_str();
        while let Some((_, item, after)) = split_at_test(rest) {
            let name = words(item, "mod").next().map(|(_, name)| name.trim_end_matches(';').trim());
            if let Some(name) = name.filter(|_| item.ends_with(';')) {
                found.push(format!("{}/{name}", source.module_folder()));
            }
            rest = after;
        }
    }
    found
});

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        // In a second work tree `.git` is a file.
        if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, found);
        } else if kind.is_file()
            // What is not UTF-8 is not ours to read.
            && let Ok(text) = fs::read_to_string(&path)
            && let Ok(relative) = path.strip_prefix(root)
        {
            let path = relative.to_string_lossy().replace('\\', "/");
            let code = if path.ends_with(".rs") { code_of(&text) } else { String::new() };
            found.push(Source { path, text, code });
        }
    }
}

/// The code with spaces in place of comments and literals; lines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut rest = chars.as_slice();
    while let [first, after @ ..] = rest {
        let length = blank_length(rest);
        if length == 0 {
            code.push(*first);
            rest = after;
            continue;
        }
        let (blank, after) = rest.split_at(length.min(rest.len()));
        code.extend(blank.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    code
}

/// The length of the comment or literal that begins here; 0 when none does.
fn blank_length(rest: &[char]) -> usize {
    match rest {
        ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => block_comment_length(rest),
        ['"', body @ ..] => 1 + string_body_length(body),
        ['r', after @ ..] => raw_string_length(after),
        ['\'', '\\', _, body @ ..] => 4 + body.iter().take_while(|c| **c != '\'').count(),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match rest.get(at..) {
            Some(['/', '*', ..]) => {
                depth += 1;
                at += 2;
            }
            Some(['*', '/', ..]) => {
                depth = depth.saturating_sub(1);
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            Some([_, ..]) => at += 1,
            _ => return rest.len(),
        }
    }
}

fn string_body_length(body: &[char]) -> usize {
    let mut escaped = false;
    for (at, c) in body.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// With its `r`; 0 when what follows the `r` makes it a part of a name.
fn raw_string_length(after: &[char]) -> usize {
    let hashes = after.iter().take_while(|c| **c == '#').count();
    if after.get(hashes) != Some(&'"') {
        return 0;
    }
    let body = after.iter().enumerate().skip(hashes + 1);
    for (at, c) in body {
        if *c == '"' && after.iter().skip(at + 1).take_while(|c| **c == '#').count() >= hashes {
            return at + 2 + hashes;
        }
    }
    after.len() + 1
}

/// The code without the items that exist only in tests; lines stay where they are.
pub(crate) fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, item, after)) = split_at_test(rest) {
        kept.push_str(before);
        kept.extend(item.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// What comes before the first item under `#[cfg(test)]`, the item, and what comes after it.
fn split_at_test(code: &str) -> Option<(&str, &str, &str)> {
    let starts = ["#[cfg(test)", "#[cfg(all(test,"].into_iter().filter_map(|start| code.find(start));
    let (before, rest) = code.split_at_checked(starts.min()?)?;
    let attribute = group_length(rest, '[', ']');
    let length = attribute + item_length(rest.get(attribute..)?);
    let (item, after) = rest.split_at_checked(length)?;
    Some((before, item, after))
}

/// A function: where it begins, and how many lines it has.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (at, _) in words(code, "fn") {
        let item = code.get(at..).unwrap_or_default();
        let after = item.trim_start_matches("fn").trim_start();
        let name = after.split(|c| !is_word(c)).next().unwrap_or_default();
        // Without a name it is the type of a function, or a macro's pattern.
        if !name.is_empty() {
            let body = item.get(..item_length(item)).unwrap_or(item);
            found.push(Function { name, line: line_of(code, at), lines: line_of(body, body.len()) });
        }
    }
    found
}

/// Attributes, with the line they begin on.
pub(crate) fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices('#') {
        let text = code.get(at..).unwrap_or_default();
        if text.starts_with("#[") || text.starts_with("#![") {
            let length = group_length(text, '[', ']');
            found.push((line_of(code, at), text.get(..length).unwrap_or(text)));
        }
    }
    found
}

/// Where `word` stands as a word of its own, and what follows it.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code.get(..at)?.chars().next_back();
        let after = code.get(at + word.len()..)?;
        let alone = !before.is_some_and(is_word) && !after.chars().next().is_some_and(is_word);
        alone.then_some((at, after))
    })
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The number of the line that holds this offset; the first is 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// Up to the item's closing brace or semicolon.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return at + 1,
            '{' if depth == 0 => return at + group_length(item.get(at..).unwrap_or_default(), '{', '}'),
            _ => {}
        }
    }
    item.len()
}

/// Up to the bracket that closes the first one.
fn group_length(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}
