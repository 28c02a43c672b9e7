use crate::sandbox::Sandbox;

#[test]
fn the_31st_quick_request_is_refused_for_30_seconds() {
    let webapp = Sandbox::new().start();
    for n in 1..=30 {
        let answer = webapp.get("/");
        assert_eq!(answer.status, 200, "request {n}");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=30;w=60"));
        let remaining = format!("\"default\";r={};", 30 - n);
        assert!(answer.header("ratelimit").unwrap().starts_with(&remaining));
    }
    let refused = webapp.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=30"));
    let problem = refused.json();
    assert_eq!(problem["error"], "rate limit exceeded");
    assert_eq!(problem["code"], "rate_limited");
    assert_eq!(problem["retry_after"], 30);
    assert_eq!(problem["limit"]["requests"], 30);

    // The block holds for every path and method, but not for the exempt route.
    assert_eq!(webapp.get("/nothing").status, 429);
    assert_eq!(webapp.request("POST", "/", &[]).status, 429);
    let health = webapp.get("/health");
    assert_eq!((health.status, health.header("ratelimit")), (200, None));

    let blocked = |r: &shared::Record| r.action == "blocked";
    assert_eq!(webapp.record("requests", blocked).status_code, Some(429));
    webapp.record("suspicious", |r| r.action == "rate_limited");
    assert!(!webapp.records("suspicious").iter().any(blocked));
}

#[test]
fn garbage_is_charged_and_a_block_comes_before_its_answer() {
    let webapp = Sandbox::new().env("RATE_LIMIT_REQUESTS", "2").start();
    let statuses: Vec<_> = (0..4).map(|_| webapp.get("/a/../b").status).collect();
    assert_eq!(statuses, [400, 400, 429, 429]);
    assert_eq!(webapp.get("/").status, 429);
}

#[test]
fn an_allowed_origin_can_read_that_it_is_over_the_limit() {
    let webapp = Sandbox::new()
        .env("RATE_LIMIT_REQUESTS", "1")
        .env("ALLOWED_CORS_ORIGINS", "https://app.example")
        .start();
    let from = [("Origin", "https://app.example")];
    assert_eq!(webapp.request("GET", "/", &from).status, 200);
    let refused = webapp.request("GET", "/", &from);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(refused.header("cross-origin-resource-policy"), Some("cross-origin"));
}

#[test]
fn who_waits_is_served_and_the_end_of_the_block_is_told() {
    let webapp = Sandbox::new()
        .env("RATE_LIMIT_REQUESTS", "2")
        .env("RATE_LIMIT_BASE_BLOCK_SECONDS", "1")
        .start();
    let statuses: Vec<_> = (0..5).map(|_| webapp.get("/").status).collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429]);
    let ended = webapp.record("suspicious", |r| r.action == "block_ended");
    assert_eq!(ended.client_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(ended.other["blocked_hits"], shared::record::Value::Count(2));
    assert_eq!(webapp.get("/").status, 200);
}

