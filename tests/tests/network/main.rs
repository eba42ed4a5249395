//! What clients do on the simulated network, and what the phones and the other clients there make of it. Every test has a
//! network of its own, and reads each result where a person would: off another device.

mod addons;
mod app_state;
mod calls;
mod chat_settings;
mod communities;
mod content;
mod delivery;
mod drafts;
mod faults;
mod group_messages;
mod group_settings;
mod groups;
mod identity;
mod media;
mod messages;
mod newsletters;
mod pairing;
mod presence;
mod receipts;
mod restart;
mod scenarios;
mod services;
mod sessions;
mod stanzas;

/// Numbers of the people in these tests.
const ADA: &str = "491510000001";
const BO: &str = "491510000002";
const CY: &str = "491510000003";
const DI: &str = "491510000004";
