//! A host, or a simulated network, as a process of its own: to be killed without warning.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use switchboard::http::LocalClient;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::patience::{PATIENCE, until};

/// A process that serves HTTP.
pub struct Process {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Process {
    /// Starts `program` with `arguments`, and waits for the line that says where it serves.
    ///
    /// `Err` when it ended before.
    pub async fn start(program: &Path, arguments: &[&str], admin_key: &str, log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(program)
            .args(arguments)
            .env("SWITCHBOARD_ADMIN_KEY", admin_key)
            .env("SWITCHBOARD_LOG", "info,whatsapp_rust=warn,wacore=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = address_in(&line) {
                    return address;
                }
            }
            panic!("{} {arguments:?} ended before it served", program.display());
        };
        let address = tokio::time::timeout(PATIENCE, said).await.expect("it never said where it serves");
        // Somebody has to read on, or the process would stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    /// Speaks to it.
    pub fn http(&self) -> LocalClient {
        LocalClient::new(self.address)
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop, as SIGTERM does; its exit code.
    pub async fn terminate(self) -> Option<i32> {
        self.ask_to_stop().await;
        self.ended().await
    }

    /// Sends it SIGTERM.
    pub async fn ask_to_stop(&self) {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").arg(pid).status().await.unwrap();
    }

    /// Waits until it has ended; its exit code.
    pub async fn ended(mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it did not stop").unwrap().code()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Stops it in order and starts it anew with the same arguments.
    pub async fn terminate_and_restart(self, program: &Path, arguments: &[&str], admin_key: &str, log: &Path) -> Self {
        assert_eq!(self.terminate().await, Some(0));
        Self::start(program, arguments, admin_key, log).await
    }

    /// Returns once `/readyz` answers 200.
    pub async fn ready(&self) {
        let ready =
            async || matches!(self.http().json("GET", "/readyz", None, None).await, Ok(answer) if answer.status == 200);
        assert!(until(PATIENCE, ready).await, "it never was ready");
    }
}

/// The address in a line such as `… at http://127.0.0.1:1234` or `… at ws://127.0.0.1:1234/ws/chat`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("://")?;
    rest.split('/').next()?.trim().parse().ok()
}
