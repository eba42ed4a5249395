//! Whole hosts on the simulated network, driven through HTTP as clients drive them.

mod admin;
mod errors;
mod path;
mod plugins;
mod sessions;
