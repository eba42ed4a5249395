//! The configuration file: TOML, every key optional, an unknown key an error.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::whatsapp::SessionSettings;

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
    /// The plugin runtime.
    pub plugins: PluginConfig,
    /// WhatsApp sessions.
    pub sessions: SessionConfig,
}

/// WhatsApp sessions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Seconds that the server may take to acknowledge a message before it is sent again, 1 to 600.
    pub ack_wait_seconds: u64,
}

impl SessionConfig {
    /// The same, as sessions take it.
    pub fn settings(&self) -> SessionSettings {
        SessionSettings { ack_wait: Duration::from_secs(self.ack_wait_seconds) }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { ack_wait_seconds: 20 }
    }
}

/// The plugin runtime.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Plugin calls that run at once, 1 to 1000.
    pub places: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("switchboard-data"),
            plugins: PluginConfig::default(),
            sessions: SessionConfig::default(),
        }
    }
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self { places: 64 }
    }
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
    fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 2] {
        [
            ("plugins.places", self.plugins.places.into(), 1..=1000),
            ("sessions.ack_wait_seconds", self.sessions.ack_wait_seconds, 1..=600),
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
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = toml::from_str::<Config>("listem = \"127.0.0.1:1\"").unwrap_err().to_string();
        assert!(error.contains("listem"), "{error}");
    }
}
