//! The people whom a session knows: one row a person, whatever name they came under, and none once the session is gone.

use super::*;
use crate::records::people::{KnownContact, Learned};

const PHONE: &str = "4915123456789";
const LID: &str = "98765432101234@lid";

fn by_phone(name: &str) -> Learned {
    Learned { phone: Some(PHONE.to_owned()), push_name: Some(name.to_owned()), ..Learned::default() }
}

fn by_lid(name: &str) -> Learned {
    Learned { lid: Some(LID.to_owned()), push_name: Some(name.to_owned()), ..Learned::default() }
}

fn both() -> Learned {
    Learned { phone: Some(PHONE.to_owned()), lid: Some(LID.to_owned()), ..Learned::default() }
}

async fn learn(storage: &Storage, at: Timestamp, learned: &Learned) -> KnownContact {
    storage.learn_contact(ACME, SESSION, at, learned, false).await.unwrap().unwrap().contact
}

#[tokio::test]
async fn a_name_is_written_down_once_and_a_new_one_takes_its_place() {
    let engine = test_engine();
    let storage = Storage::over(engine.clone(), master_key(1));
    add_session(&storage, ACME, SESSION).await;
    learn(&storage, NOW, &by_phone("Ada")).await;
    engine.commits_left.store(0, Ordering::Relaxed);
    assert_eq!(learn(&storage, LATER, &by_phone("Ada")).await.since, NOW, "what is known costs no commit");
    engine.commits_left.store(u64::MAX, Ordering::Relaxed);
    let saved = Learned { name: Some("Ada L.".to_owned()), ..by_phone("Ada") };
    learn(&storage, LATER, &saved).await;
    let known = learn(&storage, LATER, &by_phone("Countess")).await;
    assert_eq!((known.push_name.as_deref(), known.name.as_deref()), (Some("Countess"), Some("Ada L.")));
    assert_eq!(storage.contact(ACME, SESSION, Some(PHONE), None).await.unwrap(), Some(known));
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), 1);
    assert_eq!(
        storage.learn_contact(ACME, SESSION, NOW, &Learned::default(), false).await.unwrap(),
        None,
        "nobody is named"
    );
}

#[tokio::test]
async fn two_names_of_one_person_become_one_row_that_is_found_by_either() {
    let storage = storage_with_session().await;
    learn(&storage, LATER, &by_lid("Ada")).await;
    learn(&storage, NOW, &Learned { name: Some("Mum".to_owned()), push_name: None, ..by_phone("") }).await;
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), 2);
    let one = learn(&storage, LATER, &both()).await;
    assert_eq!((one.push_name.as_deref(), one.name.as_deref(), one.since), (Some("Ada"), Some("Mum"), NOW));
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), 1);
    assert_eq!(storage.contacts(ACME, SESSION, 0, 10).await.unwrap(), std::slice::from_ref(&one));
    assert_eq!(storage.contact(ACME, SESSION, None, Some(LID)).await.unwrap(), Some(one.clone()));
    let renamed = learn(&storage, LATER, &by_lid("Countess")).await;
    assert_eq!(renamed, KnownContact { push_name: Some("Countess".to_owned()), ..one });
    assert_eq!(storage.contact(ACME, SESSION, Some(PHONE), None).await.unwrap(), Some(renamed));
}

#[tokio::test]
async fn a_number_that_goes_to_somebody_else_takes_no_row_along() {
    let storage = storage_with_session().await;
    learn(&storage, NOW, &Learned { name: Some("Mum".to_owned()), ..both() }).await;
    let next = Learned { lid: Some("111@lid".to_owned()), ..both() };
    let next = learn(&storage, LATER, &next).await;
    assert_eq!((next.name, next.since), (None, LATER), "it is not Mum who has it now");
    let before = storage.contact(ACME, SESSION, None, Some(LID)).await.unwrap();
    assert_eq!(before, None, "the one before is not known by the number of the next");
    let again = learn(&storage, LATER, &by_lid("Ada")).await;
    assert_eq!((again.phone, again.lid.as_deref()), (None, Some(LID)));
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), 2);
}

#[tokio::test]
async fn pages_go_through_everybody_once_and_stay_with_their_session_and_tenant() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    for n in 0..25_u64 {
        let phone = Some(format!("49151000{n:04}"));
        learn(&storage, NOW, &Learned { phone, ..Learned::default() }).await;
    }
    learn(&storage, NOW, &by_lid("Ada")).await;
    let mut seen = Vec::new();
    for offset in (0..30).step_by(10) {
        seen.extend(storage.contacts(ACME, SESSION, offset, 10).await.unwrap());
    }
    assert_eq!(seen.len(), 26);
    assert_eq!(seen[0].lid.as_deref(), Some(LID), "who has no number comes first");
    assert_eq!(seen[25].phone.as_deref(), Some("491510000024"));
    assert!(storage.contacts(ACME, SESSION, 26, 10).await.unwrap().is_empty());
    assert!(storage.contacts(ACME, NEIGHBOUR, 0, 10).await.unwrap().is_empty());
    assert!(storage.contacts(GLOBEX, SESSION, 0, 10).await.unwrap().is_empty());
    assert_eq!(storage.contact(GLOBEX, SESSION, None, Some(LID)).await.unwrap(), None);
}

#[tokio::test]
async fn a_deleted_session_knows_nobody_and_learns_nothing() {
    let storage = storage_with_session().await;
    let before = everything(&storage).await.len();
    learn(&storage, NOW, &both()).await;
    learn(&storage, NOW, &Learned { lid: Some("111@lid".to_owned()), ..Learned::default() }).await;
    assert_eq!(everything(&storage).await.len(), before + 4, "two rows, a pointer and the count");
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    assert!(!is_stored_somewhere(&storage, PHONE).await && !is_stored_somewhere(&storage, "111@lid").await);
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), 0);
    let late = storage.learn_contact(ACME, SESSION, LATER, &by_phone("late"), false).await;
    assert!(matches!(late, Err(StorageError::Conflict)), "{late:?}");
    assert!(!is_stored_somewhere(&storage, "late").await);
}

#[tokio::test]
async fn a_session_that_knows_too_many_learns_of_nobody_new_but_still_of_whom_it_knows() {
    use crate::storage::contacts::CONTACTS_MAX;
    let storage = storage_with_session().await;
    learn(&storage, NOW, &by_phone("Ada")).await;
    let mut batch = crate::storage::Batch::default();
    batch.add(crate::storage::keys::contact_count(ACME, SESSION), i64::try_from(CONTACTS_MAX).unwrap() - 1);
    storage.engine.commit(batch).await.unwrap();
    let stranger = Learned { phone: Some("491510009999".to_owned()), ..Learned::default() };
    assert_eq!(storage.learn_contact(ACME, SESSION, NOW, &stranger, false).await.unwrap(), None);
    assert_eq!(learn(&storage, NOW, &by_phone("Countess")).await.push_name.as_deref(), Some("Countess"));
    assert_eq!(storage.contact_total(ACME, SESSION).await.unwrap(), CONTACTS_MAX);
}
