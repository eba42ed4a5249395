//! Tenants and keys: found by what identifies them, gone when they are deleted, and never readable from what is stored.

use std::time::Duration;

use super::*;
use crate::records::account::KeyUse;
use crate::rules::retention::REVOKED_KEPT;
use crate::storage::Sweep;

const TEXT: &str = "sk_live_2f9c1d7e5b";

#[tokio::test]
async fn a_tenant_is_found_listed_by_id_and_changed() {
    let storage = storage();
    storage.create_tenant(&tenant(GLOBEX, "Globex")).await.unwrap();
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    assert_eq!(storage.tenant(ACME).await.unwrap(), Some(tenant(ACME, "Acme")));
    assert_eq!(storage.tenants().await.unwrap(), [tenant(ACME, "Acme"), tenant(GLOBEX, "Globex")]);

    let changed = storage.change_tenant(ACME, |tenant| tenant.active = false).await.unwrap().unwrap();
    assert!(!changed.active);
    assert_eq!(storage.tenant(ACME).await.unwrap(), Some(changed));
    assert!(storage.tenant(GLOBEX).await.unwrap().unwrap().active);
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_not_made_by_a_change() {
    let storage = storage();
    assert_eq!(storage.change_tenant(ACME, |tenant| tenant.active = false).await.unwrap(), None);
    assert_eq!(storage.tenant(ACME).await.unwrap(), None);
}

#[tokio::test]
async fn a_tenant_id_is_taken_once() {
    let storage = storage();
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    assert!(matches!(storage.create_tenant(&tenant(ACME, "Other")).await, Err(StorageError::Conflict)));
    assert_eq!(storage.tenant(ACME).await.unwrap().unwrap().name, "Acme");
}

#[tokio::test]
async fn a_key_is_resolved_by_its_text_until_it_is_revoked_and_remembered_for_a_time_after_that() {
    let storage = storage();
    let new = key(ACME, 7, KeyKind::Tenant, None, TEXT);
    storage.create_key(&new).await.unwrap();
    assert_eq!(storage.resolve_key(TEXT).await.unwrap(), Some(new.record.clone()));
    assert_eq!(storage.key(ACME, KeyId(7)).await.unwrap(), Some(new.record.clone()));
    assert_eq!(storage.keys(ACME).await.unwrap(), [new.record]);
    for other in ["", "sk_live_2f9c1d7e5", "sk_live_2f9c1d7e5b0", "SK_LIVE_2F9C1D7E5B"] {
        assert_eq!(storage.resolve_key(other).await.unwrap(), None, "{other}");
    }

    assert!(storage.revoke_key(ACME, KeyId(7), NOW).await.unwrap());
    let revoked = storage.resolve_key(TEXT).await.unwrap().unwrap();
    assert_eq!((revoked.id, revoked.revoked_at), (KeyId(7), Some(NOW)), "its holder can be told");
    assert_eq!(storage.key(ACME, KeyId(7)).await.unwrap(), None);
    assert!(storage.keys(ACME).await.unwrap().is_empty());
    assert!(!storage.revoke_key(ACME, KeyId(7), NOW).await.unwrap());

    let sweep = async |now| storage.sweep(ACME, Sweep::RevokedKeys, None, now).await.unwrap().removed;
    assert_eq!(sweep(NOW.plus(REVOKED_KEPT)).await, 0);
    assert_eq!(sweep(NOW.plus(REVOKED_KEPT + Duration::from_millis(1))).await, 1);
    assert_eq!(storage.resolve_key(TEXT).await.unwrap(), None);
    assert!(everything(&storage).await.is_empty(), "in the end nothing is left of it");
}

#[tokio::test]
async fn a_key_id_is_taken_once_and_the_loser_does_not_resolve() {
    let storage = storage();
    storage.create_key(&key(ACME, 7, KeyKind::Tenant, None, TEXT)).await.unwrap();
    let second = storage.create_key(&key(ACME, 7, KeyKind::Tenant, None, "sk_live_other")).await;
    assert!(matches!(second, Err(StorageError::Conflict)));
    assert_eq!(storage.resolve_key("sk_live_other").await.unwrap(), None);
}

#[tokio::test]
async fn the_text_of_a_key_stands_nowhere_in_what_is_stored() {
    let storage = storage_with_session().await;
    storage.create_key(&key(ACME, 7, KeyKind::Tenant, None, TEXT)).await.unwrap();
    storage.create_key(&key(ACME, 8, KeyKind::Personal, None, "pat_live_77aa")).await.unwrap();
    for text in [TEXT, "pat_live_77aa", &own_key_text(ACME, SESSION)] {
        assert!(!is_stored_somewhere(&storage, text).await, "{text}");
    }
    assert!(is_stored_somewhere(&storage, "a key").await, "what is not secret is found: the search works");
}

#[tokio::test]
async fn a_sessions_own_key_is_shown_again_and_resolves() {
    let storage = storage_with_session().await;
    let text = storage.session_key(ACME, SESSION).await.unwrap().unwrap();
    assert_eq!(text, own_key_text(ACME, SESSION));
    let record = storage.resolve_key(&text).await.unwrap().unwrap();
    assert_eq!((record.tenant, record.session, record.kind), (ACME, Some(SESSION), KeyKind::Session));
    assert_eq!(storage.session_key(ACME, NEIGHBOUR).await.unwrap(), None);
}

#[tokio::test]
async fn a_sessions_own_key_is_not_shown_again_after_it_was_deleted() {
    let storage = storage_with_session().await;
    assert!(storage.revoke_key(ACME, KeyId(SESSION.0), NOW).await.unwrap());
    assert_eq!(storage.key(ACME, KeyId(SESSION.0)).await.unwrap(), None);
    assert_eq!(storage.session_key(ACME, SESSION).await.unwrap(), None);
}

#[tokio::test]
async fn another_key_of_a_session_is_never_shown_and_outlives_the_renewal_of_its_own() {
    let storage = storage_with_session().await;
    let another = key(ACME, 7, KeyKind::Session, Some(SESSION), "ses_live_another");
    storage.create_key(&another).await.unwrap();
    assert_eq!(storage.session_key(ACME, SESSION).await.unwrap(), Some(own_key_text(ACME, SESSION)));
    let renewed = key(ACME, 8, KeyKind::Session, Some(SESSION), "ses_live_renewed");
    storage.renew_session_key(&renewed, NOW).await.unwrap();
    let old = storage.resolve_key(&own_key_text(ACME, SESSION)).await.unwrap().unwrap();
    assert_eq!(old.revoked_at, Some(NOW));
    assert_eq!(storage.resolve_key("ses_live_another").await.unwrap().unwrap().revoked_at, None);
    assert!(storage.revoke_key(ACME, KeyId(7), NOW).await.unwrap());
    assert_eq!(storage.session_key(ACME, SESSION).await.unwrap().as_deref(), Some("ses_live_renewed"));
}

#[tokio::test]
async fn a_renewed_own_key_opens_and_the_one_before_is_revoked_with_it() {
    let storage = storage_with_session().await;
    let renewed = key(ACME, 7, KeyKind::Session, Some(SESSION), "ses_live_renewed");
    storage.renew_session_key(&renewed, NOW).await.unwrap();
    assert_eq!(storage.session_key(ACME, SESSION).await.unwrap().as_deref(), Some("ses_live_renewed"));
    assert_eq!(storage.resolve_key("ses_live_renewed").await.unwrap().unwrap().revoked_at, None);
    let old = storage.resolve_key(&own_key_text(ACME, SESSION)).await.unwrap().unwrap();
    assert_eq!(old.revoked_at, Some(NOW));
    let nobodys = key(ACME, 8, KeyKind::Session, Some(SessionId(404)), "ses_live_nobodys");
    assert!(matches!(storage.renew_session_key(&nobodys, NOW).await, Err(StorageError::Conflict)));
}

#[tokio::test]
async fn a_key_for_a_session_that_does_not_exist_is_refused() {
    let storage = storage();
    for kind in [KeyKind::Session, KeyKind::Tenant] {
        let refused = storage.create_key(&key(ACME, 7, kind, Some(SESSION), TEXT)).await;
        assert!(matches!(refused, Err(StorageError::Conflict)), "{kind:?}");
    }
    assert!(everything(&storage).await.is_empty());
}

#[tokio::test]
async fn listings_leave_nothing_out_however_much_there_is() {
    const MANY: u64 = 10_050;
    let storage = storage();
    for n in 1..=MANY {
        storage.create_tenant(&tenant(TenantId(n), "one of many")).await.unwrap();
        add_session(&storage, ACME, SessionId(100_000 + n)).await;
    }
    let count = |listed: usize| u64::try_from(listed).unwrap();
    assert_eq!(count(storage.tenants().await.unwrap().len()), MANY);
    assert_eq!(count(storage.keys(ACME).await.unwrap().len()), MANY);
    let sessions: Vec<u64> = storage.sessions(ACME).await.unwrap().iter().map(|session| session.id.0).collect();
    assert_eq!(sessions, (100_001..=100_000 + MANY).collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test]
async fn who_holds_a_key_is_read_once_until_something_of_the_account_changes() {
    let engine = test_engine();
    let storage = Storage::over(Arc::clone(&engine) as _, master_key(1));
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    add_session(&storage, ACME, SESSION).await;
    let (text, new) = (own_key_text(ACME, SESSION), key(ACME, 7, KeyKind::Tenant, None, TEXT));
    let look_up = async |text: &str| {
        let before = engine.reads.load(Ordering::Relaxed);
        let holder = storage.holder(text).await.unwrap();
        (holder, engine.reads.load(Ordering::Relaxed) > before)
    };
    assert_eq!(look_up(TEXT).await, (None, true));
    assert_eq!(look_up(TEXT).await, (None, true), "what nobody holds is not remembered");
    storage.create_key(&new).await.unwrap();

    let first = look_up(TEXT).await;
    let (holder, session_holder) = (first.0.unwrap(), look_up(&text).await.0.unwrap());
    assert_eq!((&holder.key, holder.tenant.as_ref(), first.1), (&new.record, Some(&tenant(ACME, "Acme")), true));
    assert_eq!((session_holder.key.session, session_holder.has_session), (Some(SESSION), true));
    let used = KeyUse { requests: 1, last_used_at: Some(NOW) };
    storage.note_key_uses(&[(ACME, KeyId(7), used)]).await.unwrap();
    storage.create_tenant(&tenant(GLOBEX, "Globex")).await.unwrap();
    assert_eq!(look_up(TEXT).await, (Some(holder), false));
    assert_eq!(look_up(&text).await, (Some(session_holder), false));

    storage.change_tenant(ACME, |tenant| tenant.active = false).await.unwrap();
    let (inactive, read) = look_up(TEXT).await;
    assert_eq!((inactive.unwrap().tenant.clone().unwrap().active, read), (false, true));
    storage.revoke_key(ACME, KeyId(7), NOW).await.unwrap();
    assert_eq!(look_up(TEXT).await.0.unwrap().key.revoked_at, Some(NOW));
    let begun = storage.delete_session(ACME, SESSION, NOW).await.unwrap();
    assert!(begun && look_up(&text).await.0.is_none_or(|holder| !holder.has_session));

    storage.close();
    assert!(matches!(storage.holder(TEXT).await, Err(StorageError::Closed)), "nobody is let in while storage is closed");
}
