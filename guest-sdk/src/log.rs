//! The plugin's log: by functions, and by the macros of the crate `log`, of which this module has the four that matter.
//!
//! ```no_run
//! use switchboard_guest_sdk::log;
//!
//! log::info("it began");
//! log::warn!("{} of {} are left", 1, 10);
//! ```
//!
//! Libraries that log by that crate are heard as well: the export macros see to it, before the first call. `trace` and `debug` are
//! both written as `debug`.

pub use ::log::{debug, error, info, warn};

use crate::bindings::switchboard::plugin::log::{Level, write};

/// For whoever develops the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// For whoever runs it.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something is odd.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something failed.
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// Writes what the crate `log` is told.
struct Facade;

static FACADE: Facade = Facade;

impl Facade {
    fn level(level: ::log::Level) -> Level {
        match level {
            ::log::Level::Error => Level::Error,
            ::log::Level::Warn => Level::Warn,
            ::log::Level::Info => Level::Info,
            ::log::Level::Debug | ::log::Level::Trace => Level::Debug,
        }
    }
}

impl ::log::Log for Facade {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        write(Self::level(record.level()), &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Lets the crate `log` write to the plugin's log. The export macros do so; a second time changes nothing.
pub extern "C" fn install() {
    if ::log::set_logger(&FACADE).is_ok() {
        ::log::set_max_level(::log::LevelFilter::Trace);
    }
}

/// Has [`install`] called as an instance begins, before any call of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __install_log {
    () => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static INSTALL: extern "C" fn() = $crate::log::install;
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_the_crate_has_one_of_the_host() {
        let levels = [
            (::log::Level::Error, Level::Error),
            (::log::Level::Warn, Level::Warn),
            (::log::Level::Info, Level::Info),
            (::log::Level::Debug, Level::Debug),
            (::log::Level::Trace, Level::Debug),
        ];
        for (theirs, ours) in levels {
            assert_eq!(Facade::level(theirs), ours);
        }
    }
}
