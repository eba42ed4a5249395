//! Whole hosts on the simulated network, driven through HTTP as clients drive them.

mod admin;
mod errors;
mod events;
mod path;
mod plugins;
mod sessions;
