//! The child's side: limits first, then the file on standard input, then facts or a recording on standard output.

use std::io::{Read, Write};
use std::process::{Command, ExitCode};

use switchboard_confine::{ProcessLimits, REFUSED_CODE, limit_this_process};

use crate::boxes;
use crate::facts::facts;

/// The child's first word: tell what the file is.
pub(crate) const TELL: &str = "tell";
/// The child's first word: put an MP4's index in front.
pub(crate) const ORDER: &str = "order";
/// The child's first word: become the converter that the second word names.
pub(crate) const CONVERT: &str = "convert";
/// How the words begin when there is no such converter.
pub(crate) const NOT_STARTED: &str = "the converter cannot be started";
/// What a converter makes.
pub(crate) const TO_VOICE: &str = "voice";
/// What a converter makes.
pub(crate) const TO_SAMPLES: &str = "samples";

/// Most bytes of a file that are read: over every limit of the host.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Longest sound that is converted, seconds.
const SOUND_SECONDS_MAX: &str = "7200";

/// What a child that tells may use: a picture at its limit of pixels, and no file or process of its own.
const TELL_LIMITS: ProcessLimits = ProcessLimits {
    address_bytes: 2 * 1024 * 1024 * 1024,
    cpu_seconds: 20,
    file_bytes: Some(0),
    open_files: Some(8),
    processes: Some(0),
};
/// What a converter may use. It starts threads, and loads libraries one after another.
const CONVERT_LIMITS: ProcessLimits = ProcessLimits {
    address_bytes: 4 * 1024 * 1024 * 1024,
    cpu_seconds: 60,
    file_bytes: Some(0),
    open_files: Some(32),
    processes: None,
};

/// The child's whole life. `words` are the arguments after the one that made the binary this child.
pub fn main(words: &[String]) -> ExitCode {
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [TELL] => tell(None),
        [TELL, said] => tell(Some(said)),
        [ORDER] => order(),
        [CONVERT, program, demuxer, result] => Err(convert(program, demuxer, result)),
        _ => Err("media: no such task".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Nothing can be done when nobody reads it.
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::from(u8::try_from(REFUSED_CODE).unwrap_or(1))
        }
    }
}

fn limited(limits: &ProcessLimits) -> Result<(), String> {
    limit_this_process(limits).map_err(|error| format!("the child's limits cannot be set: {error}"))
}

fn read() -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("a file of more than {FILE_BYTES_MAX} bytes is not looked at"));
    }
    Ok(bytes)
}

fn tell(said: Option<&str>) -> Result<(), String> {
    limited(&TELL_LIMITS)?;
    let facts = facts(&read()?, said).map_err(|error| error.to_string())?;
    let text = serde_json::to_string(&facts).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn order() -> Result<(), String> {
    limited(&TELL_LIMITS)?;
    let bytes = read()?;
    let ordered = boxes::index_first(&bytes);
    std::io::stdout().write_all(ordered.as_deref().unwrap_or(&bytes)).map_err(|error| error.to_string())
}

/// Becomes the converter, under limits that it cannot lift; comes back only when that fails.
fn convert(program: &str, demuxer: &str, result: &str) -> String {
    use std::os::unix::process::CommandExt;
    if let Err(why) = limited(&CONVERT_LIMITS) {
        return why;
    }
    let error = Command::new(program).env_clear().args(converter_arguments(demuxer, result)).exec();
    format!("{NOT_STARTED}: {error}")
}

/// One named demuxer, one pipe in, one pipe out: no file, no network, no guess.
fn converter_arguments(demuxer: &str, result: &str) -> Vec<String> {
    let mut arguments = String::from("-nostdin -hide_banner -loglevel error -protocol_whitelist pipe -threads 1");
    arguments.push_str(&format!(" -f {demuxer} -i pipe:0 -map 0:a:0 -vn -sn -dn -map_metadata -1 -t {SOUND_SECONDS_MAX}"));
    arguments.push_str(match result {
        TO_VOICE => " -ac 1 -ar 48000 -c:a libopus -b:a 32k -application voip -threads 1 -f ogg pipe:1",
        _ => " -ac 1 -ar 2000 -c:a pcm_s16le -threads 1 -f s16le pipe:1",
    });
    arguments.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_converter_is_told_one_demuxer_and_pipes_alone() {
        let arguments = converter_arguments("mp3", TO_VOICE);
        let input = arguments.iter().position(|word| word == "-i").unwrap();
        let before = &arguments[..input];
        assert!(before.windows(2).any(|pair| pair == ["-protocol_whitelist", "pipe"]));
        assert!(before.ends_with(&["-f".to_owned(), "mp3".to_owned()]));
        let places: Vec<_> = arguments.iter().filter(|word| word.contains(':') && word.contains("pipe")).collect();
        assert_eq!(places, ["pipe:0", "pipe:1"]);
    }
}
