//! What can be granted, and what of a wish is not granted yet.

use std::collections::BTreeSet;

use super::*;

fn strings(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Some of everything.
fn much() -> Grants {
    Grants {
        http: strings(&["api.example.com"]),
        kv_bytes: 65_536,
        secrets: strings(&["SHOP_KEY"]),
        send: Some(SendGrant { per_minute: 60 }),
        sessions: SessionGrant::All,
        fields: [MessageField::Text, MessageField::ContactName].into(),
    }
}

#[test]
fn nothing_is_missing_of_what_is_granted_or_not_asked_for() {
    assert_eq!(missing(&much(), &much()), [""; 0]);
    assert_eq!(missing(&Grants::default(), &Grants::default()), [""; 0]);
    assert_eq!(missing(&Grants::default(), &much()), [""; 0]);
    let wider = Grants {
        http: strings(&["*.example.com"]),
        kv_bytes: 65_537,
        send: Some(SendGrant { per_minute: 61 }),
        fields: MessageField::ALL.into(),
        ..much()
    };
    assert_eq!(missing(&much(), &wider), [""; 0]);
}

#[test]
fn each_thing_that_grew_is_told_in_words() {
    let expected = [
        "http: ask api.example.com",
        "kv_bytes: keep 65536 bytes for each tenant, now 0",
        "secrets: read SHOP_KEY",
        "send: send 60 messages a minute, now 0",
        "sessions: read of the account's sessions and send from them",
        "fields: text, what messages say",
        "fields: contact_name, what people call themselves",
    ];
    assert_eq!(missing(&much(), &Grants::default()), expected);
    let less = Grants { kv_bytes: 1024, send: Some(SendGrant { per_minute: 10 }), ..much() };
    let expected = ["kv_bytes: keep 65536 bytes for each tenant, now 1024", "send: send 60 messages a minute, now 10"];
    assert_eq!(missing(&much(), &less), expected);
}

#[test]
fn some_sessions_are_enough_for_who_asks_for_all_and_stay_some() {
    let some = Grants { sessions: SessionGrant::Only([SessionId(5)].into()), ..much() };
    assert_eq!(missing(&much(), &some), [""; 0]);
    assert_eq!(both(&some, &much()).sessions, some.sessions);
    assert_eq!(both(&Grants::default(), &much()), much());
    assert_eq!(both(&much(), &Grants::default()), much());
}

#[test]
fn both_is_the_larger_of_each() {
    let other = Grants {
        http: strings(&["b.example.com"]),
        kv_bytes: 1,
        secrets: strings(&["OTHER"]),
        send: Some(SendGrant { per_minute: 100 }),
        sessions: SessionGrant::Only([SessionId(5)].into()),
        fields: [MessageField::Number].into(),
    };
    let sum = both(&much(), &other);
    assert_eq!(sum.http, strings(&["api.example.com", "b.example.com"]));
    assert_eq!((sum.kv_bytes, sum.send), (65_536, Some(SendGrant { per_minute: 100 })));
    assert_eq!((&sum.secrets, sum.fields.len()), (&strings(&["SHOP_KEY", "OTHER"]), 3));
    assert!(missing(&much(), &sum).is_empty() && missing(&other, &sum).is_empty());
}

#[test]
fn what_cannot_be_granted_is_refused_by_its_place() {
    let place = |grants: Grants| check(&grants).unwrap_err().path.join("/");
    assert_eq!(check(&much()), Ok(()));
    assert_eq!(place(Grants { http: strings(&["a.example.com", "b.example.com:1"]), ..much() }), "http/1");
    assert_eq!(place(Grants { kv_bytes: KV_BYTES_MAX + 1, ..much() }), "kv_bytes");
    assert_eq!(place(Grants { secrets: strings(&["a key"]), ..much() }), "secrets/0");
    for per_minute in [0, PER_MINUTE_MAX + 1] {
        assert_eq!(place(Grants { send: Some(SendGrant { per_minute }), ..much() }), "send/per_minute");
    }
    let many = (0..=HOSTS_MAX).map(|n| format!("h{n}.example.com")).collect();
    assert_eq!(place(Grants { http: many, ..much() }), "http");
    let many = (0..=SESSIONS_MAX as u64).map(SessionId).collect();
    assert_eq!(place(Grants { sessions: SessionGrant::Only(many), ..much() }), "sessions");
}

#[test]
fn a_component_asks_strictly() {
    let asked = br#" {"http":["api.example.com"],"kv_bytes":65536,"secrets":["SHOP_KEY"],"send":{"per_minute":60},
        "sessions":"all","fields":["text","contact_name"]} "#;
    assert_eq!(read_asked(asked), Ok(much()));
    assert_eq!(read_asked(b"{}"), Ok(Grants::default()));
    let refused = |json: &str| read_asked(json.as_bytes()).unwrap_err();
    assert!(refused(r#"{"htp":[]}"#).contains("unknown field `htp`") && refused(r#"{"htp":[]}"#).contains("line 1 column"));
    assert!(refused(r#"{"send":{"per_minute":1,"per_day":9}}"#).contains("unknown field `per_day`"));
    assert!(refused(r#"{"fields":["phone"]}"#).contains("unknown variant `phone`"));
    assert!(refused(r#"{"sessions":{"only":[5]}}"#).contains("cannot know ids"));
    assert!(refused(r#"{"send":{"per_minute":0}}"#).contains("send.per_minute"));
    assert!(refused("{}{}").contains("more than one JSON object"));
    assert!(refused("[]").contains("no JSON object") && refused("").contains("no JSON object"));
}

#[test]
fn a_responder_without_a_session_is_told_of_nothing() {
    assert!(deaf(&Grants::default()).is_some_and(|words| words.starts_with("sessions: ")));
    assert_eq!(deaf(&much()), None);
}

#[test]
fn a_plugin_hears_of_its_sessions_and_sends_from_them() {
    let some = Grants { sessions: SessionGrant::Only([SessionId(5)].into()), ..much() };
    assert!(hears(&much(), SessionId(9)) && hears(&much(), SessionId::NONE) && hears(&some, SessionId(5)));
    assert!(!hears(&some, SessionId(9)) && !hears(&some, SessionId::NONE) && !hears(&Grants::default(), SessionId(5)));
    assert_eq!(may_send(&some, SessionId(5)), Ok(SendGrant { per_minute: 60 }));
    assert!(may_send(&some, SessionId(9)).unwrap_err().contains("session 9: its grant sessions"));
    assert!(may_send(&Grants { send: None, ..much() }, SessionId(5)).unwrap_err().contains("the grant send"));
}

#[test]
fn a_plugin_asks_the_hosts_that_it_was_given() {
    let asked = |url: &str| may_ask(&much(), url).map_err(|refused| refused.to_string());
    assert_eq!(asked("https://api.example.com/v1?key=secret"), Ok(()));
    assert_eq!(asked("https://other.example.com/v1?key=secret").unwrap_err(), "no grant names https://other.example.com");
    assert_eq!(asked("file:///etc/passwd").unwrap_err(), "no grant names null");
    assert!(asked("api.example.com").unwrap_err().starts_with("not a URL"));
    assert!(may_ask(&Grants::default(), "https://api.example.com/").is_err());
}
