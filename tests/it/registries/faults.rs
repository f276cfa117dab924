//! Networks and registries as they are. Each fault ends in success, or in a clear error with the old tag in place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::{Shop, image, manifest, pycull_at};
use crate::support::fault_proxy::{Fault, FaultProxy, Passing};
use crate::support::tools::Output;

/// Minimizes `app:v1` into `app:small` through a proxy.
fn through(shop: &Shop, proxy: &FaultProxy, more: &[&str]) -> Output {
    let [from, to] = ["app:v1", "app:small"].map(|name| shop.through(proxy, name));
    pycull_at(
        &shop.path(""),
        &[&["minimize", &from, "--output", &to], more].concat(),
    )
}

/// Checks that the image that came of it is the right one.
#[track_caller]
fn is_right(shop: &Shop) {
    let expected = shop.registry.image("app:expected");
    pycull_at(
        &shop.path(""),
        &[
            "minimize",
            &shop.registry.image("app:v1"),
            "--output",
            &expected,
        ],
    )
    .success();
    // Both manifests name their base, each by the address that pycull was given.
    let parts = |name: &str| {
        let manifest = manifest(&shop.registry.image(name));
        (manifest["config"].clone(), manifest["layers"].clone())
    };
    assert_eq!(parts("app:small"), parts("app:expected"));
    assert_eq!(shop.registry.uploads("app"), 0);
}

/// Runs pycull through a proxy with this rule. The result must be right.
#[track_caller]
fn succeeds(rule: impl Fn(&Passing) -> Fault + Send + Sync + 'static) -> (Shop, FaultProxy) {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, rule);
    through(&shop, &proxy, &[]).success();
    is_right(&shop);
    (shop, proxy)
}

/// Runs pycull through a proxy with this rule. It must refuse, and leave the tag alone.
#[track_caller]
fn refuses(message: &str, rule: impl Fn(&Passing) -> Fault + Send + Sync + 'static) -> Output {
    refuses_with(&[], message, rule)
}

/// The same, with more arguments.
#[track_caller]
fn refuses_with(
    arguments: &[&str],
    message: &str,
    rule: impl Fn(&Passing) -> Fault + Send + Sync + 'static,
) -> Output {
    let shop = Shop::open();
    shop.put("app:small", &image("old"));
    let before = shop.registry.tagged("app", "small");
    let proxy = FaultProxy::start(&shop.registry.address, rule);
    let output = through(&shop, &proxy, arguments).refused(message);
    assert_eq!(shop.registry.tagged("app", "small"), before);
    assert_eq!(shop.registry.uploads("app"), 0);
    output
}

fn is_layer(request: &Passing) -> bool {
    request.is("GET", "/blobs/sha256:")
}

