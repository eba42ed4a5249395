//! `switchboard demo`: the whole path of a message, shown step by step on a simulated network.

mod steps;

use async_trait::async_trait;

use crate::cli::{CommandError, DemoArguments, Signals, close_unless_hurried, open, say};
use crate::config::Config;
use crate::http::{SimControl, SimControlAnswer};

use steps::Demo;

/// The simulated network of this process, reached through the host's own API.
pub(crate) struct EmbeddedSim(pub(crate) switchboard_simnet::SimNet);

#[async_trait]
impl SimControl for EmbeddedSim {
    fn body_bytes_max(&self) -> usize {
        switchboard_simnet::CONTROL_BODY_BYTES_MAX
    }

    async fn control(&self, method: &str, path_and_query: &str, body: &[u8]) -> SimControlAnswer {
        let answer = self.0.control(method, path_and_query, body).await;
        SimControlAnswer { status: answer.status, content_type: answer.content_type.to_owned(), body: answer.body }
    }
}

/// A folder that goes away with the demonstration, unless the caller named one.
struct Folder {
    path: std::path::PathBuf,
    temporary: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What is left behind is a folder in the system's place for such folders.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn folder(named: Option<std::path::PathBuf>) -> Folder {
    match named {
        Some(path) => Folder { path, temporary: false },
        None => {
            let path = std::env::temp_dir().join(format!("switchboard-demo-{}", std::process::id()));
            Folder { path, temporary: true }
        }
    }
}

/// Runs the demonstration.
///
/// # Errors
/// Names the step that did not hold.
pub(crate) async fn run(arguments: DemoArguments) -> Result<(), CommandError> {
    let folder = folder(arguments.data_dir);
    // The data lies one level down: its master key lies beside it, not in it.
    let config = Config { listen: arguments.listen, data_dir: folder.path.join("data"), ..Config::default() };
    std::fs::create_dir_all(&folder.path)?;
    say(&format!("Switchboard demo in {}", folder.path.display()));
    let opened = open(&config, None).await?;
    let shown = Demo::new(&opened).show(arguments.once).await;
    if shown.is_err() || arguments.once {
        opened.close().await;
        return shown;
    }
    let mut signals = Signals::new()?;
    signals.next().await;
    close_unless_hurried(opened, &mut signals).await
}
