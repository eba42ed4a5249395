//! The plugin runtime: the only room that knows wasmtime.
//!
//! It inspects uploaded components and refuses by name what cannot run, compiles them, and calls their interfaces: each call
//! in a fresh store, under limits of every kind, with an outcome that is a fact and never an error of the host.

mod bindings;
mod bodies;
mod call;
mod classes;
mod code_cache;
mod compile;
mod configure;
mod convert;
mod declarations;
mod document;
mod engine;
mod imports;
mod inspect;
mod judge;
mod kept;
mod lane;
mod limits;
mod log;
mod masks;
mod no_http;
mod outcome;
mod render;
mod responder;
mod resting;
mod runtime;
mod sender;
mod shape;
mod shares;
mod shelf;
mod stream;
pub mod types;
pub mod verbs;
mod wasi;

pub use classes::ClassSettings;
pub use compile::{CompileError, CompileLimits, Compiler, compile_from_stdin};
pub use configure::ConfigFault;
pub use document::{
    GRANTS_BYTES_MAX, GRANTS_SECTION, INSTANCE_KEPT, INSTANCE_SECTION, OPENAPI_BYTES_MAX, OPENAPI_SECTION, add_section,
};
pub use inspect::{INTERFACES, InspectError, Inspection, ItemName, Owner, SMALL_BYTES_MAX, Sizes, inspect};
pub use judge::Verdict;
pub use limits::CallLimits;
pub use log::{LogLevel, LogLine};
pub use outcome::{CallReport, Called, Limit, Outcome};
pub use render::GivenTemplate;
pub use runtime::{CallContext, LoadedPlugin, Runtime, RuntimeError, RuntimeSettings};
pub use shape::Matter;
pub use shelf::LinkedComponent;
