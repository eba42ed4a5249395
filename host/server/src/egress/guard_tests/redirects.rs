//! Redirects: each hop is judged like the first, and what the caller sent stays with the origin it named.

use super::*;

/// A receiver that sends everybody to the location in the query, percent-decoded.
async fn redirector(status: u16) -> Server {
    Server::answering(move |seen| {
        let encoded = seen.target.split_once('?').unwrap().1;
        let location: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
        let mut reply = Reply::head(status, &[("content-length", "0")]);
        reply.bytes.truncate(reply.bytes.len() - 2);
        reply.bytes.extend_from_slice(&[&b"location: "[..], &location, b"\r\n\r\n"].concat());
        reply
    })
    .await
}

fn via(server: &Server, location: &str) -> String {
    let encoded = percent_encoding::utf8_percent_encode(location, percent_encoding::NON_ALPHANUMERIC);
    format!("http://{RECEIVER}:{}/?{encoded}", server.port())
}

#[tokio::test]
async fn a_redirect_to_every_forbidden_place_is_refused() {
    let server = redirector(302).await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let addresses = listed("address").into_iter().map(|text| format!("http://{}/", SocketAddr::new(address(text), 8080)));
    let hosts = listed("host").into_iter().chain(listed("name"));
    let hosts = hosts.flat_map(|host| [format!("http://{host}/"), format!("//{host}/")]);
    // Only what names a scheme: the rest of the list is a path below the receiver.
    let urls = listed("url").into_iter().filter(|url| url.contains("://") && !url.contains("/@")).map(str::to_owned);
    for location in addresses.chain(hosts).chain(urls.filter(|url| url != "http://@example.com/")) {
        for refused in
            [ask(&guard, via(&server, &location)).await.err(), fetch(&guard, &via(&server, &location)).await.err()]
        {
            let refused = refused.unwrap();
            // A location that is not ASCII is not read at all.
            let not_read = !location.is_ascii() && matches!(refused, GuardError::Location);
            assert!(not_read || matches!(refused, GuardError::RedirectTarget(_)), "{location}: {refused:?}");
            assert!(refused.to_string().starts_with("unreachable: "));
        }
    }
}

