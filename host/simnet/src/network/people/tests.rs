//! Clients ask, change and hear things about people, as on the real network.

mod device_lists;
mod keys;
mod privacy;
mod profiles;
mod registration;
mod tokens;
mod usync;