#[test]
fn a_download_goes_on_after_each_cut() {
    let (shop, proxy) = succeeds(|request| match is_layer(request) {
        true => Fault::Cut(60_000),
        false => Fault::None,
    });
    let sizes = manifest(&shop.registry.image("app:v1"));
    let sizes: u64 = sizes["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["size"].as_u64().unwrap())
        .sum();
    assert!(
        sizes > 900_000 && proxy.down() < sizes + 2000,
        "{} of {sizes}",
        proxy.down()
    );
    let log = proxy.log();
    let resumed = log.iter().filter(|it| it.request.header("range").is_some());
    assert!(resumed.count() >= 10);
}

#[test]
fn a_registry_that_knows_no_ranges_sends_the_blob_again() {
    succeeds(|request| match (is_layer(request), request.before) {
        (true, 0) => Fault::Cut(50_000),
        (true, _) => Fault::WithoutRange,
        _ => Fault::None,
    });
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    // The date is at least two seconds ahead, because it has whole seconds.
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    for after in [
        &|| "2".to_owned() as String,
        &date as &(dyn Fn() -> String + Sync),
    ] {
        let shop = Shop::open();
        let asked = after();
        let proxy = FaultProxy::start(&shop.registry.address, move |request| {
            match request.before == 0 && request.is("GET", "/manifests/") {
                true => Fault::Answer(429, vec![("Retry-After", asked.clone())]),
                false => Fault::None,
            }
        });
        let started = Instant::now();
        let name = shop.through(&proxy, "app:v1");
        pycull_at(&shop.path(""), &["inspect", &name]).success();
        assert!(started.elapsed() >= Duration::from_millis(1500));
    }
}

#[test]
fn bursts_of_errors_are_sat_out() {
    succeeds(
        |request| match request.path.contains("/v2/app/") && request.before < 2 {
            true => Fault::Answer([500, 502, 503, 504][request.path.len() % 4], vec![]),
            false => Fault::None,
        },
    );
}

#[test]
fn a_registry_that_is_down_for_good_is_an_error() {
    refuses("the registry returned 503", |request| {
        match request.method.as_str() {
            "PUT" | "POST" => Fault::Answer(503, vec![]),
            _ => Fault::None,
        }
    });
}

#[test]
fn an_upload_that_breaks_begins_again() {
    let broken = AtomicUsize::new(0);
    succeeds(move |request| {
        let is_data = request.is("PUT", "/blobs/uploads/") && request.length() >= 50_000;
        match is_data && broken.fetch_add(1, Ordering::Relaxed) < 2 {
            true => Fault::Drop(40_000),
            false => Fault::None,
        }
    });
}

#[test]
fn a_registry_that_takes_small_chunks_only_gets_them() {
    let (_, proxy) = succeeds(|request| {
        let is_data =
            request.is("PUT", "/blobs/uploads/") || request.is("PATCH", "/blobs/uploads/");
        match is_data && request.length() >= 100_000 {
            true => Fault::Answer(413, vec![]),
            false => Fault::None,
        }
    });
    assert!(proxy.count("PATCH", "/blobs/uploads/") > 2);
}

#[test]
fn a_registry_that_fails_at_whole_uploads_gets_chunks() {
    let (_, proxy) =
        succeeds(
            |request| match request.is("PUT", "/blobs/uploads/") && request.length() > 0 {
                true => Fault::Answer(500, vec![]),
                false => Fault::None,
            },
        );
    let log = proxy.log();
    let is_body = |request: &Passing| request.path.contains("/uploads/") && request.length() > 0;
    let ways: Vec<&str> = log
        .iter()
        .filter(|passed| is_body(&passed.request))
        .map(|passed| passed.request.method.as_str())
        .collect();
    // The config comes last, and goes up as the layer did.
    assert!(ways.ends_with(&["PATCH", "PATCH"]), "{ways:?}");
}

#[test]
fn a_registry_without_uploads_in_chunks_gets_one_request() {
    let refused = AtomicUsize::new(0);
    let (_, proxy) = succeeds(move |request| match request.method.as_str() {
        "PATCH" => Fault::Answer(405, vec![]),
        // The registry refuses some requests with a body, and not because of their size.
        "PUT" if request.is("PUT", "/uploads/") && refused.fetch_add(1, Ordering::Relaxed) < 2 => {
            Fault::Answer(413, vec![])
        }
        _ => Fault::None,
    });
    assert!(proxy.count("PATCH", "") > 0);
}

#[test]
fn a_chunk_of_which_a_part_arrived_goes_on_there() {
    let (_, proxy) = succeeds(|request| match request.method.as_str() {
        "PUT" if request.length() > 0 && request.path.contains("/uploads/") => {
            Fault::Answer(416, vec![])
        }
        "PATCH" if request.before == 0 => Fault::Drop(30_000),
        _ => Fault::None,
    });
    assert!(proxy.count("GET", "/blobs/uploads/") > 0);
}

#[test]
fn a_mount_that_is_not_granted_becomes_an_upload() {
    for fault in [
        || Fault::WithoutQuery,
        || Fault::Answer(401, vec![]),
        || Fault::Answer(404, vec![]),
    ] {
        let shop = Shop::open();
        let proxy = FaultProxy::start(&shop.registry.address, move |request| {
            match request.is("POST", "mount=") {
                true => fault(),
                false => Fault::None,
            }
        });
        let (from, to) = (
            shop.through(&proxy, "app:v1"),
            shop.through(&proxy, "fresh/app:small"),
        );
        pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
        assert_eq!(proxy.count("POST", "mount="), 1);
        let [before, after] = ["app:v1", "fresh/app:small"].map(|name| shop.registry.image(name));
        pycull_at(&shop.path(""), &["verify", &before, &after]).success();
    }
}

#[test]
fn a_registry_that_claims_to_have_a_blob_gets_it_when_the_manifest_fails() {
    let shop = Shop::open();
    let old = manifest(&shop.registry.image("app:v1"));
    let base = old["layers"][0].clone();
    let (digest, size) = (
        base["digest"].as_str().unwrap().to_owned(),
        base["size"].to_string(),
    );
    let claimed = digest.clone();
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        match request.is("HEAD", &claimed) {
            true => Fault::Status(200, vec![("Content-Length", size.clone())]),
            false => Fault::None,
        }
    });
    let layout = shop.path("put/app-v1");
    let to = shop.through(&proxy, "elsewhere:small");
    let arguments = ["minimize", layout.to_str().unwrap(), "--output", &to];
    pycull_at(&shop.path(""), &arguments).success();
    // Once in vain, and once after the blob.
    assert_eq!(proxy.count("PUT", "/manifests/small"), 2);
    let verify = [
        "verify",
        layout.to_str().unwrap(),
        &shop.registry.image("elsewhere:small"),
    ];
    pycull_at(&shop.path(""), &verify).success();
}

#[test]
fn other_bytes_than_asked_for_are_refused() {
    let change = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    refuses("is damaged", move |request| {
        match is_layer(request) && request.before == 0 {
            true => Fault::Body(change),
            false => Fault::None,
        }
    });
    refuses("cannot", move |request| {
        match request.is("GET", "/manifests/") {
            true => Fault::Body(change),
            false => Fault::None,
        }
    });
}