#[test]
fn a_token_in_cookie_and_header_opens_unsafe_methods() {
    let webapp = Sandbox::new().unlimited().start();
    let token = webapp.token();
    let cookie = format!("csrf_token={token}");
    let good = [("Cookie", cookie.as_str()), ("X-CSRF-Token", token.as_str())];
    for (method, target, status) in
        [("POST", "/", 405), ("PUT", "/health", 405), ("POST", "/nothing", 404)]
    {
        let answer = webapp.request(method, target, &good);
        assert_eq!(answer.status, status, "{method} {target}");
        let without = webapp.request(method, target, &[]);
        assert_eq!(without.status, 403, "{method} {target}");
        assert_eq!(without.json()["error"], "CSRF token missing or invalid");
    }
    for headers in [
        vec![good[0]],
        vec![good[1]],
        vec![good[0], ("X-CSRF-Token", "x")],
        vec![good[0], good[1], ("Sec-Fetch-Site", "cross-site")],
        vec![good[0], good[1], ("Origin", "http://evil.example")],
        vec![good[0], good[1], ("Origin", "null")],
        vec![good[0], good[1], ("Origin", "https://test")],
        vec![good[0], good[1], ("Cookie", "csrf_token=other")],
        vec![good[0], good[1], ("Cookie", "session=1")],
    ] {
        assert_eq!(webapp.request("POST", "/", &headers).status, 403, "{headers:?}");
    }
    let same = [good[0], good[1], ("Origin", "http://test"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(webapp.request("POST", "/", &same).status, 405);

    let record =
        webapp.record("suspicious", |r| r.reason.as_deref() == Some("more than one token cookie"));
    assert_eq!(
        (record.action.as_str(), record.rule_name.as_deref()),
        ("csrf_rejected", Some("csrf"))
    );
}

#[test]
fn tokens_survive_a_restart_with_a_key_of_ours() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("keys"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let keys = sandbox.path("keys");
    let webapp = sandbox.env("CSRF_SECRET_FILE", &keys).start();
    let token = webapp.token();
    let other = Sandbox::new().env("CSRF_SECRET_FILE", &keys).start();
    let cookie = format!("csrf_token={token}");
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF-Token", token.as_str())];
    assert_eq!(other.request("POST", "/", &headers).status, 405);
    let again = other.request("GET", "/csrf-token", &headers[..1]);
    assert_eq!(again.json()["csrf_token"], token);
}

#[test]
fn only_allowed_origins_may_read() {
    let webapp = Sandbox::new()
        .unlimited()
        .env("ALLOWED_CORS_ORIGINS", "https://app.example, https://b.example")
        .env("CORS_ALLOW_CREDENTIALS", "1")
        .start();
    let ask = ("Access-Control-Request-Method", "POST");

    let preflight = webapp.request("OPTIONS", "/", &[("Origin", "https://app.example"), ask]);
    assert_eq!(preflight.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (
            "access-control-allow-headers",
            "authorization, content-type, last-event-id, x-csrf-token, x-request-id",
        ),
        ("access-control-max-age", "600"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }

    let foreign = webapp.request("OPTIONS", "/", &[("Origin", "https://evil.example"), ask]);
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    assert_eq!(foreign.json()["code"], "cors_rejected");

    // A refusal is readable too, or a page would never learn why.
    for (method, target, status) in
        [("GET", "/", 200), ("GET", "/nothing", 404), ("POST", "/", 403)]
    {
        let answer = webapp.request(method, target, &[("Origin", "https://b.example")]);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://b.example"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    }
    let read = webapp.request("GET", "/", &[("Origin", "https://evil.example")]);
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None));
    let write = webapp.request("POST", "/", &[("Origin", "https://evil.example")]);
    assert_eq!((write.status, write.json()["code"].as_str()), (403, Some("origin_rejected")));
    let own = webapp.request("OPTIONS", "/", &[("Origin", "http://test"), ask]);
    assert_eq!((own.status, own.header("access-control-allow-origin")), (204, None));
}

#[test]
fn queries_keep_their_limits() {
    let webapp = Sandbox::new().unlimited().start();
    let many = |n: usize| format!("/?{}", vec!["a=1"; n].join("&"));
    for (target, status) in [
        (many(20), 200),
        (many(21), 400),
        (format!("/?{}=1", "k".repeat(64)), 200),
        (format!("/?{}=1", "k".repeat(65)), 400),
        (format!("/?a={}", "v".repeat(512)), 200),
        (format!("/?a={}", "v".repeat(513)), 400),
        (format!("/?a={}", "%C3%A9".repeat(512)), 200),
        ("/?a=%zz".to_owned(), 400),
        ("/?a=%00".to_owned(), 400),
        ("/?a[]=1".to_owned(), 400),
    ] {
        assert_eq!(webapp.get(&target).status, status, "{target}");
    }
    let problem = webapp.get("/?name=%00secret").json();
    assert_eq!(
        (&problem["code"], &problem["parameter"]),
        (&"query_rejected".into(), &"name".into())
    );
    assert!(!problem.to_string().contains("secret"));
}

#[test]
fn behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let webapp = Sandbox::new()
        .env("RATE_LIMIT_REQUESTS", "1")
        .env("TRUSTED_PROXIES", "127.0.0.0/8")
        .start();
    let from = |client: &str| webapp.request("GET", "/", &[("X-Forwarded-For", client)]).status;
    assert_eq!([from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.1")], [200, 200, 429]);
    // One IPv6 customer is one client.
    assert_eq!(
        [from("2001:db8::1"), from("2001:db8::ffff:1"), from("2001:db8:0:1::1")],
        [200, 429, 200]
    );
    let sent = [("X-Forwarded-For", "192.0.2.9"), ("X-Request-ID", "from-the-proxy-1")];
    assert_eq!(webapp.request("GET", "/", &sent).header("x-request-id"), Some("from-the-proxy-1"));
    let record = webapp.record("requests", |r| r.client_ip.as_deref() == Some("192.0.2.9"));
    assert_eq!(record.peer_address.as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_forwarded_header_of_a_stranger_is_ignored_and_told_once() {
    let webapp = Sandbox::new().env("RATE_LIMIT_REQUESTS", "2").start();
    let from = |client: &str| {
        let headers = [("X-Forwarded-For", client), ("X-Request-ID", "chosen-by-me")];
        let answer = webapp.request("GET", "/", &headers);
        assert_ne!(answer.header("x-request-id"), Some("chosen-by-me"));
        answer.status
    };
    assert_eq!([from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3")], [200, 200, 429]);
    webapp.record("suspicious", |r| r.action == "rate_limited");
    let told = webapp.records("suspicious");
    assert_eq!(told.iter().filter(|r| r.action == "spoofed_forwarded_header").count(), 1);
}
