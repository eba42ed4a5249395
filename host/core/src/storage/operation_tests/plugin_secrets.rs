//! Secrets of plugins: sealed, bounded in number, and gone with their plugin.

use super::*;
use crate::records::plugin::{PLUGIN_SECRETS_MAX, PluginSecret};
use crate::storage::SecretKept;

const SHOP: &str = "shop";

async fn storage_with_plugins() -> Storage {
    let storage = storage();
    for owner in [ACME, GLOBEX] {
        upload(&storage, owner, SHOP, 1).await.unwrap();
    }
    storage
}

fn secret(name: &str, created_at: Timestamp, updated_at: Timestamp) -> PluginSecret {
    PluginSecret { name: name.to_owned(), created_at, updated_at }
}

#[tokio::test]
async fn a_secret_is_sealed_replaced_listed_without_its_value_and_deleted() {
    let storage = storage_with_plugins().await;
    let keep = async |name: &str, value: &str, now| storage.keep_plugin_secret(ACME, SHOP, name, value, now).await.unwrap();
    assert_eq!(keep("B", "first value", NOW).await, SecretKept::Created(secret("B", NOW, NOW)));
    assert_eq!(keep("B", "second value", LATER).await, SecretKept::Replaced(secret("B", NOW, LATER)));
    keep("A", "another value", LATER).await;
    let listed = [secret("A", LATER, LATER), secret("B", NOW, LATER)];
    assert_eq!(storage.plugin_secrets(ACME, SHOP).await.unwrap(), listed);
    assert_eq!(storage.plugin_secret(ACME, SHOP, "B").await.unwrap().as_deref(), Some("second value"));
    for value in ["first value", "second value", "another value"] {
        assert!(!is_stored_somewhere(&storage, value).await);
    }
    assert!(storage.delete_plugin_secret(ACME, SHOP, "B").await.unwrap());
    assert!(!storage.delete_plugin_secret(ACME, SHOP, "B").await.unwrap());
    assert_eq!(storage.plugin_secret(ACME, SHOP, "B").await.unwrap(), None);
}

#[tokio::test]
async fn a_secret_is_one_plugins_and_one_owners() {
    let storage = storage_with_plugins().await;
    upload(&storage, ACME, "shopper", 1).await.unwrap();
    storage.keep_plugin_secret(ACME, SHOP, "A", "of acme", NOW).await.unwrap();
    for (owner, plugin) in [(GLOBEX, SHOP), (ACME, "shopper"), (TenantId::OPERATOR, SHOP)] {
        assert_eq!(storage.plugin_secret(owner, plugin, "A").await.unwrap(), None);
        assert!(storage.plugin_secrets(owner, plugin).await.unwrap().is_empty());
        assert!(!storage.delete_plugin_secret(owner, plugin, "A").await.unwrap());
    }
    let nobody = storage.keep_plugin_secret(ACME, "nobody", "A", "x", NOW).await.unwrap();
    assert_eq!(nobody, SecretKept::NoPlugin);
}

#[tokio::test]
async fn a_plugin_has_so_many_secrets_and_no_more_also_when_many_are_written_at_once() {
    let storage = Storage::over(test_engine(), master_key(1));
    upload(&storage, ACME, SHOP, 1).await.unwrap();
    for n in 3..PLUGIN_SECRETS_MAX {
        storage.keep_plugin_secret(ACME, SHOP, &format!("S{n}"), "x", NOW).await.unwrap();
    }
    let names: Vec<String> = (0..6).map(|n| format!("NEW{n}")).collect();
    let writes = names.iter().map(|name| storage.keep_plugin_secret(ACME, SHOP, name, "x", NOW));
    let kept = futures_util::future::join_all(writes).await;
    let too_many = kept.into_iter().filter(|kept| *kept.as_ref().unwrap() == SecretKept::TooMany).count();
    assert_eq!((too_many, storage.plugin_secrets(ACME, SHOP).await.unwrap().len() as u64), (3, PLUGIN_SECRETS_MAX));
    let again = storage.keep_plugin_secret(ACME, SHOP, "S5", "y", LATER).await.unwrap();
    assert_eq!(again, SecretKept::Replaced(secret("S5", NOW, LATER)), "one that is there can be replaced");
    assert!(storage.delete_plugin_secret(ACME, SHOP, "S5").await.unwrap());
    let free = storage.keep_plugin_secret(ACME, SHOP, "FREE", "y", LATER).await.unwrap();
    assert_eq!(free, SecretKept::Created(secret("FREE", LATER, LATER)));
}

#[tokio::test]
async fn secrets_go_with_their_plugin_and_not_with_another() {
    let storage = storage_with_plugins().await;
    for owner in [ACME, GLOBEX] {
        storage.keep_plugin_secret(owner, SHOP, "A", "x", NOW).await.unwrap();
    }
    assert!(storage.delete_plugin(ACME, SHOP, "1/shop").await.unwrap());
    assert_eq!(storage.plugin_secret(ACME, SHOP, "A").await.unwrap(), None);
    assert_eq!(storage.keep_plugin_secret(ACME, SHOP, "A", "late", NOW).await.unwrap(), SecretKept::NoPlugin);
    upload(&storage, ACME, SHOP, 1).await.unwrap();
    assert!(storage.plugin_secrets(ACME, SHOP).await.unwrap().is_empty());
    let first = storage.keep_plugin_secret(ACME, SHOP, "A", "x", NOW).await.unwrap();
    assert_eq!(first, SecretKept::Created(secret("A", NOW, NOW)));
    assert_eq!(storage.plugin_secret(GLOBEX, SHOP, "A").await.unwrap().as_deref(), Some("x"));
}
