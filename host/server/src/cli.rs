//! The command line.

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use switchboard_core::clock::SystemClock;
use switchboard_core::entropy::SystemEntropy;
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::{MasterKey, Storage};
use switchboard_runtime::{Compiler, compile_from_stdin};

use crate::app::{Host, HostSettings, MediaSetup, STORAGE_FILE};
use crate::config::{Config, DEFAULT_FILE};
use crate::egress::Egress;
use crate::http::SimControl;
use crate::media::{MediaSettings, find_ffmpeg};
use crate::plugin_cli::{self, PluginArguments};
use crate::whatsapp::WhatsAppNetwork;
use crate::{qr, secrets};

/// QR codes that wait to be drawn.
const QR_NOTICES_MAX: usize = 16;

/// The environment variable with the log filter.
const LOG_VARIABLE: &str = "SWITCHBOARD_LOG";
/// What is logged unless that says otherwise.
const LOG_DEFAULT: &str = "info,wasmtime=warn,cranelift=warn,whatsapp_rust=error,wacore=error";
/// The same for commands that say themselves what there is to say.
const LOG_OF_TOOLS: &str = "off";
/// The levels of a log filter.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whatever ends a command early, in words.
pub(crate) type CommandError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "switchboard", version, about = "A self-hosted WhatsApp gateway whose behaviour is plugins")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve.
    Serve(ServeArguments),
    /// Show the whole path of a message on a simulated network, then keep serving.
    #[cfg(feature = "sim")]
    Demo(DemoArguments),
    /// Run the simulated WhatsApp network alone.
    #[cfg(feature = "sim")]
    Sim(SimArguments),
    /// Print the configuration file with every key at its default.
    DefaultConfig,
    /// Draw a new master key and seal every secret anew. The host must not run.
    RotateMasterKey(RotateArguments),
    /// Plugins: new, build, check, test, deploy, versions, rollback, logs, inspect, runs, release, drop, grants.
    Plugin(PluginArguments),
    /// Compile a component from standard input to standard output; the host starts this itself.
    #[command(hide = true)]
    CompileComponent {
        /// What it may use.
        words: Vec<String>,
    },
    /// Look at a media file on standard input; the host starts this itself.
    #[command(hide = true)]
    InspectMedia {
        /// What to do, and with what.
        #[arg(allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Args)]
struct ServeArguments {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to serve HTTP.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where to keep everything.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A simulated network that runs elsewhere, such as ws://127.0.0.1:9000/ws/chat, instead of one in this process.
    #[cfg(feature = "sim")]
    #[arg(long)]
    sim: Option<String>,
}

/// `switchboard demo`.
#[cfg(feature = "sim")]
#[derive(Args)]
pub(crate) struct DemoArguments {
    /// End after the last step: 0 when every step held.
    #[arg(long)]
    pub(crate) once: bool,
    /// Where to serve HTTP.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Where to keep everything; a new temporary folder when it is not given.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[cfg(feature = "sim")]
#[derive(Args)]
struct SimArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// One more address to listen on. Every address speaks plain HTTP and TLS alike.
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// Where to keep accounts, phones, queues and the journal; in memory when it is not given.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

#[derive(Args)]
struct RotateArguments {
    /// The data directory of the host.
    #[arg(long, default_value = "switchboard-data")]
    data_dir: PathBuf,
}

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The compiling child speaks its own protocol and needs no runtime.
    if let Command::CompileComponent { words } = &arguments.command {
        return match compile_from_stdin(words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&why),
        };
    }
    if let Command::InspectMedia { words } = &arguments.command {
        return switchboard_media::child::main(words);
    }
    let default = if matches!(arguments.command, Command::Plugin(_)) { LOG_OF_TOOLS } else { LOG_DEFAULT };
    if let Err(why) = start_log(std::env::var(LOG_VARIABLE), default) {
        return fail(&why);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    if let Command::Plugin(arguments) = arguments.command {
        let exit = runtime.block_on(plugin_cli::run(arguments));
        runtime.shutdown_background();
        return exit;
    }
    let ended = runtime.block_on(run(arguments.command));
    // Whatever is still under way was given up: what counts is durable already.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    // Nothing can be done when nobody reads it.
    let _ = writeln!(std::io::stderr(), "switchboard: {why}");
    ExitCode::FAILURE
}

/// Prints a line for people.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `given` is what the environment says.
///
/// # Errors
/// When that is no filter.
fn start_log(given: Result<String, std::env::VarError>, default: &str) -> Result<(), String> {
    let filter = log_filter(given, default)?;
    let colours = std::io::stderr().is_terminal();
    // A log that was set up before stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).try_init();
    Ok(())
}

/// What is logged. A part of a filter that is neither a level nor says what it is a level of was meant to be one: taken for the
/// name of a module, as the library does, it would silence everything else.
fn log_filter(given: Result<String, std::env::VarError>, default: &str) -> Result<EnvFilter, String> {
    let text = match given {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(EnvFilter::new(default)),
        Err(error) => return Err(format!("{LOG_VARIABLE}: {error}")),
    };
    let wrong = |part: &str, why: &str| {
        format!("{LOG_VARIABLE}: {:?} {why}; such as \"info\" or \"info,switchboard=debug\" is expected", said_back(part))
    };
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        if !part.contains(['=', '[', ']', '"']) && !LOG_LEVELS.contains(&part.to_ascii_lowercase().as_str()) {
            return Err(wrong(part, &format!("is none of: {}", LOG_LEVELS.join(", "))));
        }
    }
    EnvFilter::try_new(parts.join(",")).map_err(|error| wrong(&text, &format!("is no filter: {error}")))
}

