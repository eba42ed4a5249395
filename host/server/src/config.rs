//! The configuration file: TOML, every key optional, an unknown key an error.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use switchboard_core::rules::client::Network;
use switchboard_core::rules::egress::AllowList;
use switchboard_core::rules::liveness::LivenessSettings;
use switchboard_core::rules::retention::Retention;

use switchboard_runtime::{CallLimits, ClassSettings, CompileLimits};

use crate::http::HttpSettings;
use crate::media::MediaSettings;
use crate::whatsapp::SessionSettings;

const MIB: u64 = 1024 * 1024;

/// The file with every key at its default, as it ships.
pub const DEFAULT_FILE: &str = include_str!("../default.toml");

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The longest that stopping in order may take, 1 to 600 s.
    pub stop_wait_seconds: u64,
    /// The HTTP front door.
    pub http: HttpConfig,
    /// The plugin runtime.
    pub plugins: PluginConfig,
    /// Media.
    pub media: MediaConfig,
    /// WhatsApp sessions.
    pub sessions: SessionConfig,
    /// How long and how much is kept.
    pub retention: RetentionConfig,
    /// Where metrics are served.
    pub metrics: MetricsConfig,
    /// Where requests may go that customers cause.
    pub egress: EgressConfig,
}

/// How long and how much is kept, of each tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days after which events go, 1 to 3650.
    pub events_days: u32,
    /// Most MiB of events, 1 to 1048576.
    pub events_max_mib: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { events_days: 30, events_max_mib: 1024 }
    }
}

impl RetentionConfig {
    /// As the retention rule takes it.
    pub fn rule(&self) -> Retention {
        Retention {
            events_age: Duration::from_secs(u64::from(self.events_days) * 86_400),
            events_bytes_max: u64::from(self.events_max_mib) * 1024 * 1024,
        }
    }
}

/// The HTTP front door.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Wrong credentials that one address may present to one API in a minute; 0 for any number.
    pub failed_credentials_per_minute: u64,
    /// Whether routes may be asked only as often as their plugins say.
    pub route_rates: bool,
    /// Requests without a good key that one address may send to the routers of one tenant in a minute; 0 for any number.
    pub strangers_per_minute: u64,
}

impl HttpConfig {
    /// The same for the front door.
    pub fn settings(&self) -> HttpSettings {
        HttpSettings {
            trusted_proxies: self.trusted_proxies.clone(),
            failed_credentials_per_minute: self.failed_credentials_per_minute,
            route_rates: self.route_rates,
            strangers_per_minute: self.strangers_per_minute,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        let (failed_credentials_per_minute, strangers_per_minute) = (5, 300);
        Self { trusted_proxies: Vec::new(), failed_credentials_per_minute, route_rates: true, strangers_per_minute }
    }
}

/// The plugin runtime.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Calls of small plugins that run at once, 1 to 1000.
    pub places: u32,
    /// Instances of small plugins that are kept between requests, 0 to 1000; plugins have to ask for it.
    pub kept: u32,
    /// How long one call may compute, 10 to 60000 ms.
    pub cpu_ms: u64,
    /// How long one call may take, what it waits for included, 1 to 300 s.
    pub wall_seconds: u64,
    /// Memory of one call, 1 to 1024 MiB.
    pub memory_mib: u32,
    /// How long one compilation may take, 1 to 3600 s.
    pub compile_seconds: u64,
    /// Components of one size class that may wait to be compiled, 1 to 1000.
    pub compiles_waiting: u32,
    /// What large plugins may use.
    pub large: LargePluginConfig,
}

/// What large plugins may use: those of more than 4 MiB, or that need more from the start than small ones may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LargePluginConfig {
    /// Their calls that run at once, 1 to 100.
    pub places: u32,
    /// Their instances that are kept between requests, 0 to 100; plugins have to ask for it.
    pub kept: u32,
    /// How long one call may compute, 10 to 60000 ms.
    pub cpu_ms: u64,
    /// How long one call may take, what it waits for included, 1 to 300 s.
    pub wall_seconds: u64,
    /// Memory of one call, 16 to 2048 MiB.
    pub memory_mib: u32,
    /// How long one compilation may take, 1 to 3600 s.
    pub compile_seconds: u64,
}

