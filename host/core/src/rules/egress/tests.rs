//! The whole list of what the guard refuses, and what lies just beside it.

use std::net::{IpAddr, SocketAddr};

use super::{AllowError, AllowList, CheckedUrl, NotPublic, TargetError, TargetHost, URL_BYTES_MAX, is_own};

const LIST: &str = include_str!("forbidden.txt");

/// The values of one kind, with `\u{…}` read as the character.
fn listed(kind: &str) -> Vec<String> {
    let values: Vec<_> = LIST
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix(kind))
        .map(|value| unescape(value.strip_prefix(' ').unwrap_or(value)))
        .collect();
    assert!(values.len() > 10, "{kind}");
    values
}

fn unescape(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        plain.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        plain.push_str(rest);
    }
    plain
}

fn allow(entries: &[&str]) -> AllowList {
    AllowList::parse(entries).unwrap()
}

fn read(url: &str) -> Result<CheckedUrl, TargetError> {
    CheckedUrl::read(url, &AllowList::default())
}

fn in_url(address: IpAddr) -> String {
    format!("http://{}/", SocketAddr::new(address, 8080))
}

#[test]
fn every_forbidden_address_is_refused_as_a_literal_and_as_an_answer() {
    for text in listed("address") {
        let address: IpAddr = text.parse().unwrap();
        let refused = read(&in_url(address));
        assert!(
            matches!(&refused, Err(TargetError::Address { address: named, .. }) if *named == address),
            "{text}: {refused:?}"
        );
        assert!(AllowList::default().judge(None, address).is_err(), "{text}");
        assert!(AllowList::default().judge(Some("example.com"), address).is_err(), "{text}");
    }
}

#[test]
fn the_neighbours_of_forbidden_addresses_are_let_through() {
    for text in listed("public") {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(read(&in_url(address)).unwrap().host(), &TargetHost::Address(address), "{text}");
    }
}

#[test]
fn every_disguise_of_a_forbidden_host_is_refused() {
    for kind in ["host", "name"] {
        for host in listed(kind) {
            for url in [format!("http://{host}/"), format!("https://{host}:8443/a?b"), format!("HTTP://{host}")] {
                assert!(read(&url).is_err(), "{url:?}");
            }
        }
    }
}

#[test]
fn every_url_that_readers_disagree_about_is_refused() {
    for url in listed("url") {
        assert!(read(&url).is_err(), "{url:?}");
    }
}

#[test]
fn a_redirect_is_judged_like_the_url_it_came_from() {
    let from = read("https://example.com/a/b?c").unwrap();
    let none = AllowList::default();
    assert_eq!(from.follow("../d", &none).unwrap().url().as_str(), "https://example.com/d");
    assert_eq!(from.follow("//example.org/e#f", &none).unwrap().url().as_str(), "https://example.org/e");
    for host in listed("host").into_iter().chain(listed("name")) {
        for location in [format!("http://{host}/"), format!("//{host}/")] {
            assert!(from.follow(&location, &none).is_err(), "{location:?}");
        }
    }
    for address in listed("address") {
        assert!(from.follow(&in_url(address.parse().unwrap()), &none).is_err(), "{address}");
    }
    for location in
        ["ftp://example.com/", "javascript:a", "//a:b@example.com/", "\\\\example.org/", "/a\tb", "//example.com:22/"]
    {
        assert!(from.follow(location, &none).is_err(), "{location:?}");
    }
    let long = "a".repeat(URL_BYTES_MAX);
    assert!(matches!(from.follow(&long, &none), Err(TargetError::TooLong { .. })));
}

