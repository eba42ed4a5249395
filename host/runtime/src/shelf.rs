//! Components that are linked, and in use or were so lately: whoever loads the same bytes again shares their code, and only the trial
//! is made anew.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use switchboard_core::records::plugin::{Grants, SizeClass};
use wasmtime::component::{Component, InstancePre};

use crate::bindings::auth_policy_world::AuthPolicyPluginPre;
use crate::bindings::configurable_world::ConfigurablePluginPre;
use crate::bindings::responder_world::ResponderPluginPre;
use crate::bindings::router_world::RouterPluginPre;
use crate::bindings::sender_route_world::SenderRoutePluginPre;
use crate::bindings::streamer_world::StreamerPluginPre;
use crate::bindings::subscriber_world::SubscriberPluginPre;
use crate::bindings::template_world::TemplatePluginPre;
use crate::bindings::webhook_world::WebhookPluginPre;
use crate::call::CallState;
use crate::classes::ClassRoom;
use crate::document::{self, Sections};
use crate::inspect::{InspectError, Inspection};
use crate::log::short_words;
use crate::runtime::LoadedPlugin;

/// From how many names on the shelf looks for those that nobody uses any more.
const SWEPT_FROM: usize = 64;

/// Most bytes of components, as they were uploaded, that are remembered after use. Their code has some ten times as many, in pages of
/// files that the kernel takes back.
const REMEMBERED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a component is, whoever loads it: found by inspection, compiled and linked.
pub struct LinkedComponent {
    /// Hexadecimal SHA-256 of the component.
    pub sha256: String,
    /// Its size.
    pub bytes: usize,
    /// Where it runs.
    pub class: SizeClass,
    /// The interfaces that it serves.
    pub interfaces: Vec<String>,
    /// The OpenAPI document of its router, a JSON object, if it carries one; paths are those of its routes.
    pub openapi: Option<String>,
    /// What it asks to be given.
    pub asked: Grants,
    /// Whether it asks for its instances to be kept between requests.
    pub keeps_instance: bool,
    pub(crate) inspection: Inspection,
    /// The component as such.
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) router: Option<RouterPluginPre<CallState>>,
    pub(crate) responder: Option<ResponderPluginPre<CallState>>,
    pub(crate) subscriber: Option<SubscriberPluginPre<CallState>>,
    pub(crate) streamer: Option<StreamerPluginPre<CallState>>,
    pub(crate) webhook: Option<WebhookPluginPre<CallState>>,
    pub(crate) policy: Option<AuthPolicyPluginPre<CallState>>,
    pub(crate) template: Option<TemplatePluginPre<CallState>>,
    pub(crate) sender: Option<SenderRoutePluginPre<CallState>>,
    pub(crate) configurable: Option<ConfigurablePluginPre<CallState>>,
}

impl LinkedComponent {
    /// Links a component with what it can be given.
    pub(crate) fn link(
        room: &ClassRoom,
        (sha256, bytes): (String, &[u8]),
        (inspection, class): (Inspection, SizeClass),
        component: &Component,
    ) -> Result<Self, InspectError> {
        // What inspection cannot tell: functions of WASI.
        let wrong = |error: wasmtime::Error| {
            let why = short_words(&format!("{error:#}"));
            InspectError::WrongType { interface: String::new(), why }
        };
        let pre = room.instantiate_pre(component).map_err(wrong)?;
        let interfaces = inspection.interfaces.clone();
        let has = |name: &str| interfaces.iter().any(|interface| interface == name);
        let router = if has("router") { Some(RouterPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let responder = if has("responder") { Some(ResponderPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let streamer = if has("streamer") { Some(StreamerPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let webhook = if has("webhook") { Some(WebhookPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let policy = if has("auth-policy") { Some(AuthPolicyPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let template = if has("template") { Some(TemplatePluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let sender = if has("sender-route") { Some(SenderRoutePluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let subscriber =
            if inspection.subscriber { Some(SubscriberPluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let configurable =
            if inspection.configurable { Some(ConfigurablePluginPre::new(pre.clone()).map_err(wrong)?) } else { None };
        let Sections { openapi, asked, keeps_instance } = document::sections(bytes)?;
        Ok(Self {
            sha256,
            bytes: bytes.len(),
            class,
            interfaces,
            openapi: openapi.map(|document| serde_json::Value::Object(document).to_string()),
            asked,
            keeps_instance,
            inspection,
            pre,
            router,
            responder,
            subscriber,
            streamer,
            webhook,
            policy,
            template,
            sender,
            configurable,
        })
    }
}

impl Deref for LoadedPlugin {
    type Target = LinkedComponent;

    fn deref(&self) -> &LinkedComponent {
        &self.linked
    }
}

/// Those that somebody uses and those that were loaded last, by their hash.
pub(crate) struct Shelf {
    shelved: Mutex<Shelved>,
    remembered_max: usize,
}

#[derive(Default)]
struct Shelved {
    linked: HashMap<String, Weak<LinkedComponent>>,
    /// How many names there may be before those of nobody are forgotten.
    sweep_at: usize,
    /// Those that were loaded last, the oldest first.
    remembered: VecDeque<Arc<LinkedComponent>>,
}

impl Shelved {
    /// Remembers one as the last that was loaded. Of those that are remembered already as the same, it takes the place.
    fn remember(&mut self, linked: &Arc<LinkedComponent>, most: usize) {
        self.remembered.retain(|known| known.sha256 != linked.sha256);
        self.remembered.push_back(Arc::clone(linked));
        // They leave with a part of memory that counts: large ones are their owners' to keep in use.
        let too_many = |all: &VecDeque<Arc<LinkedComponent>>| {
            all.len() > most || all.iter().map(|linked| linked.bytes).sum::<usize>() > REMEMBERED_BYTES_MAX
        };
        while too_many(&self.remembered) {
            self.remembered.pop_front();
        }
    }
}

impl Shelf {
    /// With room for as many as nobody uses any more.
    pub(crate) fn new(remembered_max: usize) -> Self {
        Self { shelved: Mutex::default(), remembered_max }
    }

    /// The component of this hash, if anybody uses it or did so lately.
    pub(crate) fn find(&self, sha256: &str) -> Option<Arc<LinkedComponent>> {
        let mut shelved = self.shelved.lock().unwrap_or_else(PoisonError::into_inner);
        let linked = shelved.linked.get(sha256)?.upgrade()?;
        shelved.remember(&linked, self.remembered_max);
        Some(linked)
    }

    /// Puts one there.
    pub(crate) fn put(&self, linked: LinkedComponent) -> Arc<LinkedComponent> {
        let mut shelved = self.shelved.lock().unwrap_or_else(PoisonError::into_inner);
        if shelved.linked.len() >= shelved.sweep_at.max(SWEPT_FROM) {
            shelved.linked.retain(|_, linked| linked.strong_count() > 0);
            // So that each name is looked at a few times only, however many there are.
            shelved.sweep_at = shelved.linked.len() * 2;
        }
        let linked = Arc::new(linked);
        shelved.linked.insert(linked.sha256.clone(), Arc::downgrade(&linked));
        shelved.remember(&linked, self.remembered_max);
        linked
    }
}
