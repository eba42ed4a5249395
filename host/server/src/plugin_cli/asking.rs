//! How a host is asked, and what a refusal of its is called on the command line.

use http::Method;
use serde_json::{Value, json};

use super::show::member;
use super::{EXIT_DENIED, EXIT_REFUSED, EXIT_USAGE, Failed, HostArguments};
use crate::egress::{ApiAnswer, ApiClient, ApiError, ApiRequest};

impl HostArguments {
    pub(super) fn client(&self) -> Result<ApiClient, Failed> {
        let key = self.key.as_ref().ok_or_else(|| {
            let words =
                "there is no key: set SWITCHBOARD_KEY to a tenant's key, or to the operator's, or give it with --key";
            Failed { exit: EXIT_USAGE, json: json!({ "code": "no_key", "detail": words }), words: words.to_owned() }
        })?;
        ApiClient::new(&self.url, key).map_err(no_answer)
    }

    /// Whether no tenant is named, where the operator's key alone does not do.
    pub(super) fn as_its_owner(&self, done: &str) -> Result<(), Failed> {
        let why = || format!("a plugin of a tenant is {done} with a key of that tenant, without --tenant");
        if self.tenant.is_some() { Err(Failed::refused("tenant", why())) } else { Ok(()) }
    }

    /// `query`, with the tenant that is meant.
    pub(super) fn of_tenant(&self, mut query: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        query.extend(self.tenant.map(|tenant| ("tenant", tenant.to_string())));
        query
    }

    pub(super) async fn get(&self, path: &[&str], query: Vec<(&'static str, String)>) -> Result<Value, Failed> {
        let query = self.of_tenant(query);
        let asked = self.client()?.ask(ApiRequest { method: Method::GET, path, query: &query, body: None }).await;
        let told = answer(asked.map_err(no_answer)?).await;
        told.map_err(|failed| self.hinted(failed))
    }

    /// Asks for a change. A body is JSON or a component.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Value, Failed> {
        let body = body.map(|(content_type, body)| (content_type, body.into()));
        let asked = self.client()?.ask(ApiRequest { method, path, query, body }).await;
        let told = answer(asked.map_err(no_answer)?).await;
        told.map_err(|failed| self.hinted(failed))
    }

    /// What was not found may be a tenant's, which the operator has to name.
    fn hinted(&self, mut failed: Failed) -> Failed {
        if failed.json.get("status") == Some(&json!(404)) && self.tenant.is_none() {
            failed.words.push_str("\nwith the operator's key, --tenant ID names the tenant whose plugin is meant");
        }
        failed
    }
}

pub(super) fn no_answer(error: ApiError) -> Failed {
    match error {
        ApiError::Address(_) => Failed { exit: EXIT_USAGE, ..Failed::refused("address", error.to_string()) },
        other => Failed::unreachable(other.to_string()),
    }
}

/// What a host answered, if it did what it was asked.
pub(super) async fn answer(answered: ApiAnswer) -> Result<Value, Failed> {
    let status = answered.status;
    let body = answered.body().await.map_err(no_answer)?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({ "status": status }));
    if (200..300).contains(&status) {
        return Ok(told);
    }
    let text = |member: &str| told.get(member).and_then(Value::as_str);
    // A limit is nothing that another key would get by.
    let denied = matches!(status, 401 | 403) && text("code") != Some("limit_reached");
    let exit = if denied { EXIT_DENIED } else { EXIT_REFUSED };
    let words = match text("code") {
        Some("grants_needed") => grants_needed_words(&told),
        _ => refusal_words(&told),
    };
    Err(Failed { exit, json: told, words })
}

/// What a host says of a refusal.
pub(super) fn refusal_words(told: &Value) -> String {
    let text = |member: &str| told.get(member).and_then(Value::as_str);
    let mut words = text("detail")
        .or_else(|| text("title"))
        .map_or_else(|| format!("the host answers {}", member(told, "status")), str::to_owned);
    if let Some(code) = text("code") {
        words = format!("{code}: {words}");
    }
    for fault in told.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let of = |member: &str| fault.get(member).and_then(Value::as_str).unwrap_or_default();
        words.push_str(&format!("\n  {} {}", of("pointer"), of("detail")));
    }
    words
}

/// A version that asks for more, in the words of this command line.
fn grants_needed_words(told: &Value) -> String {
    let version = told.get("version").unwrap_or(&Value::Null);
    let mut words =
        format!("grants_needed: version {version} is kept and not active: it asks for what the plugin was not given");
    for missing in told.get("missing").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        words.push_str(&format!("\n  {missing}"));
    }
    words.push_str(&format!(
        "\nsay yes to all of it with: switchboard plugin grants NAME --asked --version {version} (or deploy --grant)"
    ));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_its_code_its_faults_and_what_is_missing_once() {
        let told = json!({ "code": "invalid", "detail": "no", "errors": [{ "pointer": "#/a", "detail": "is 5" }] });
        assert_eq!(refusal_words(&told), "invalid: no\n  #/a is 5");
        assert_eq!(refusal_words(&json!({ "status": 502 })), "the host answers 502");
        let told = json!({ "code": "grants_needed", "version": 2, "missing": ["send"], "detail": "asks for: send" });
        assert_eq!(grants_needed_words(&told).matches("send").count(), 1, "in the list alone");
    }
}
