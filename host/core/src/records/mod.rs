//! What Switchboard keeps: the records of tenants, keys, sessions, messages, events and plugins.
//!
//! Plain data with serde, no behaviour beyond what a record knows of itself.

pub mod account;
pub mod blob;
pub mod content;
pub mod event;
pub mod id;
pub mod message;
pub mod message_log;
pub mod once;
pub mod people;
pub mod plugin;
pub mod session;
pub mod template;
pub mod webhook;