async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => serve(arguments).await,
        #[cfg(feature = "sim")]
        Command::Demo(arguments) => crate::demo::run(arguments).await,
        #[cfg(feature = "sim")]
        Command::Sim(arguments) => simulate(arguments).await,
        Command::DefaultConfig => {
            std::io::stdout().write_all(DEFAULT_FILE.as_bytes())?;
            Ok(())
        }
        Command::RotateMasterKey(arguments) => rotate_master_key(&arguments.data_dir).await,
        Command::CompileComponent { .. } | Command::InspectMedia { .. } | Command::Plugin(_) => Ok(()),
    }
}

async fn serve(arguments: ServeArguments) -> Result<(), CommandError> {
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.data_dir = arguments.data_dir.unwrap_or(config.data_dir);
    #[cfg(feature = "sim")]
    let url = arguments.sim;
    #[cfg(not(feature = "sim"))]
    let url = None;
    let mut signals = Signals::new()?;
    let opened = tokio::select! {
        opened = open(&config, url) => opened?,
        // Nothing has begun that would have to end in order.
        () = signals.next() => return Ok(()),
    };
    say(&format!("Switchboard serves at http://{}", opened.host.address()));
    signals.next().await;
    close_unless_hurried(opened, &mut signals).await
}

/// A host with what runs beside it.
pub(crate) struct Opened {
    pub(crate) host: Host,
    #[cfg(feature = "sim")]
    pub(crate) admin_key: secrets::AdminKey,
    #[cfg(feature = "sim")]
    sim: Option<switchboard_simnet::SimNet>,
}

impl Opened {
    pub(crate) async fn close(self) {
        self.host.shut_down().await;
        #[cfg(feature = "sim")]
        if let Some(sim) = self.sim {
            sim.shutdown().await;
        }
    }
}

