//! A reader of server-sent events.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::patience::PATIENCE;

/// A stream that is open.
pub struct EventStream {
    lines: Lines<BufReader<TcpStream>>,
    /// The HTTP status.
    pub status: u16,
    /// The lines of the head, in lower case.
    pub head: Vec<String>,
}

/// One event.
#[derive(Debug)]
pub struct StreamedEvent {
    /// Its id.
    pub id: u64,
    /// Its type.
    pub name: String,
    /// What it says.
    pub data: Value,
}

impl EventStream {
    /// Opens the stream at `path`, behind the event `last` if that is given.
    pub async fn open(address: SocketAddr, path: &str, key: &str, last: Option<u64>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        // Of HTTP/1.0, so that the body comes without chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\nAuthorization: Bearer {key}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { lines: BufReader::new(stream).lines(), status: 0, head: Vec::new() };
        while let Some(line) = stream.line().await.filter(|line| !line.is_empty()) {
            stream.head.push(line.to_lowercase());
        }
        stream.status = stream.head[0].split(' ').nth(1).unwrap().parse().unwrap();
        stream
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("nothing came");
        line.ok().flatten()
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<StreamedEvent> {
        let (mut id, mut name) = (0, String::new());
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", text)) => id = text.parse().unwrap(),
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => {
                    return Some(StreamedEvent { id, name, data: serde_json::from_str(text).unwrap() });
                }
                _ => {}
            }
        }
    }

    /// The next event of this type.
    pub async fn next_of(&mut self, name: &str) -> StreamedEvent {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended without {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}
