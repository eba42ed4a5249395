//! What is known of a media file, decided from its bytes alone: its kind, its MIME type, its size, its length, its small picture.
//!
//! Decoding what strangers send is not done in the host: [`Inspector`] hands the file to a child of this binary, which runs
//! [`child::main`] under limits of memory, processor time, wall time and files, and answers with [`Facts`]. The rules in the
//! other rooms are pure functions of bytes; none of them believes a length that the bytes do not back.

mod boxes;
mod bytes;
pub mod child;
mod facts;
mod inspector;
mod kind;
mod matroska;
mod ogg;
mod picture;
mod sound;
mod waveform;

pub use facts::{Facts, FactsError, facts};
pub use inspector::{CHILD_ARGUMENT, InspectError, Inspector};
pub use kind::{Form, Kind, is_mime};
pub use picture::PictureError;
