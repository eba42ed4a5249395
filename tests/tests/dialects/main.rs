//! The dialects: every endpoint of each with everything that callers do right and wrong, and what arrives on phones.

mod arrivals;
mod columns;
mod document;
mod everywhere;
mod found;
#[cfg(feature = "fuzz")]
mod fuzz;
mod hooks;
mod limits;
mod prosendi;
mod sendapi;
mod stage;
mod table;
mod wafastapi;
mod wamux;
mod wasender;
