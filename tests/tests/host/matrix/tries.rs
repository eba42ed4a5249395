//! How one wish is tried through a surface, and what gives a secret away.

use std::process::Stdio;

use futures_util::FutureExt;
use serde_json::json;
use switchboard_tests::account::write;
use switchboard_tests::event_stream::EventStream;
use switchboard_tests::stage::ADMIN_KEY;
use tokio::process::Command;

use super::rows::Wish;
use super::town::{BASE, CUSTOMER, Ids, OWN_ROUTER, Town, filled};
use super::{Column, Surface};

const OURS: &str = "491510000001";

/// What came back: a status of HTTP, or an exit code; and the text.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: i32,
    text: String,
}

impl Town {
    /// Tries a wish; what is wrong with what came back, if anything.
    pub async fn try_one(&self, wish: &Wish, column: Column, surface: Surface) -> Option<String> {
        let said = self.said(wish, &self.ids, surface).await;
        if let Some(mark) = self.marks().into_iter().find(|mark| said.text.contains(mark.as_str())) {
            return Some(format!("{mark:?} is told: {said:?}"));
        }
        match column {
            Column::Infer => {
                let never = self.said(wish, &self.never, surface).await;
                (said != never)
                    .then(|| format!("what is another's is told apart: {said:?}, and of what never was {never:?}"))
            }
            Column::Read | Column::Write => (!refused(wish, surface, &said)).then(|| format!("it is not refused: {said:?}")),
            Column::List | Column::Exhaust => None,
        }
    }

    /// What the other tenant is told. What it named itself stands in braces again, and so does what changes with each answer.
    async fn said(&self, wish: &Wish, ids: &Ids, surface: Surface) -> Said {
        let (status, text) = match surface {
            Surface::Http => self.over_http(wish, ids).await,
            Surface::Plugin => self.by_plugin("/prober/try", wish, ids).await,
            Surface::OwnRouter => {
                let path = format!("/t/{}/{OWN_ROUTER}/try", self.theirs.tenant);
                self.by_plugin(&path, wish, ids).await
            }
            Surface::Cli => self.by_command(wish, ids).await,
            Surface::Tail => self.by_stream(wish, ids).await,
        };
        let text = ids.iter().filter(|(name, _)| !name.starts_with("own")).fold(text, |text, (name, id)| {
            let braces = format!("{{{name}}}");
            let named = wish.0.contains(&braces) || wish.1.contains(&braces);
            if named { text.replace(id.as_str(), &braces) } else { text }
        });
        Said { status, text }
    }

    async fn over_http(&self, (request, body): &Wish, ids: &Ids) -> (i32, String) {
        let request = filled(request, ids);
        let (method, path) = request.split_once(' ').unwrap();
        let path =
            path.strip_prefix('/').filter(|path| path.starts_with('/')).map_or(format!("{BASE}{path}"), str::to_owned);
        let headers = [
            ("authorization", format!("Bearer {}", self.theirs.tenant_key)),
            ("content-type", "application/json".to_owned()),
        ];
        let answer = self.theirs.http.exchange(method, &path, &headers, filled(body, ids).into_bytes()).await.unwrap();
        (i32::from(answer.status), String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn by_plugin(&self, path: &str, (verb, argument): &Wish, ids: &Ids) -> (i32, String) {
        let argument = filled(argument, ids);
        let (id, name) = argument.split_once(' ').unwrap_or((&argument, &argument));
        let wish = json!({ "verb": verb, "id": id.parse::<u64>().unwrap_or(0), "name": name });
        let answer = self.theirs.post(path, &self.theirs.tenant_key, wish).await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        assert_ne!(text, "no such verb", "{verb}");
        (200, text)
    }

    async fn by_command(&self, (words, _): &Wish, ids: &Ids) -> (i32, String) {
        let words = filled(words, ids);
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
        command.arg("plugin").args(words.split(' ')).arg("--json").stdin(Stdio::null());
        command.env("SWITCHBOARD_URL", format!("http://{}", self.stage.host.address()));
        let output = command.env("SWITCHBOARD_KEY", &self.theirs.tenant_key).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Opens a stream and lets something happen to whom it names: whatever comes is told.
    async fn by_stream(&self, (path, _): &Wish, ids: &Ids) -> (i32, String) {
        let mut stream =
            EventStream::open(self.stage.host.address(), &filled(path, ids), &self.theirs.tenant_key, None).await;
        let status = i32::from(stream.status);
        if status != 200 {
            let differs = |line: &&String| line.starts_with("date:") || line.starts_with("x-request-id:");
            return (status, stream.head.iter().filter(|line| !differs(line)).cloned().collect());
        }
        let before = self.ours.events().await.len();
        write(self.stage.control(), ADMIN_KEY, CUSTOMER, OURS, "canary-live").await;
        let happened = async || self.ours.events().await.len() > before;
        assert!(switchboard_tests::patience::until(switchboard_tests::patience::PATIENCE, happened).await);
        let came = stream.next().now_or_never().flatten();
        (status, came.map(|event| event.data.to_string()).unwrap_or_default())
    }
}

/// Whether nothing was given and nothing done.
fn refused((wish, _): &Wish, surface: Surface, said: &Said) -> bool {
    match surface {
        // A router words its refusals itself.
        Surface::Http => matches!(said.status, 401 | 403 | 404 | 405 | 422) || said.text.starts_with("Refusal::"),
        // What a plugin keeps is the tenant's whose request it is: it finds its own.
        Surface::Plugin | Surface::OwnRouter if wish.starts_with("kv.") => said.text.starts_with("Ok("),
        Surface::Plugin | Surface::OwnRouter => said.text.starts_with("Err("),
        Surface::Cli => said.status == 1,
        // A stream of one's own events, of a session that one has not, is empty.
        Surface::Tail => said.status == 404 || said.text.is_empty(),
    }
}
