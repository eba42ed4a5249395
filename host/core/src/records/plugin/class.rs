//! How large a plugin's component is, and so where it runs.

use serde::{Deserialize, Serialize};

/// The size class of a component. Each has an engine, places and limits of its own: no large one takes a small one's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeClass {
    /// As compilers of languages without a runtime make them.
    #[default]
    Small,
    /// With a language's interpreter and its libraries in them.
    Large,
}

impl SizeClass {
    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}