/// Finds the secrets and the network, and starts a host.
pub(crate) async fn open(config: &Config, sim_url: Option<String>) -> Result<Opened, CommandError> {
    create_private(&config.data_dir)?;
    let (master_key, admin_key) = find_secrets(&config.data_dir)?;
    #[cfg(feature = "sim")]
    let (network, sim) = simulated_network(config, sim_url, &admin_key).await?;
    #[cfg(feature = "sim")]
    let sim_control: Option<Arc<dyn SimControl>> = sim.clone().map(|sim| Arc::new(crate::demo::EmbeddedSim(sim)) as _);
    #[cfg(not(feature = "sim"))]
    let (network, sim_control) = real_network(sim_url)?;
    let (qr_notices, notices) = mpsc::channel(QR_NOTICES_MAX);
    tokio::spawn(draw_qr_codes(notices));
    let host = Host::start(HostSettings {
        listen: config.listen,
        data_dir: config.data_dir.clone(),
        master_key,
        admin_key: admin_key.clone(),
        plugins: config.plugins.clone(),
        retention: config.retention.rule(),
        egress_allow: config.egress.allow.clone(),
        compiler: Compiler::Child { program: std::env::current_exe()? },
        media: MediaSetup {
            program: std::env::current_exe()?,
            ffmpeg: find_ffmpeg().filter(|_| config.media.convert),
            settings: MediaSettings { bytes_max: config.media.bytes_per_tenant, days: config.media.days },
        },
        network,
        http: config.http.settings(),
        sessions: config.sessions.settings(),
        metrics_listen: config.metrics.listen,
        stop_wait: Duration::from_secs(config.stop_wait_seconds),
        sim: sim_control,
        qr_notices: Some(qr_notices),
        clock: Arc::new(SystemClock),
    })
    .await?;
    Ok(Opened {
        host,
        #[cfg(feature = "sim")]
        admin_key,
        #[cfg(feature = "sim")]
        sim,
    })
}

#[cfg(not(feature = "sim"))]
type RealNetwork = (WhatsAppNetwork, Option<Arc<dyn SimControl>>);

#[cfg(not(feature = "sim"))]
fn real_network(_: Option<String>) -> Result<RealNetwork, CommandError> {
    Ok((WhatsAppNetwork::real(Egress::internet()?), None))
}

#[cfg(feature = "sim")]
async fn simulated_network(
    config: &Config,
    url: Option<String>,
    admin_key: &secrets::AdminKey,
) -> Result<(WhatsAppNetwork, Option<switchboard_simnet::SimNet>), CommandError> {
    if let Some(url) = url {
        let egress = Egress::simulated(&url)?;
        return Ok((WhatsAppNetwork::simulated(url, egress), None));
    }
    let sim = switchboard_simnet::SimNet::start(switchboard_simnet::SimConfig {
        data_dir: Some(config.data_dir.join("sim")),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls_listen: None,
        admin_key: admin_key.reveal().to_owned(),
    })
    .await?;
    let egress = Egress::simulated(&sim.ws_url())?;
    Ok((WhatsAppNetwork::simulated(sim.ws_url(), egress), Some(sim)))
}

#[cfg(feature = "sim")]
async fn simulate(arguments: SimArguments) -> Result<(), CommandError> {
    let folder = arguments.data_dir.clone();
    let admin_key = match &folder {
        Some(folder) => {
            create_private(folder)?;
            let from_environment = std::env::var(secrets::ADMIN_KEY_VARIABLE).ok();
            let found = secrets::admin_key(from_environment.as_deref(), folder, &SystemEntropy)?;
            tell_made("the operator's key", found.made.as_deref());
            found.secret
        }
        None => secrets::AdminKey::new(
            &std::env::var(secrets::ADMIN_KEY_VARIABLE)
                .map_err(|_| format!("set {} (or --data-dir, where one is made)", secrets::ADMIN_KEY_VARIABLE))?,
        ),
    };
    let sim = switchboard_simnet::SimNet::start(switchboard_simnet::SimConfig {
        data_dir: folder,
        listen: arguments.listen,
        tls_listen: arguments.tls_listen,
        admin_key: admin_key.reveal().to_owned(),
    })
    .await?;
    say(&format!("The simulated network listens at {}", sim.ws_url()));
    if let Some(address) = sim.tls_addr() {
        say(&format!("  and at wss://{address}/ws/chat"));
    }
    say(&format!("Root key of its certificates: {}", hex::encode(sim.root_public_key())));
    Signals::new()?.next().await;
    sim.shutdown().await;
    Ok(())
}

