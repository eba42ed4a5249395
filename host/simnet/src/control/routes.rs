//! Every method and path of the control API, for documents that name them all. What answers is in the rooms beside this one; a
//! test holds the two against each other.

/// Methods and paths below `/switchboard/v1/sim/`; a name in braces stands for one segment.
pub const CONTROL_ROUTES: [(&str, &str); 47] = [
    ("GET", "phones"),
    ("POST", "phones"),
    ("PATCH", "phones/{number}"),
    ("POST", "phones/{number}/scan"),
    ("GET", "phones/{number}/link"),
    ("POST", "phones/{number}/link"),
    ("POST", "phones/{number}/reinstall"),
    ("POST", "phones/{number}/dirty"),
    ("DELETE", "phones/{number}/devices/{device}"),
    ("GET", "phones/{number}/messages"),
    ("POST", "phones/{number}/messages"),
    ("GET", "phones/{number}/messages/{n}/media"),
    ("GET", "phones/{number}/receipts"),
    ("POST", "phones/{number}/receipts"),
    ("POST", "phones/{number}/chatstate"),
    ("GET", "phones/{number}/chatstates"),
    ("GET", "phones/{number}/presence"),
    ("POST", "phones/{number}/presence"),
    ("GET", "phones/{number}/app-state"),
    ("POST", "phones/{number}/app-state"),
    ("GET", "phones/{number}/calls"),
    ("POST", "phones/{number}/calls"),
    ("POST", "phones/{number}/calls/{call}"),
    ("POST", "phones/{number}/status"),
    ("DELETE", "phones/{number}/status/{id}"),
    ("PUT", "phones/{number}/business"),
    ("POST", "phones/{number}/group_privacy"),
    ("GET", "groups"),
    ("POST", "groups"),
    ("GET", "groups/{jid}"),
    ("PATCH", "groups/{jid}"),
    ("POST", "groups/{jid}/participants"),
    ("POST", "newsletters"),
    ("GET", "newsletters/{jid}"),
    ("POST", "newsletters/{jid}/followers"),
    ("DELETE", "newsletters/{jid}/followers/{number}"),
    ("POST", "newsletters/{jid}/messages"),
    ("PATCH", "newsletters/{jid}/messages/{post}"),
    ("DELETE", "newsletters/{jid}/messages/{post}"),
    ("POST", "newsletters/{jid}/messages/{post}/reactions"),
    ("POST", "sticker-packs"),
    ("GET", "faults"),
    ("POST", "faults"),
    ("GET", "journal"),
    ("GET", "stats"),
    ("GET", "reports"),
    ("GET", "certificate"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CONTROL_ROUTES;
    use crate::{SimConfig, SimNet};

    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    #[tokio::test]
    async fn every_line_is_served_and_no_path_answers_another_method() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = SimConfig { data_dir: None, listen, tls_listen: None, admin_key: String::new() };
        let net = SimNet::start(config).await.unwrap();
        let lines: BTreeSet<(&str, &str)> = CONTROL_ROUTES.into_iter().collect();
        assert_eq!(lines.len(), CONTROL_ROUTES.len(), "each line once");
        for path in lines.iter().map(|(_, path)| *path).collect::<BTreeSet<_>>() {
            // A number that could be anything: of a phone, a device, a post. There is none of it.
            let given: Vec<&str> = path.split('/').map(|step| if step.starts_with('{') { "7" } else { step }).collect();
            let given = format!("/switchboard/v1/sim/{}", given.join("/"));
            for method in METHODS {
                let answer = net.control(method, &given, b"{}").await;
                let words = String::from_utf8_lossy(&answer.body);
                let served = answer.status != 405 && !words.contains("nothing is served at");
                assert_eq!(served, lines.contains(&(method, path)), "{method} {path}: {} {words}", answer.status);
            }
        }
        net.shutdown().await;
    }
}
