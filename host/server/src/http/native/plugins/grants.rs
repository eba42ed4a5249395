//! Grants of a plugin: looked at and given, by themselves or together with an upload or an activation.

use std::fmt;

use hyper::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use switchboard_core::records::plugin::Grants;

use super::super::refusals::grant_problem;
use super::super::{Answered, Call, JSON_BYTES_MAX};
use crate::http::front_door::FrontDoor;
use crate::http::problem::json as json_answer;
use crate::plugins::{GrantStanding, GrantWish, InstallError};

/// Grants as they come with something else: the word `asked`, or an object that says which.
pub(super) struct Given(GrantWish);

impl From<Given> for GrantWish {
    fn from(given: Given) -> Self {
        given.0
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor).map(Self)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = GrantWish;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"asked\" or an object of grants")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<GrantWish, E> {
        if text == "asked" { Ok(GrantWish::Asked) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GrantWish, A::Error> {
        Grants::deserialize(MapAccessDeserializer::new(map)).map(GrantWish::These)
    }
}

/// A body that may bring grants along.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithGrants {
    #[serde(default)]
    grants: Option<Given>,
}

impl WithGrants {
    pub(super) fn wish(self) -> Option<GrantWish> {
        self.grants.map(Into::into)
    }
}

fn standing_json(standing: &GrantStanding) -> Value {
    json!({ "granted": standing.granted, "asked": standing.asked, "missing": standing.missing })
}

impl FrontDoor {
    pub(super) async fn show_plugin_grants(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let standing = self.plugins.grants(owner, call.param(0)).await?;
        Ok(json_answer(StatusCode::OK, &standing_json(&standing)))
    }

    pub(super) async fn set_plugin_grants(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let name = call.param(0).to_owned();
        self.stored_plugin(owner, &name).await?;
        let grants: Grants = call.json(JSON_BYTES_MAX).await?;
        self.plugins.set_grants(owner, &name, grants).await.map_err(|error| match error {
            // The whole body is the grants.
            InstallError::Grants(fault) => grant_problem(&[], &fault),
            other => other.into(),
        })?;
        Ok(json_answer(StatusCode::OK, &standing_json(&self.plugins.grants(owner, &name).await?)))
    }
}
