//! The parent's side: hands files to confined children, a few at a time, and takes their word within limits.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::Semaphore;

use switchboard_confine::{ChildEnd, Input, Patience, run_child};

use crate::child::{CONVERT, NOT_STARTED, ORDER, TELL, TO_SAMPLES, TO_VOICE};
use crate::facts::Facts;
use crate::waveform;

/// The argument that makes the binary a child that looks at media.
pub const CHILD_ARGUMENT: &str = "inspect-media";
/// Children at once: each may take as much memory as it is allowed.
const CHILDREN_AT_ONCE: usize = 2;
/// How long a file may be looked at.
const TELL_WAIT: Duration = Duration::from_secs(30);
/// How long a recording may be converted.
const CONVERT_WAIT: Duration = Duration::from_secs(60);
/// Most bytes of facts: a thumbnail and a waveform, and room.
const FACTS_BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of a voice note.
const VOICE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most bytes of samples: two hours at 2,000 samples of two bytes a second.
const SAMPLES_BYTES_MAX: u64 = 7200 * 2000 * 2;
/// Most characters of a child's words that go into an error.
const WORDS_CHARS_MAX: usize = 300;

/// Why nothing is known of a file.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file's own fault; the words are for its sender.
    #[error("{0}")]
    Refused(String),
    /// Looking at it broke a limit of the child, which was killed.
    #[error("the file cannot be looked at within the limits of {} s and of memory ({why})", TELL_WAIT.as_secs())]
    Limit {
        /// Which limit, or how the child ended.
        why: String,
    },
    /// A voice note that is not OGG/Opus, and nothing to convert it with.
    #[error("a voice note must be OGG/Opus, this is {mime}; a host with ffmpeg installed converts it, this one has none")]
    NoConverter {
        /// What it is.
        mime: String,
    },
    /// No sound is in it.
    #[error("a voice note is made from a sound; this is {mime}")]
    NotASound {
        /// What it is.
        mime: String,
    },
    /// The child cannot be started, or its answer not be kept: the host's fault.
    #[error("media cannot be looked at: {0}")]
    Host(String),
}

/// Looks at files through children of `program`.
#[derive(Clone, Debug)]
pub struct Inspector {
    program: PathBuf,
    ffmpeg: Option<PathBuf>,
    turns: Arc<Semaphore>,
}

impl Inspector {
    /// `program` must answer the argument [`CHILD_ARGUMENT`] with [`crate::child::main`]. `ffmpeg` converts voice notes; without
    /// it they are refused.
    pub fn new(program: PathBuf, ffmpeg: Option<PathBuf>) -> Self {
        Self { program, ffmpeg, turns: Arc::new(Semaphore::new(CHILDREN_AT_ONCE)) }
    }

    /// The converter of this machine: `ffmpeg` in the folders of `path`, the environment's `PATH`.
    pub fn find_ffmpeg(path: &std::ffi::OsStr) -> Option<PathBuf> {
        std::env::split_paths(path).map(|folder| folder.join("ffmpeg")).find(|file| file.is_absolute() && file.is_file())
    }

    /// Whether voice notes can be converted.
    pub fn can_convert(&self) -> bool {
        self.ffmpeg.is_some()
    }

