//! Reaches for what no plugin is given, and tells how that went.

use std::fs::File;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

/// The host's environment.
pub fn environment() -> String {
    format!("{} variables", std::env::vars_os().count())
}

/// The host's files.
pub fn files() -> String {
    told(&[
        ("read", File::open("/etc/passwd").is_ok()),
        ("write", File::create("/tmp/hostile").is_ok()),
        ("list", std::fs::read_dir("/").is_ok()),
    ])
}

/// The host's network.
pub fn sockets() -> String {
    told(&[
        ("connect", TcpStream::connect("127.0.0.1:80").is_ok()),
        ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("datagram", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("resolve", "localhost:80".to_socket_addrs().is_ok()),
    ])
}

/// Other threads and programs of the host.
pub fn helpers() -> String {
    told(&[
        ("thread", std::thread::Builder::new().spawn(|| {}).is_ok()),
        ("program", std::process::Command::new("/bin/sh").spawn().is_ok()),
    ])
}

fn told(attempts: &[(&str, bool)]) -> String {
    let told = |(what, done): &(&str, bool)| format!("{what} {}", if *done { "done" } else { "refused" });
    attempts.iter().map(told).collect::<Vec<_>>().join(", ")
}
