//! Registries that want a token: which one they get, and what happens when it ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Shop, pycull_at};
use crate::support::fault_proxy::{Fault, FaultProxy, Passing};

/// Wants the token of this period or of the next one, and gives the next one out under `/token`.
fn wants_token(request: &Passing, period: usize) -> Fault {
    let next = period + 1;
    if request.path.starts_with("/token") {
        return Fault::Text(format!(r#"{{"token":"t{next}","expires_in":300}}"#));
    }
    let address = request.header("host").unwrap();
    let valid = [period, next].map(|period| format!("Bearer t{period}"));
    match request
        .header("authorization")
        .is_some_and(|it| valid.iter().any(|token| token == it))
    {
        true => Fault::None,
        false => {
            let challenge = format!(r#"Bearer realm="http://{address}/token",service="shop""#);
            Fault::Answer(401, vec![("WWW-Authenticate", challenge)])
        }
    }
}

fn minimize(shop: &Shop, proxy: &FaultProxy, to: &str, more: &[&str]) {
    let [from, to] = ["app:v1", to].map(|name| shop.through(proxy, name));
    pycull_at(
        &shop.path(""),
        &[&["minimize", &from, "--output", &to], more].concat(),
    )
    .success();
    let verify = [
        "verify",
        &shop.through(proxy, "app:v1"),
        &to,
        "--profile",
        "default",
    ];
    pycull_at(&shop.path(""), &verify).success();
}

/// What pycull asked of the server of tokens.
fn asked(proxy: &FaultProxy) -> Vec<Passing> {
    let log = proxy.log().into_iter().map(|it| it.request);
    log.filter(|request| request.path.starts_with("/token"))
        .collect()
}

/// As the registry of the crate container-registry does.
#[test]
fn a_registry_may_say_only_once_what_it_wants() {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, |request| {
        let wants = || vec![("WWW-Authenticate", "Basic realm=\"shop\"".to_owned())];
        match request.header("authorization") {
            _ if request.path == "/v2/" => Fault::Status(200, wants()),
            Some("Basic bWU6c2VjcmV0") => Fault::None,
            _ => Fault::Answer(401, Vec::new()),
        }
    });
    let [from, to] = ["app:v1", "app:small"].map(|name| shop.through(&proxy, name));
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["--creds", "me:secret"]].concat();
        pycull_at(&shop.path(""), &arguments).success()
    };
    run(&["minimize", &from, "--output", &to]);
    run(&["verify", &from, &to, "--profile", "default"]);
}

#[test]
fn a_token_is_asked_for_with_what_it_must_permit() {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, |request| wants_token(request, 0));
    let [from, to] = ["app:v1", "other/app:small"].map(|name| shop.through(&proxy, name));
    let arguments = ["minimize", &from, "--output", &to, "--creds", "me:secret"];
    pycull_at(&shop.path(""), &arguments).success();
    let asked = asked(&proxy);
    let mut scopes: Vec<&str> = asked
        .iter()
        .map(|it| it.path.split_once('?').unwrap().1)
        .collect();
    scopes.sort_unstable();
    assert_eq!(
        scopes,
        [
            "service=shop&scope=repository%3Aapp%3Apull",
            "service=shop&scope=repository%3Aother%2Fapp%3Apull%2Cpush",
            "service=shop&scope=repository%3Aother%2Fapp%3Apull%2Cpush&scope=repository%3Aapp%3Apull",
        ]
    );
    assert!(
        asked
            .iter()
            .all(|it| it.header("authorization") == Some("Basic bWU6c2VjcmV0"))
    );
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    let shop = Shop::open();
    let requests = AtomicUsize::new(0);
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        // A period has five requests.
        let is_own = request.path.starts_with("/v2/app");
        let number = match is_own {
            true => requests.fetch_add(1, Ordering::Relaxed),
            false => requests.load(Ordering::Relaxed),
        };
        wants_token(request, number / 5)
    });
    minimize(&shop, &proxy, "app:small", &["--jobs", "1"]);
    assert!(asked(&proxy).len() > 3);
}

#[test]
fn an_identity_token_is_exchanged() {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, |request| wants_token(request, 0));
    let file = shop.path("auth.json");
    let text = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"refresh me"}}}}}}"#,
        proxy.address
    );
    std::fs::write(&file, text).unwrap();
    let name = shop.through(&proxy, "app:v1");
    pycull_at(
        &shop.path(""),
        &["inspect", &name, "--authfile", file.to_str().unwrap()],
    )
    .success();
    let asked = asked(&proxy);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "POST");
    assert!(asked[0].header("authorization").is_none());
}

#[test]
fn a_server_of_tokens_that_refuses_is_an_error() {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, |request| {
        match request.path.starts_with("/token") {
            true => Fault::Answer(401, vec![]),
            false => wants_token(request, 0),
        }
    });
    let name = shop.through(&proxy, "app:v1");
    pycull_at(&shop.path(""), &["inspect", &name]).refused("requires credentials");
    let wrong = ["inspect", &name, "--creds", "me:wrong"];
    pycull_at(&shop.path(""), &wrong).refused("refused the credentials");
}