impl PluginConfig {
    /// How the two size classes are set up.
    pub fn classes(&self) -> (ClassSettings, ClassSettings) {
        let waiting = usize::try_from(self.compiles_waiting).unwrap_or(usize::MAX);
        let class = |settings: ClassSettings, places, cpu_ms, wall_seconds, memory_mib, compile_seconds| {
            let wall = Duration::from_secs(wall_seconds);
            let memory_bytes_max = usize::try_from(u64::from(memory_mib) * MIB).unwrap_or(usize::MAX);
            let cpu = Duration::from_millis(cpu_ms);
            // A host call that hangs leaves the plugin time to say so.
            let host_call = wall * 4 / 5;
            let limits = CallLimits { cpu, wall, host_call, memory_bytes_max, ..settings.limits };
            let compile = CompileLimits { wait: Duration::from_secs(compile_seconds), ..settings.compile };
            ClassSettings { places, limits, compile, compiles_waiting_max: waiting, ..settings }
        };
        let Self { places, kept, cpu_ms, wall_seconds, memory_mib, compile_seconds, .. } = *self;
        let settings = ClassSettings { kept_max: kept, ..ClassSettings::small() };
        let small = class(settings, places, cpu_ms, wall_seconds, memory_mib, compile_seconds);
        let LargePluginConfig { places, kept, cpu_ms, wall_seconds, memory_mib, compile_seconds } = self.large;
        let settings = ClassSettings { kept_max: kept, ..ClassSettings::large() };
        (small, class(settings, places, cpu_ms, wall_seconds, memory_mib, compile_seconds))
    }
}

/// WhatsApp sessions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Seconds that the server may take to acknowledge a message before it is sent again, 1 to 600.
    pub ack_wait_seconds: u64,
    /// Silence after which the server is asked whether it is there, 1 to 3600 s.
    pub silence_seconds: u64,
    /// How long it may take to answer, 1 to 600 s.
    pub probe_wait_seconds: u64,
    /// Sessions that are on their way to a login at once, 1 to 10000.
    pub connects_at_once: u32,
    /// Sessions that begin to connect in one second, 1 to 1000.
    pub connects_per_second: u32,
}

/// Where requests may go that customers cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// What passes although it is not on the public internet.
    pub allow: AllowList,
}

/// Media.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// Bytes that a tenant may keep unless its limits say otherwise.
    pub bytes_per_tenant: u64,
    /// For how many days media is kept unless the tenant's limits say otherwise, 1 to 3650.
    pub days: u64,
    /// Whether sounds are converted into voice notes with the machine's `ffmpeg`, where it has one.
    pub convert: bool,
}

impl Default for MediaConfig {
    fn default() -> Self {
        let MediaSettings { bytes_max, days } = MediaSettings::default();
        Self { bytes_per_tenant: bytes_max, days, convert: true }
    }
}

/// Where metrics are served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// An address of their own, where no key is asked for.
    pub listen: Option<SocketAddr>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        let SessionSettings { ack_wait, liveness, connects_at_once, connects_per_second } = SessionSettings::default();
        Self {
            ack_wait_seconds: ack_wait.as_secs(),
            silence_seconds: liveness.silence.as_secs(),
            probe_wait_seconds: liveness.probe_wait.as_secs(),
            connects_at_once,
            connects_per_second,
        }
    }
}

impl SessionConfig {
    /// As the sessions take it.
    pub fn settings(&self) -> SessionSettings {
        SessionSettings {
            ack_wait: Duration::from_secs(self.ack_wait_seconds),
            liveness: LivenessSettings {
                silence: Duration::from_secs(self.silence_seconds),
                probe_wait: Duration::from_secs(self.probe_wait_seconds),
            },
            connects_at_once: self.connects_at_once,
            connects_per_second: self.connects_per_second,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("switchboard-data"),
            stop_wait_seconds: 20,
            http: HttpConfig::default(),
            plugins: PluginConfig::default(),
            sessions: SessionConfig::default(),
            retention: RetentionConfig::default(),
            metrics: MetricsConfig::default(),
            egress: EgressConfig::default(),
            media: MediaConfig::default(),
        }
    }
}

