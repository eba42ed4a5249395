//! Instances that are kept between requests: what a guest remembers stays with the tenant it learned it from, and every request
//! begins with limits, clock and log of its own.

use std::sync::Arc;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_runtime::{CallContext, Outcome, RuntimeSettings};
use switchboard_tests::components::keeping;
use tokio::task::coop::unconstrained;

use crate::cancel::ends_when_polled;
use crate::kv::install;
use crate::stage::{NOW_MS, Stage, context, principal, settings};

async fn stage(settings: RuntimeSettings) -> Stage {
    Stage::with(settings, &keeping(env!("GUEST_HOSTILE"))).await
}

fn of_tenant(tenant: u64) -> CallContext {
    context(Some(principal(tenant)), "{}")
}

/// How often the instance that answers has been asked, and its clock. It is to hold so many MiB more.
async fn remembers(stage: &Stage, context: &CallContext, mib: &str) -> (u32, u64) {
    let called = stage.ask_in(context, "POST", "/remember", mib.as_bytes()).await;
    let Outcome::Reply(answer) = called.outcome else { panic!("{:?}", called.outcome) };
    let (count, clock) = serde_json::from_slice(&answer.body).unwrap();
    let said: Vec<String> = called.report.log.into_iter().map(|line| line.message).collect();
    assert_eq!(said, [format!("asked {count} times")], "the log is that of one request");
    (count, clock)
}

async fn count(stage: &Stage, context: &CallContext) -> u32 {
    remembers(stage, context, "").await.0
}

#[tokio::test]
async fn an_instance_is_kept_where_the_plugin_asks_for_it_and_nowhere_else() {
    let (keeping, fresh) = (stage(settings(1)).await, Stage::new(settings(1)).await);
    assert!(keeping.plugin.keeps_instance && !fresh.plugin.keeps_instance);
    for n in 1..=3 {
        assert_eq!(count(&keeping, &of_tenant(41)).await, n);
        assert_eq!(count(&fresh, &of_tenant(41)).await, 1);
    }
    // Other interfaces have fresh instances all the same.
    keeping.assert_well().await;
}

