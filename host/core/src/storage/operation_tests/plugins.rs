//! Plugins: the record and its component are kept together.

use super::*;
use crate::records::plugin::Plugin;
use crate::storage::ARTIFACT_BYTES_MAX;

fn plugin(tenant: TenantId, name: &str, sha256: &str) -> Plugin {
    Plugin {
        name: name.to_owned(),
        tenant,
        sha256: sha256.to_owned(),
        bytes: 9,
        interfaces: vec!["responder".to_owned()],
        mounts: Vec::new(),
        config: serde_json::json!({"greeting": "hello"}),
        activated_at: NOW,
    }
}

#[tokio::test]
async fn an_active_plugin_is_found_with_its_component_and_listed_by_name() {
    let storage = storage();
    storage.activate_plugin(&plugin(ACME, "reply", "aa"), b"component").await.unwrap();
    storage.activate_plugin(&plugin(ACME, "audit", "bb"), b"another").await.unwrap();
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap(), Some(plugin(ACME, "reply", "aa")));
    assert_eq!(storage.artifact(ACME, "aa").await.unwrap().unwrap(), b"component");
    assert_eq!(storage.plugins(ACME).await.unwrap(), [plugin(ACME, "audit", "bb"), plugin(ACME, "reply", "aa")]);
    for name in ["", "repl", "reply2"] {
        assert_eq!(storage.plugin(ACME, name).await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn a_new_version_takes_the_place_of_the_old_one_whose_component_stays() {
    let storage = storage();
    storage.activate_plugin(&plugin(ACME, "reply", "aa"), b"old").await.unwrap();
    storage.activate_plugin(&plugin(ACME, "reply", "bb"), b"new").await.unwrap();
    assert_eq!(storage.plugins(ACME).await.unwrap(), [plugin(ACME, "reply", "bb")]);
    assert_eq!(storage.artifact(ACME, "aa").await.unwrap().unwrap(), b"old");
    assert_eq!(storage.artifact(ACME, "bb").await.unwrap().unwrap(), b"new");
}

#[tokio::test]
async fn a_deleted_plugin_is_gone_and_its_component_stays() {
    let storage = storage();
    storage.activate_plugin(&plugin(ACME, "reply", "aa"), b"component").await.unwrap();
    assert!(storage.delete_plugin(ACME, "reply", "1/reply").await.unwrap());
    assert!(!storage.delete_plugin(ACME, "reply", "1/reply").await.unwrap());
    assert!(storage.plugins(ACME).await.unwrap().is_empty());
    assert!(storage.artifact(ACME, "aa").await.unwrap().is_some());
}

#[tokio::test]
async fn a_component_over_the_limit_is_refused_and_the_active_one_stays() {
    let storage = storage();
    storage.activate_plugin(&plugin(ACME, "reply", "aa"), b"old").await.unwrap();
    let component = vec![0; ARTIFACT_BYTES_MAX + 1];
    let refused = storage.activate_plugin(&plugin(ACME, "reply", "bb"), &component).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { bytes_max: ARTIFACT_BYTES_MAX, .. })));
    assert_eq!(storage.plugins(ACME).await.unwrap(), [plugin(ACME, "reply", "aa")]);
    assert_eq!(storage.artifact(ACME, "bb").await.unwrap(), None);
    storage.activate_plugin(&plugin(ACME, "reply", "bb"), &component[1..]).await.unwrap();
}