impl Default for PluginConfig {
    fn default() -> Self {
        let ClassSettings { places, kept_max, limits, compile, compiles_waiting_max, .. } = ClassSettings::small();
        Self {
            places,
            kept: kept_max,
            cpu_ms: u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX),
            wall_seconds: limits.wall.as_secs(),
            memory_mib: mib(limits.memory_bytes_max),
            compile_seconds: compile.wait.as_secs(),
            compiles_waiting: u32::try_from(compiles_waiting_max).unwrap_or(u32::MAX),
            large: LargePluginConfig::default(),
        }
    }
}

impl Default for LargePluginConfig {
    fn default() -> Self {
        let ClassSettings { places, kept_max, limits, compile, .. } = ClassSettings::large();
        Self {
            places,
            kept: kept_max,
            cpu_ms: u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX),
            wall_seconds: limits.wall.as_secs(),
            memory_mib: mib(limits.memory_bytes_max),
            compile_seconds: compile.wait.as_secs(),
        }
    }
}

fn mib(bytes: usize) -> u32 {
    u32::try_from(bytes as u64 / MIB).unwrap_or(u32::MAX)
}

/// Why a configuration file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// It is not what a configuration looks like.
    #[error("{}: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("{}: {key} is {value}; {} to {} are allowed", path.display(), allowed.start(), allowed.end())]
    Range {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The value.
        value: u64,
        /// What is allowed.
        allowed: RangeInclusive<u64>,
    },
}

