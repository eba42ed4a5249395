//! Children of this binary that do what the host must not do itself: their limits, and how they are fed, heard and killed.
//!
//! A child sets its own limits before it reads a byte of its input; the parent bounds its time and what it says. What a
//! child is told comes as arguments and on standard input; its environment is empty.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

/// Most bytes that are read of what a child says on its standard error.
const WORDS_BYTES_MAX: u64 = 4096;
/// Bytes of the output that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How far a child gives way: of a processor that the host wants as well it gets about a tenth.
pub const NICENESS: i32 = 10;
/// The exit code of a child that says on its standard error why it refuses its input.
pub const REFUSED_CODE: i32 = 1;

/// What a process may use. The kernel ends it, or refuses the call, at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Address space, bytes.
    pub address_bytes: u64,
    /// Processor time, seconds.
    pub cpu_seconds: u64,
    /// Largest file it may write, bytes; pipes are not files. `None` for no limit.
    pub file_bytes: Option<u64>,
    /// Files it may have open at once. `None` for the parent's limit.
    pub open_files: Option<u64>,
    /// Processes and threads of this user; 0 lets it start none. The kernel does not hold the superuser to it. `None` for the
    /// parent's limit.
    pub processes: Option<u64>,
}

/// Holds this process, and what it becomes by `exec`, to `limits` for the rest of its life. It leaves no core file, and what the
/// host answers meanwhile goes before it.
///
/// # Errors
/// When the kernel does not take a limit; the process must not go on then.
pub fn limit_this_process(limits: &ProcessLimits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    nice(NICENESS)?;
    let set = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::As, limits.address_bytes)?;
    set(Resource::Cpu, limits.cpu_seconds)?;
    set(Resource::Core, 0)?;
    for (resource, most) in
        [(Resource::Fsize, limits.file_bytes), (Resource::Nofile, limits.open_files), (Resource::Nproc, limits.processes)]
    {
        if let Some(most) = most {
            set(resource, most)?;
        }
    }
    Ok(())
}

/// What a child reads on its standard input.
#[derive(Debug)]
pub enum Input<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// This file, from where it stands.
    File(File),
}

/// What the parent puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest life of the child.
    pub wait: Duration,
    /// Most bytes of its output.
    pub output_bytes_max: u64,
}

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// Exit code 0; the output is whole.
    Done,
    /// It says why it refused its input.
    Refused(String),
    /// It was killed for taking too long.
    TooSlow,
    /// It was killed for saying too much.
    TooMuch,
    /// A signal ended it, or another exit code: as a rule it met one of its own limits.
    Broken(ExitStatus),
}

/// Starts `program` with `arguments`, feeds it `input` and copies what it says to `output`, until it ends or is killed.
///
/// # Errors
/// When the child cannot be started, or `output` cannot be written.
pub async fn run_child(
    program: &Path,
    arguments: &[&str],
    input: Input<'_>,
    output: &mut (dyn AsyncWrite + Unpin + Send),
    patience: Patience,
) -> io::Result<ChildEnd> {
    let (stdin, bytes): (Stdio, &[u8]) = match input {
        Input::Bytes(bytes) => (Stdio::piped(), bytes),
        Input::File(file) => (file.into(), &[]),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let ended = tokio::time::timeout(patience.wait, converse(&mut child, bytes, output, patience.output_bytes_max)).await;
    match ended {
        Ok(ended) => ended,
        Err(_) => {
            child.kill().await?;
            Ok(ChildEnd::TooSlow)
        }
    }
}

async fn converse(
    child: &mut Child,
    bytes: &[u8],
    output: &mut (dyn AsyncWrite + Unpin + Send),
    output_bytes_max: u64,
) -> io::Result<ChildEnd> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A child that stopped reading says why on its standard error.
            let _ = stdin.write_all(bytes).await;
        }
    };
    let hear = async {
        let whole = copy_up_to(stdout, output, output_bytes_max).await?;
        if !whole {
            child.start_kill()?;
        }
        Ok::<_, io::Error>(whole)
    };
    let ((), whole, words) = tokio::join!(feed, hear, read_words(stderr));
    let (whole, status) = (whole?, child.wait().await?);
    Ok(match status.code() {
        _ if !whole => ChildEnd::TooMuch,
        Some(0) => ChildEnd::Done,
        Some(REFUSED_CODE) => ChildEnd::Refused(words),
        _ => ChildEnd::Broken(status),
    })
}

/// Copies everything unless it is more than `bytes_max`; says whether it was everything.
async fn copy_up_to(
    stream: Option<impl AsyncRead + Unpin>,
    output: &mut (dyn AsyncWrite + Unpin + Send),
    bytes_max: u64,
) -> io::Result<bool> {
    let Some(mut stream) = stream else { return Ok(true) };
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes_max;
    loop {
        let read = stream.read(&mut chunk).await?;
        let Some(said) = chunk.get(..read).filter(|said| !said.is_empty()) else { break };
        let Some(after) = left.checked_sub(said.len() as u64) else { return Ok(false) };
        left = after;
        output.write_all(said).await?;
    }
    output.flush().await?;
    Ok(true)
}

/// The beginning of what a child says on its standard error. The rest is read too, so that it does not wait to be heard.
async fn read_words(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut words = Vec::new();
    if let Some(mut stream) = stream {
        // What broke off is seen in the child's status.
        let _ = (&mut stream).take(WORDS_BYTES_MAX).read_to_end(&mut words).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&words).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { wait: Duration::from_secs(60), output_bytes_max: 1000 };

    async fn shell(script: &str, input: Input<'_>, patience: Patience) -> (ChildEnd, Vec<u8>) {
        let mut output = Vec::new();
        let end = run_child(Path::new("/bin/sh"), &["-c", script], input, &mut output, patience).await.unwrap();
        (end, output)
    }

    #[tokio::test]
    async fn a_child_gets_its_input_and_is_heard() {
        let bytes = vec![7; 1000];
        let (end, output) = shell("cat", Input::Bytes(&bytes), PATIENCE).await;
        assert_eq!((end, output), (ChildEnd::Done, bytes));
        let (end, _) = shell("echo not this >&2; exit 1", Input::Bytes(b""), PATIENCE).await;
        assert_eq!(end, ChildEnd::Refused("not this".to_owned()));
    }

    #[tokio::test]
    async fn a_child_sees_nothing_of_the_environment() {
        let (end, output) = shell("exec /usr/bin/env -u PWD -u SHLVL -u _", Input::Bytes(b""), PATIENCE).await;
        assert_eq!((end, String::from_utf8(output).unwrap()), (ChildEnd::Done, String::new()));
    }

    #[tokio::test]
    async fn a_child_that_never_ends_is_killed() {
        let patience = Patience { wait: Duration::from_millis(50), ..PATIENCE };
        let (end, _) = shell("while :; do :; done", Input::Bytes(b""), patience).await;
        assert_eq!(end, ChildEnd::TooSlow);
    }

    #[tokio::test]
    async fn a_child_that_says_too_much_is_killed() {
        let (end, output) = shell("while :; do echo more; done", Input::Bytes(b""), PATIENCE).await;
        assert_eq!(end, ChildEnd::TooMuch);
        assert!(output.len() as u64 <= PATIENCE.output_bytes_max);
    }

    #[tokio::test]
    async fn words_without_end_do_not_hold_a_child_up() {
        let (end, _) = shell("head -c 300000 /dev/zero >&2; exit 1", Input::Bytes(b""), PATIENCE).await;
        assert!(matches!(end, ChildEnd::Refused(words) if words.len() as u64 <= WORDS_BYTES_MAX));
    }
}