fn find_secrets(data_dir: &Path) -> Result<(MasterKey, secrets::AdminKey), CommandError> {
    let variable = |name| std::env::var(name).ok();
    let (master, admin) = (variable(secrets::MASTER_KEY_VARIABLE), variable(secrets::ADMIN_KEY_VARIABLE));
    let master = secrets::master_key(master.as_deref(), data_dir, &data_dir.join(STORAGE_FILE), &SystemEntropy)?;
    if let Some(file) = &master.made {
        say(&format!("A new master key was written to {}", file.display()));
        say("  Keep a copy of it: without it, nobody can read the secrets of this data directory again.");
    }
    let admin = secrets::admin_key(admin.as_deref(), data_dir, &SystemEntropy)?;
    tell_made("the operator's key", admin.made.as_deref());
    Ok((master.secret, admin.secret))
}

fn tell_made(what: &str, made: Option<&Path>) {
    if let Some(file) = made {
        say(&format!("A new key was made: {what} is in {}", file.display()));
    }
}

/// Makes a folder that only its owner can look into.
fn create_private(folder: &Path) -> Result<(), CommandError> {
    use std::os::unix::fs::PermissionsExt;
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    if !folder.exists() {
        std::fs::create_dir_all(folder).map_err(fault)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(fault)?;
    }
    Ok(())
}

async fn draw_qr_codes(mut notices: mpsc::Receiver<(SessionId, String)>) {
    while let Some((session, text)) = notices.recv().await {
        match qr::terminal(&text) {
            Ok(drawn) => {
                say(&format!("\nSession {session} waits for its phone: WhatsApp > Linked devices > Link a device\n{drawn}"));
            }
            Err(error) => tracing::error!(%session, %error, "a QR code cannot be drawn"),
        }
    }
}

/// What tells the process to stop.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on Ctrl-C and SIGTERM are heard, and do not end the process by themselves.
    pub(crate) fn new() -> Result<Self, CommandError> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Stops in order; at a second signal, at once.
pub(crate) async fn close_unless_hurried(opened: Opened, signals: &mut Signals) -> Result<(), CommandError> {
    tokio::select! {
        biased;
        () = signals.next() => Err("a second signal: stopped at once. What was accepted goes on with the next start".into()),
        () = opened.close() => Ok(()),
    }
}

async fn rotate_master_key(data_dir: &Path) -> Result<(), CommandError> {
    if std::env::var(secrets::MASTER_KEY_VARIABLE).is_ok() {
        let why = "the master key comes from the environment: unset it and put the old key into the key file first";
        return Err(format!("{why} ({})", secrets::master_key_file(data_dir).display()).into());
    }
    let data_file = data_dir.join(STORAGE_FILE);
    if !data_file.exists() {
        return Err(format!("{} holds no data", data_dir.display()).into());
    }
    let current = secrets::master_key(None, data_dir, &data_file, &SystemEntropy)?.secret;
    let storage = Storage::open(&data_file, current).await?;
    let next = secrets::next_master_key(data_dir, &SystemEntropy)?;
    let sealed = storage.rotate_master_key(next.clone()).await?;
    let file = secrets::replace_master_key(data_dir, &next)?;
    say(&format!(
        "done: everything secret in {} ({sealed} stored values, such as encryption state, session keys and webhook secrets) is \
         sealed with a new master key, which is in {}. The old key opens none of it any more: keep a copy of the new one",
        data_file.display(),
        file.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;

    #[test]
    fn a_log_filter_is_a_list_of_levels_and_anything_else_is_an_error_that_names_it() {
        for good in ["", "info", "DEBUG", "off", "info,wasmtime=warn", "warn, switchboard::http=trace", "[span{a=1}]=debug"]
        {
            assert!(log_filter(Ok(good.to_owned()), LOG_DEFAULT).is_ok(), "{good}");
        }
        assert!(log_filter(Err(VarError::NotPresent), LOG_DEFAULT).is_ok());
        for (bad, named) in [("inof", "\"inof\""), ("info,verbose", "\"verbose\""), ("info,", "\"\""), ("a=b", "\"a=b\"")] {
            let refused = log_filter(Ok(bad.to_owned()), LOG_DEFAULT).unwrap_err();
            assert!(refused.starts_with(&format!("SWITCHBOARD_LOG: {named} is no")), "{refused}");
        }
    }
}
