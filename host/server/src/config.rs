//! The configuration file: TOML, every key optional, an unknown key an error.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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
    #[error("{}: plugins.places is {places}; 1 to 1000 are allowed", path.display())]
    Places {
        /// The file.
        path: PathBuf,
        /// The value.
        places: u32,
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
        if !(1..=1000).contains(&config.plugins.places) {
            return Err(ConfigError::Places { path: path.to_owned(), places: config.plugins.places });
        }
        Ok(config)
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