#[test]
fn what_customers_write_is_let_through() {
    for (url, host, port, asked) in [
        ("https://hooks.example.com/a?b=c#d", "hooks.example.com", 443, "https://hooks.example.com/a?b=c"),
        ("http://example.com:8080", "example.com", 8080, "http://example.com:8080/"),
        ("HTTPS://Example.COM./a b", "example.com", 443, "https://example.com/a%20b"),
        ("https://bücher.example/@a:b", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example/@a:b"),
        ("https://under_score.example.com/%5C%00", "under_score.example.com", 443, "https://under_score.example.com/%5C%00"),
        (
            "https://localhost.example.com/?u=http://a@b",
            "localhost.example.com",
            443,
            "https://localhost.example.com/?u=http://a@b",
        ),
        ("https://mylocal/..", "", 0, ""),
    ] {
        let read = read(url);
        if asked.is_empty() {
            assert!(read.is_err(), "{url}");
            continue;
        }
        let read = read.unwrap();
        assert_eq!((read.host(), read.port()), (&TargetHost::Name(host.to_owned()), port), "{url}");
        assert_eq!(read.url().as_str(), asked);
    }
}

#[test]
fn a_url_over_the_limit_is_refused_with_the_limit() {
    let url = |bytes: usize| format!("https://example.com/{}", "a".repeat(bytes - "https://example.com/".len()));
    assert!(read(&url(URL_BYTES_MAX)).is_ok());
    assert_eq!(read(&url(URL_BYTES_MAX + 1)), Err(TargetError::TooLong { bytes: URL_BYTES_MAX + 1 }));
}

#[test]
fn the_allow_list_lets_through_what_it_names_and_nothing_else() {
    let list = allow(&["127.0.0.0/8", "10.1.2.3", "fd12::/16", "Hooks.Internal.", "*.corp.example.com", "bücher.local"]);
    for url in
        ["http://127.0.0.1:9000/", "http://2130706433/", "http://10.1.2.3/", "http://[fd12::7]/", "http://hooks.internal/"]
    {
        assert!(CheckedUrl::read(url, &list).is_ok(), "{url}");
    }
    assert!(CheckedUrl::read("http://bücher.local/", &list).is_ok());
    for url in ["http://10.1.2.4/", "http://[::1]/", "http://[fd13::7]/", "http://[::ffff:127.0.0.1]/", "http://localhost/"]
    {
        assert!(CheckedUrl::read(url, &list).is_err(), "{url}");
    }
    for url in ["http://a.hooks.internal/", "http://xhooks.internal/", "http://127.0.0.1:22/", "http://a@127.0.0.1/"] {
        assert!(CheckedUrl::read(url, &list).is_err(), "{url}");
    }
    let private: IpAddr = "192.168.7.7".parse().unwrap();
    for (name, through) in [
        ("hooks.internal", true),
        ("a.corp.example.com", true),
        ("a.b.corp.example.com", true),
        ("corp.example.com", false),
        ("acorp.example.com", false),
        ("example.com", false),
    ] {
        assert_eq!(list.judge(Some(name), private).is_ok(), through, "{name}");
    }
}

#[test]
fn a_named_host_opens_no_link_local_or_metadata_address() {
    let list = allow(&["hooks.example.com"]);
    for (address, through) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("10.0.0.1", true),
        ("100.64.0.1", true),
        ("fd00::1", true),
        ("169.254.169.254", false),
        ("168.63.129.16", false),
        ("fd00:ec2::254", false),
        ("fe80::1", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("::ffff:10.0.0.1", false),
    ] {
        assert_eq!(list.judge(Some("hooks.example.com"), address.parse().unwrap()).is_ok(), through, "{address}");
    }
    assert!(allow(&["169.254.0.0/16"]).judge(None, "169.254.1.1".parse().unwrap()).is_ok());
}

#[test]
fn an_allowed_translator_opens_only_what_may_be_reached_directly() {
    let list = allow(&["64:ff9b::/96", "2002::/16", "2001::/32", "10.0.0.0/8"]);
    for (address, through) in [
        ("64:ff9b::8.8.8.8", Ok(())),
        ("64:ff9b::10.1.1.1", Ok(())),
        ("64:ff9b::169.254.169.254", Err(NotPublic::LinkLocal)),
        ("2002:808:808::1", Ok(())),
        ("2002:7f00:1::1", Err(NotPublic::Loopback)),
        // Teredo keeps the client's address inverted.
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", Ok(())),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", Err(NotPublic::Loopback)),
        ("64:ff9b:1::8.8.8.8", Err(NotPublic::CarriesIpv4)),
    ] {
        assert_eq!(list.judge(None, address.parse().unwrap()), through, "{address}");
    }
}

#[test]
fn an_entry_that_means_nothing_is_refused_by_name() {
    for entry in [
        "",
        " ",
        "*",
        "*.",
        "http://example.com",
        "example.com:80",
        "example.com/a",
        "a@b",
        "127.1",
        "2130706433",
        "0x7f.1",
        "10.0.0.0/33",
        "10.0.0/8",
        "[::1]",
        "a..b",
        "%6cocalhost",
        "a.*.example.com",
        "*.*.example.com",
        "fe80::1%eth0",
    ] {
        let error = AllowList::parse(&["127.0.0.1", entry]).unwrap_err();
        assert_eq!(error, AllowError::NotAnEntry { entry: entry.to_owned() });
        assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
    }
    let error = AllowList::parse(&["10.0.0.1/8"]).unwrap_err();
    assert_eq!(error.to_string(), "\"10.0.0.1/8\" is not the beginning of a network; 10.0.0.0/8 is");
    for entry in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"] {
        assert!(matches!(AllowList::parse(&[entry]), Err(AllowError::TooWide { .. })), "{entry}");
    }
    assert!(AllowList::parse(&vec!["10.0.0.1"; 1000]).is_ok());
    assert_eq!(AllowList::parse(&vec!["10.0.0.1"; 1001]), Err(AllowError::TooMany { entries: 1001 }));
}

#[test]
fn a_connection_back_to_the_host_is_recognised() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let local = |address: IpAddr| address.is_loopback() || address == IpAddr::from([203, 0, 112, 7]);
    for (listens, target, own) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true),
        ("127.0.0.1:8080", "0.0.0.0:8080", true),
        ("127.0.0.1:8080", "[::]:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:8081", false),
        ("127.0.0.1:8080", "127.0.0.2:8080", false),
        ("0.0.0.0:8080", "127.0.0.2:8080", true),
        ("[::]:8080", "203.0.112.7:8080", true),
        ("[::]:8080", "203.0.112.8:8080", false),
        ("[::]:8080", "203.0.112.7:8081", false),
    ] {
        assert_eq!(is_own(&[at("127.0.0.1:1"), at(listens)], at(target), local), own, "{listens} {target}");
    }
}

#[test]
fn origins_differ_by_scheme_host_and_port() {
    let url = read("https://example.com/a").unwrap();
    assert!(url.is_same_origin(&read("https://EXAMPLE.com.:443/b").unwrap()));
    for other in ["http://example.com/a", "https://example.com:8443/a", "https://www.example.com/a"] {
        assert!(!url.is_same_origin(&read(other).unwrap()), "{other}");
    }
}