#[tokio::test]
async fn none_goes_from_one_tenant_name_configuration_or_plan_to_another() {
    let stage = stage(settings(1)).await;
    assert_eq!(count(&stage, &of_tenant(41)).await, 1);
    let figures = Arc::new(PluginFigures { host_calls: Some(5), ..PluginFigures::default() });
    let others = [
        of_tenant(42),
        CallContext { plugin: Arc::from("operator/other"), ..of_tenant(41) },
        CallContext { config: Arc::from("\"bad\""), ..of_tenant(41) },
        CallContext { figures, ..of_tenant(41) },
        CallContext { grants: Arc::new(serde_json::from_str(r#"{"kv_bytes":1}"#).unwrap()), ..of_tenant(41) },
    ];
    for other in &others {
        assert_eq!(count(&stage, other).await, 1);
        assert_eq!(count(&stage, other).await, 2);
    }
    assert_eq!(count(&stage, &of_tenant(41)).await, 2);
}

#[tokio::test]
async fn one_goes_from_one_key_of_a_tenant_to_another_and_knows_who_calls() {
    let stage = stage(settings(1)).await;
    let other_key = CallContext { principal: None, ..of_tenant(41) };
    assert_eq!(count(&stage, &of_tenant(41)).await, 1);
    let Outcome::Reply(answer) = stage.ask_in(&other_key, "GET", "/connect", b"").await.outcome else { panic!() };
    assert_eq!(answer.status, 403, "nobody is calling");
    assert_eq!(count(&stage, &other_key).await, 2);
}

#[tokio::test]
async fn every_request_has_its_own_limits_and_clock() {
    let stage = stage(settings(1)).await;
    // 1,024 host calls may be made by one request.
    for _ in 0..60 {
        let called = stage.ask("GET", "/chatty", Some(principal(41)), b"").await;
        assert_eq!((called.report.host_calls, called.outcome.name()), (20, "reply"));
    }
    for later in [0, 5_000, 60_000] {
        let now_ms = NOW_MS + later;
        assert_eq!(remembers(&stage, &CallContext { now_ms, ..of_tenant(41) }, "").await.1, now_ms);
    }
}

#[tokio::test]
async fn a_secret_that_was_read_before_stays_masked() {
    let (stage, secret) = (stage(settings(1)).await, "sk_live_0123456789");
    let now = Timestamp(NOW_MS);
    install(&stage.verbs.storage, &stage.plugin.sha256).await;
    stage.verbs.storage.keep_plugin_secret(TenantId::OPERATOR, "guest", "API_KEY", secret, now).await.unwrap();
    let granted = Arc::new(serde_json::from_str(r#"{"secrets":["API_KEY"]}"#).unwrap());
    let context = CallContext { grants: granted, ..of_tenant(41) };
    for (n, body) in [(1, "secret"), (2, ""), (3, "")] {
        let report = stage.ask_in(&context, "POST", "/remember", body.as_bytes()).await.report;
        let said: Vec<&str> = report.log.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(said, [format!("asked {n} times, ***")]);
    }
}

#[tokio::test]
async fn what_fails_or_is_cut_off_is_not_kept() {
    let stage = stage(settings(1)).await;
    for path in ["/trap", "/spin"] {
        assert_eq!(count(&stage, &of_tenant(41)).await, 1);
        stage.ask("GET", path, Some(principal(41)), b"").await.outcome.into_result().unwrap_err();
    }
    assert_eq!(count(&stage, &of_tenant(41)).await, 1);
    for polls in 1..20 {
        let mut call = Box::pin(unconstrained(stage.ask("GET", "/chatty", Some(principal(41)), b"")));
        for _ in 0..polls {
            assert!(!ends_when_polled(&mut call).await);
        }
        drop(call);
        assert_eq!(count(&stage, &of_tenant(41)).await, 1);
    }
}

#[tokio::test]
async fn one_that_holds_much_or_served_long_is_given_up() {
    let stage = stage(settings(1)).await;
    // A call may have 32 MiB, and what is kept a quarter of that.
    assert_eq!(remembers(&stage, &of_tenant(41), "9").await.0, 1);
    assert_eq!(remembers(&stage, &of_tenant(41), "2").await.0, 1);
    for n in 2..=1000 {
        assert_eq!(count(&stage, &of_tenant(41)).await, n);
    }
    assert_eq!(count(&stage, &of_tenant(41)).await, 1);
}

#[tokio::test]
async fn requests_at_once_have_an_instance_each() {
    let stage = stage(settings(4)).await;
    let both = tokio::join!(
        stage.ask("GET", "/chatty", Some(principal(41)), b""),
        async { count(&stage, &of_tenant(41)).await },
        async { count(&stage, &of_tenant(41)).await },
    );
    assert_eq!((both.0.outcome.name(), both.1), ("reply", 1));
}

#[tokio::test]
async fn those_that_were_used_longest_ago_give_way_and_one_tenant_has_a_quarter() {
    let mut settings = settings(2);
    settings.small.kept_max = 4;
    let stage = stage(settings).await;
    for tenant in 1..=5 {
        assert_eq!(count(&stage, &of_tenant(tenant)).await, 1);
    }
    assert_eq!(count(&stage, &of_tenant(5)).await, 2);
    assert_eq!(count(&stage, &of_tenant(1)).await, 1, "four others came after it");
    // Under another name it is another instance: of one tenant's, one is left.
    let other = CallContext { plugin: Arc::from("operator/other"), ..of_tenant(1) };
    assert_eq!(count(&stage, &other).await, 1);
    assert_eq!((count(&stage, &of_tenant(1)).await, count(&stage, &of_tenant(5)).await), (1, 3));
}

#[tokio::test]
async fn a_version_takes_its_instances_along_and_none_are_kept_where_none_may_be() {
    let mut small = settings(1);
    small.small.kept_max = 1;
    let mut stage = stage(small).await;
    for _ in 0..3 {
        assert_eq!((count(&stage, &of_tenant(41)).await, count(&stage, &of_tenant(41)).await), (1, 2));
        // With room for one kept instance, one that stayed behind would leave none for the next.
        let bytes = keeping(env!("GUEST_HOSTILE"));
        let owner = switchboard_runtime::Owner::Tenant;
        stage.plugin = stage.runtime.load(&bytes, owner, &context(None, "{}")).await.unwrap();
    }
    let mut none = settings(1);
    none.small.kept_max = 0;
    let stage = self::stage(none).await;
    assert_eq!((count(&stage, &of_tenant(41)).await, count(&stage, &of_tenant(41)).await), (1, 1));
}