    /// What the file is. `said` is the MIME type that its sender gives it.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn tell(&self, file: &Path, said: Option<&str>) -> Result<Facts, InspectError> {
        let mut answer = Vec::new();
        // What is no MIME type is nothing a child must hear.
        match said.filter(|said| crate::kind::is_mime(said)) {
            Some(said) => self.run(&[TELL, said], file, &mut answer, TELL_WAIT, FACTS_BYTES_MAX).await?,
            None => self.run(&[TELL], file, &mut answer, TELL_WAIT, FACTS_BYTES_MAX).await?,
        }
        let mut facts: Facts = serde_json::from_slice(&answer).map_err(|error| InspectError::Host(error.to_string()))?;
        if facts.voice
            && let Some(bars) = self.decoded_waveform(file, &facts).await
        {
            facts.waveform = Some(bars);
        }
        Ok(facts)
    }

    /// The waveform of what is really heard. Without a converter, the approximation from packet sizes stays.
    async fn decoded_waveform(&self, file: &Path, facts: &Facts) -> Option<Vec<u8>> {
        let (ffmpeg, demuxer) = (self.ffmpeg.as_ref()?.to_str()?, facts.demuxer.as_deref()?);
        let mut samples = Vec::new();
        let words = [CONVERT, ffmpeg, demuxer, TO_SAMPLES];
        self.run(&words, file, &mut samples, CONVERT_WAIT, SAMPLES_BYTES_MAX).await.ok()?;
        waveform::of_samples(&samples)
    }

    /// Makes a voice note (OGG/Opus) of a recording whose facts are `facts`, into `output`.
    ///
    /// # Errors
    /// [`InspectError`]; what `output` got by then is of no use.
    pub async fn convert(
        &self,
        file: &Path,
        facts: &Facts,
        output: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), InspectError> {
        let mime = || facts.mime.clone();
        let demuxer = facts.demuxer.as_deref().ok_or_else(|| InspectError::NotASound { mime: mime() })?;
        let ffmpeg = self.ffmpeg.as_ref().and_then(|path| path.to_str());
        let ffmpeg = ffmpeg.ok_or_else(|| InspectError::NoConverter { mime: mime() })?;
        let words = [CONVERT, ffmpeg, demuxer, TO_VOICE];
        if demuxer != "mov" {
            return self.run(&words, file, output, CONVERT_WAIT, VOICE_BYTES_MAX).await;
        }
        // A pipe cannot go back, and recorders write an MP4's index last.
        let mut ordered = Vec::new();
        self.run(&[ORDER], file, &mut ordered, TELL_WAIT, 4 * VOICE_BYTES_MAX).await?;
        self.run_on(&words, Input::Bytes(&ordered), output, CONVERT_WAIT, VOICE_BYTES_MAX).await
    }

    async fn run(
        &self,
        words: &[&str],
        file: &Path,
        output: &mut (dyn AsyncWrite + Unpin + Send),
        wait: Duration,
        output_bytes_max: u64,
    ) -> Result<(), InspectError> {
        let host = |error: std::io::Error| InspectError::Host(error.to_string());
        let mut file = File::open(file).map_err(host)?;
        file.rewind().map_err(host)?;
        self.run_on(words, Input::File(file), output, wait, output_bytes_max).await
    }

    async fn run_on(
        &self,
        words: &[&str],
        input: Input<'_>,
        output: &mut (dyn AsyncWrite + Unpin + Send),
        wait: Duration,
        output_bytes_max: u64,
    ) -> Result<(), InspectError> {
        let _turn = self.turns.acquire().await;
        let arguments: Vec<&str> = std::iter::once(CHILD_ARGUMENT).chain(words.iter().copied()).collect();
        let patience = Patience { wait, output_bytes_max };
        let end = run_child(&self.program, &arguments, input, output, patience).await;
        match end.map_err(|error| InspectError::Host(error.to_string()))? {
            ChildEnd::Done => Ok(()),
            ChildEnd::Refused(said) if words.contains(&CONVERT) => Err(not_converted(&said)),
            ChildEnd::Refused(said) => Err(InspectError::Refused(refusal(&said))),
            ChildEnd::TooSlow => Err(InspectError::Limit { why: format!("longer than {} s", wait.as_secs()) }),
            ChildEnd::TooMuch => Err(InspectError::Limit { why: format!("more than {output_bytes_max} bytes came of it") }),
            ChildEnd::Broken(status) => match status.code() {
                // A converter's own exit code: it could not read the file.
                Some(_) if words.contains(&CONVERT) => Err(not_converted("")),
                _ => Err(InspectError::Limit { why: status.to_string() }),
            },
        }
    }
}

/// A converter's own words are about its inside, not for the sender of the file.
fn not_converted(said: &str) -> InspectError {
    if said.starts_with(NOT_STARTED) {
        return InspectError::Host(refusal(said));
    }
    InspectError::Refused("the converter cannot read the file".to_owned())
}

/// The first line of a child's words: they may quote the file.
fn refusal(words: &str) -> String {
    let line = words.lines().next().unwrap_or("the file cannot be read");
    line.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect()
}