#[test]
fn a_body_of_another_length_is_refused() {
    refuses(
        "fewer bytes than the manifest says",
        |request| match is_layer(request) {
            true => Fault::Body(|mut bytes| {
                bytes.pop();
                bytes
            }),
            false => Fault::None,
        },
    );
    refuses(
        "more bytes than the manifest says",
        |request| match is_layer(request) {
            true => Fault::Body(|mut bytes| {
                bytes.push(0);
                bytes
            }),
            false => Fault::None,
        },
    );
}

#[test]
fn a_trickle_is_an_error() {
    refuses_with(
        &["--network-timeout", "2"],
        "the registry sent less than",
        |request| match is_layer(request) {
            true => Fault::Trickle,
            false => Fault::None,
        },
    );
}

#[test]
fn a_blob_may_be_on_another_host_which_gets_no_credentials() {
    let shop = Shop::open();
    let store = FaultProxy::counting(&shop.registry.address);
    let address = store.address.clone();
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        match is_layer(request) {
            true => Fault::Answer(
                307,
                vec![("Location", format!("http://{address}{}", request.path))],
            ),
            false => Fault::None,
        }
    });
    through(&shop, &proxy, &["--creds", "tester:secret"]).success();
    is_right(&shop);
    assert!(store.down() > 900_000);
    assert!(
        store
            .log()
            .iter()
            .all(|it| it.request.header("authorization").is_none())
    );
}

#[test]
fn redirects_without_end_are_an_error() {
    refuses(
        "the registry redirects too often",
        |request| match is_layer(request) {
            true => Fault::Answer(307, vec![("Location", request.path.clone())]),
            false => Fault::None,
        },
    );
}

#[test]
fn a_refused_upload_leaves_nothing_behind() {
    let output = refuses("the registry returned 403", |request| {
        match request.is("PUT", "/blobs/uploads/") {
            true => Fault::Answer(403, vec![]),
            false => Fault::None,
        }
    });
    assert!(
        output.stderr.contains("cannot upload blob sha256:"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_refused_manifest_leaves_the_tag_alone() {
    refuses("the registry returned 400", |request| {
        match request.is("PUT", "/manifests/") {
            true => Fault::Answer(400, vec![]),
            false => Fault::None,
        }
    });
}

/// Credentials go to the registry and nowhere else: not to a host that it redirects to, not to one in a `Location`, and
/// not to a server of tokens that such a host names.
#[test]
fn credentials_go_to_the_registry_alone() {
    let shop = Shop::open();
    let thief = FaultProxy::start(&shop.registry.address, |request| {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\"",
            request.header("host").unwrap()
        );
        match request.method.as_str() {
            "GET" => Fault::Answer(401, vec![("WWW-Authenticate", challenge)]),
            _ => Fault::None,
        }
    });
    let host = thief.address.clone();
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        let elsewhere = format!("http://{host}{}", request.path);
        match request.method.as_str() {
            "GET" if is_layer(request) => Fault::Answer(307, vec![("Location", elsewhere)]),
            _ => Fault::None,
        }
    });
    let name = shop.through(&proxy, "app:v1");
    let refused = pycull_at(&shop.path(""), &["inspect", &name, "--creds", "me:secret"]);
    refused.refused("401 Unauthorized");
    assert!(!thief.log().is_empty());

    let host = thief.address.clone();
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        match request.is("POST", "/blobs/uploads/") {
            true => {
                let elsewhere = format!("http://{host}/v2/app/blobs/uploads/1");
                Fault::Answer(202, vec![("Location", elsewhere)])
            }
            false => wants_password(request),
        }
    });
    let layout = shop.path("put/app-v1");
    let to = shop.through(&proxy, "app:stolen");
    let arguments = [
        "minimize",
        layout.to_str().unwrap(),
        "--output",
        &to,
        "--creds",
        "me:secret",
    ];
    assert_eq!(pycull_at(&shop.path(""), &arguments).code, Some(2));
    let log = thief.log();
    assert!(log.iter().any(|it| it.request.method == "PUT"));
    assert!(
        log.iter()
            .all(|it| it.request.header("authorization").is_none())
    );
}

fn wants_password(request: &Passing) -> Fault {
    match request.header("authorization") {
        Some(_) => Fault::None,
        None => Fault::Answer(
            401,
            vec![("WWW-Authenticate", "Basic realm=\"x\"".to_owned())],
        ),
    }
}

#[test]
fn a_password_on_the_command_line_goes_to_one_registry() {
    let shop = Shop::open();
    let (here, there) = (shop.registry.image("app:v1"), "docker://other.example/app");
    for arguments in [
        &["minimize", &here, "--output", there][..],
        &["verify", &here, there],
        &["compare", &here, there],
    ] {
        let with_password = [arguments, &["--creds", "me:secret"]].concat();
        let refused = pycull_at(&shop.path(""), &with_password);
        refused.refused("`--creds` is for one registry only");
    }
}