impl Config {
    /// The configuration in `path`.
    ///
    /// # Errors
    /// [`ConfigError`] that names the file, the place and the fault.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let io = |source| ConfigError::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let toml = |source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) };
        let config: Self = toml::from_str(&text).map_err(toml)?;
        for (key, value, allowed) in config.ranges() {
            if !allowed.contains(&value) {
                return Err(ConfigError::Range { path: path.to_owned(), key, value, allowed });
            }
        }
        Ok(config)
    }

    /// Every number that has a range, with it.
    fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 22] {
        [
            ("plugins.places", self.plugins.places.into(), 1..=1000),
            ("plugins.kept", self.plugins.kept.into(), 0..=1000),
            ("plugins.cpu_ms", self.plugins.cpu_ms, 10..=60_000),
            ("plugins.wall_seconds", self.plugins.wall_seconds, 1..=300),
            ("plugins.memory_mib", self.plugins.memory_mib.into(), 1..=1024),
            ("plugins.compile_seconds", self.plugins.compile_seconds, 1..=3600),
            ("plugins.compiles_waiting", self.plugins.compiles_waiting.into(), 1..=1000),
            ("plugins.large.places", self.plugins.large.places.into(), 1..=100),
            ("plugins.large.kept", self.plugins.large.kept.into(), 0..=100),
            ("plugins.large.cpu_ms", self.plugins.large.cpu_ms, 10..=60_000),
            ("plugins.large.wall_seconds", self.plugins.large.wall_seconds, 1..=300),
            ("plugins.large.memory_mib", self.plugins.large.memory_mib.into(), 16..=2048),
            ("plugins.large.compile_seconds", self.plugins.large.compile_seconds, 1..=3600),
            ("stop_wait_seconds", self.stop_wait_seconds, 1..=600),
            ("sessions.ack_wait_seconds", self.sessions.ack_wait_seconds, 1..=600),
            ("sessions.silence_seconds", self.sessions.silence_seconds, 1..=3600),
            ("sessions.probe_wait_seconds", self.sessions.probe_wait_seconds, 1..=600),
            ("sessions.connects_at_once", self.sessions.connects_at_once.into(), 1..=10_000),
            ("sessions.connects_per_second", self.sessions.connects_per_second.into(), 1..=1_000),
            ("media.days", self.media.days, 1..=3650),
            ("retention.events_days", self.retention.events_days.into(), 1..=3650),
            ("retention.events_max_mib", self.retention.events_max_mib.into(), 1..=1 << 20),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let uncommented: String = DEFAULT_FILE
            .lines()
            .map(|line| match line.strip_prefix("#: ") {
                Some(key) => format!("{key}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        assert_ne!(uncommented, DEFAULT_FILE);
        assert_eq!(toml::from_str::<Config>(&uncommented).unwrap(), Config::default());
        assert_eq!(toml::from_str::<Config>(DEFAULT_FILE).unwrap(), Config::default());
    }

    #[test]
    fn a_retention_out_of_its_range_is_refused_with_the_range() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchboard.toml");
        for (text, why) in [
            ("[media]\ndays = 0", "media.days is 0; 1 to 3650 are allowed"),
            ("[media]\ndays = 3651", "media.days is 3651; 1 to 3650 are allowed"),
            ("[retention]\nevents_days = 0", "retention.events_days is 0; 1 to 3650 are allowed"),
            ("[retention]\nevents_max_mib = 2000000", "retention.events_max_mib is 2000000; 1 to 1048576 are allowed"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
        }
    }

    #[test]
    fn a_figure_out_of_its_range_is_an_error_that_names_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("switchboard.toml");
        std::fs::write(&file, "[sessions]\nsilence_seconds = 0\n").unwrap();
        let error = Config::read(&file).unwrap_err().to_string();
        assert!(error.ends_with("sessions.silence_seconds is 0; 1 to 3600 are allowed"), "{error}");
        std::fs::write(&file, "[sessions]\nsilence_seconds = 1\n[metrics]\nlisten = \"127.0.0.1:9\"\n").unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.sessions.settings().liveness.silence, Duration::from_secs(1));
        assert_eq!(config.metrics.listen, Some(SocketAddr::from(([127, 0, 0, 1], 9))));
    }

    #[test]
    fn an_entry_of_the_allow_list_that_means_nothing_is_an_error_that_names_it() {
        let read = |entries: &str| toml::from_str::<Config>(&format!("[egress]\nallow = {entries}"));
        let config = read(r#"["127.0.0.0/8", "hooks.example.com"]"#).unwrap();
        assert_eq!(config.egress.allow, AllowList::parse(&["127.0.0.0/8", "hooks.example.com"]).unwrap());
        for entry in ["10.0.0.1/8", "0.0.0.0/0", "http://a", "a b"] {
            let error = read(&format!("[{entry:?}]")).unwrap_err().to_string();
            assert!(error.contains(&format!("{entry:?} is ")) && error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn each_size_class_has_its_limits_and_its_keys() {
        let (small, large) = PluginConfig::default().classes();
        assert_eq!((small.places, small.kept_max, &small.limits), (64, 64, &CallLimits::default()));
        assert_eq!((large.places, large.kept_max, &large.limits), (8, 8, &CallLimits::large()));
        let text =
            "[plugins]\nplaces = 3\nkept = 0\n[plugins.large]\nkept = 1\nplaces = 1\nmemory_mib = 128\nwall_seconds = 60";
        let (small, large) = toml::from_str::<Config>(text).unwrap().plugins.classes();
        assert_eq!((small.places, small.kept_max, small.limits.memory_bytes_max), (3, 0, 64 << 20));
        assert_eq!(large.kept_max, 1);
        assert_eq!((large.places, large.limits.memory_bytes_max, large.limits.host_call.as_secs()), (1, 128 << 20, 48));
        for unknown in ["[plugins.small]\nplaces = 1", "[plugins.large]\nplace = 1", "[plugins]\nmemory_mb = 1"] {
            assert!(toml::from_str::<Config>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = toml::from_str::<Config>("listem = \"127.0.0.1:1\"").unwrap_err().to_string();
        assert!(error.contains("listem"), "{error}");
    }
}
