//! The host `switchboard`: HTTP front door, WhatsApp sessions, and the wiring of everything.

pub mod accounts;
pub mod app;
pub mod blobs;
mod builtins;
pub mod cli;
pub mod config;
#[cfg(feature = "sim")]
pub mod demo;
pub mod egress;
mod guards;
pub mod http;
pub mod key_usage;
mod links;
pub mod media;
pub mod metrics;
mod named;
mod plugin_cli;
pub mod plugins;
mod qr;
pub mod secrets;
mod spelling;
mod verbs;
pub mod webhook;
pub mod whatsapp;

#[cfg(test)]
#[cfg(not(feature = "sim"))]
mod certificate_tests;