#[tokio::test]
async fn every_kind_of_redirect_is_judged() {
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    for status in [301, 302, 303, 307, 308] {
        let server = redirector(status).await;
        let refused = ask(&guard, via(&server, "http://169.254.169.254/latest")).await.unwrap_err();
        assert!(matches!(refused, GuardError::RedirectTarget(_)), "{status}: {refused:?}");
        assert_eq!(
            refused.to_string(),
            "unreachable: redirected to a URL that is refused: 169.254.169.254 is a link-local address, which the operator has \
             not allowed ([egress] allow)"
        );
    }
    for status in [300, 304, 305, 306] {
        let server = redirector(status).await;
        assert_eq!(ask(&guard, via(&server, "http://169.254.169.254/")).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_redirect_to_a_name_that_leads_inwards_is_refused() {
    let server = redirector(301).await;
    let mut answers = Answers::default();
    for (n, text) in listed("address").into_iter().enumerate() {
        answers = answers.then(&format!("n{n}.example.org"), &["8.8.8.8", text]);
    }
    let (guard, _) = guard(&[RECEIVER], answers);
    for (n, text) in listed("address").into_iter().enumerate() {
        let refused = ask(&guard, via(&server, &format!("http://n{n}.example.org:8080/"))).await.unwrap_err();
        assert!(matches!(refused, GuardError::Inward { .. }), "{text}: {refused:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_between_two_hops_is_judged_again() {
    let server = redirector(302).await;
    let answers = Answers::default().then("example.com", &["127.0.0.1"]).then("example.com", &["10.0.0.1"]);
    let (guard, answers) = guard(&["127.0.0.1"], answers);
    let home = format!("http://example.com:{}/?/again", server.port());
    assert!(matches!(ask(&guard, home).await, Err(GuardError::Inward { .. })));
    assert_eq!(*answers.asked.lock().unwrap(), ["example.com", "example.com"]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn five_redirects_are_followed_and_the_sixth_is_not() {
    let server = Server::answering(|seen| match seen.target.trim_start_matches('/').parse::<u32>().unwrap() {
        0 => Reply::ok("arrived"),
        left => Reply::moved(302, &format!("/{}", left - 1)),
    })
    .await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let url = |hops: u32| format!("http://{RECEIVER}:{}/{hops}", server.port());
    let arrived = ask(&guard, url(5)).await.unwrap();
    assert_eq!((&arrived.body_start[..], arrived.url), (&b"arrived"[..], url(0)));
    assert_eq!(fetch(&guard, &url(5)).await.unwrap().1, b"arrived");
    let refused = ask(&guard, url(6)).await.unwrap_err();
    assert_eq!(refused.to_string(), "unreachable: more than 5 redirects");
    let unfollowed = ExchangeLimits { redirects_max: 0, ..ExchangeLimits::default() };
    let answer = guard.exchange(&get(url(1)), &unfollowed).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (302, Some("/0")));
}

#[tokio::test]
async fn a_redirect_without_a_location_is_the_answer() {
    let server = Server::answering(|_| Reply::status(302, &[], "lost")).await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let url = format!("http://{RECEIVER}:{}/", server.port());
    assert_eq!(ask(&guard, &*url).await.unwrap().status, 302);
    assert!(matches!(fetch(&guard, &url).await, Err(GuardError::Status { status: 302 })));
}

fn with_credentials(url: String) -> GuardedRequest {
    let headers = ["authorization", "cookie", "x-api-key", "webhook-signature"];
    GuardedRequest { headers: headers.map(|name| (name.to_owned(), "secret".to_owned())).into(), ..get(url) }
}

#[tokio::test]
async fn credentials_stay_with_the_origin_they_were_meant_for() {
    let other = redirector(302).await;
    let first = redirector(302).await;
    let (guard, _) = guard(&[RECEIVER, "127.0.0.1"], Answers::default());
    // To the other origin, and from there back to the first.
    let back = format!("http://{RECEIVER}:{}/last?/end", first.port());
    let there = via(&other, &back).replace(RECEIVER, "127.0.0.1");
    let request = with_credentials(via(&first, &there));
    let limits = ExchangeLimits { redirects_max: 3, ..ExchangeLimits::default() };
    // The last hop ends in a loop: what counts is what was seen on the way.
    assert!(guard.exchange(&request, &limits).await.is_err());
    let at_first = first.seen();
    assert_eq!(at_first[0].header("authorization"), Some("secret"));
    for seen in other.seen().iter().chain(&at_first[1..]) {
        assert!(!seen.headers.iter().any(|(_, value)| value == "secret"), "{seen:?}");
        assert_eq!(seen.header("referer"), None);
    }
    assert!(at_first.len() > 1 && other.seen().len() == 1);
}

#[tokio::test]
async fn another_port_or_name_of_the_same_machine_is_another_origin() {
    let target = Server::answering(|_| Reply::ok("")).await;
    let port = target.port();
    let answers = Answers::default().then("www.example.com", &["127.0.0.1"]);
    let (guard, _) = guard(&["*.example.com"], answers);
    let first = redirector(307).await;
    for url in [format!("http://{RECEIVER}:{port}/"), format!("http://www.example.com:{port}/")] {
        guard.exchange(&with_credentials(via(&first, &url)), &ExchangeLimits::default()).await.unwrap();
        assert_eq!(target.seen().pop().unwrap().header("authorization"), None);
    }
    let within = Server::answering(|seen| match seen.target.as_str() {
        "/end" => Reply::ok(""),
        _ => Reply::moved(302, "/end"),
    })
    .await;
    let url = format!("http://{RECEIVER}:{}/", within.port());
    guard.exchange(&with_credentials(url), &ExchangeLimits::default()).await.unwrap();
    assert_eq!(within.seen()[1].header("authorization"), Some("secret"));
}

#[tokio::test]
async fn a_body_is_repeated_only_within_its_origin_and_never_lost_on_the_way() {
    let elsewhere = Server::answering(|_| Reply::ok("")).await;
    let (guard, _) = guard(&[RECEIVER], Answers::default());
    let away = format!("http://{RECEIVER}:{}/", elsewhere.port());
    for (status, location, ends_with, arrives_at) in [
        (307, "/end", 200, Some("/end")),
        (308, "/end", 200, Some("/end")),
        (301, "/end", 301, None),
        (302, "/end", 302, None),
        (303, "/end", 303, None),
        (307, away.as_str(), 307, None),
    ] {
        let location = location.to_owned();
        let server = Server::answering(move |seen| match seen.target.as_str() {
            "/end" => Reply::ok(""),
            _ => Reply::moved(status, &location),
        })
        .await;
        let request = GuardedRequest {
            method: "POST".to_owned(),
            body: Some("event".into()),
            ..with_credentials(format!("http://{RECEIVER}:{}/", server.port()))
        };
        assert_eq!(guard.exchange(&request, &ExchangeLimits::default()).await.unwrap().status, ends_with);
        let seen = server.seen();
        assert_eq!(seen.get(1).map(|seen| seen.target.as_str()), arrives_at, "{status}");
        assert!(seen.iter().all(|seen| seen.method == "POST" && seen.body == "event" && seen.header("cookie").is_some()));
    }
    assert!(elsewhere.seen().is_empty());
    let server = redirector(307).await;
    let request = GuardedRequest { body: Some("event".into()), ..get(via(&server, "http://10.0.0.1/")) };
    let refused = guard.exchange(&request, &ExchangeLimits::default()).await;
    assert!(matches!(refused, Err(GuardError::RedirectTarget(_))), "{refused:?}");
}
