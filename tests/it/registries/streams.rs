//! Layers that go up while they are written, which happens only in a new repository.

use super::{Shop, layers, manifest, pycull_at};
use crate::support::fault_proxy::{Fault, FaultProxy, Passing};

/// Minimizes into a repository that the registry does not have, through a proxy with this rule. The result must be right,
/// and nothing left of what failed.
#[track_caller]
fn succeeds(rule: impl Fn(&Passing) -> Fault + Send + Sync + 'static) -> (Shop, FaultProxy) {
    let shop = Shop::open();
    let proxy = FaultProxy::start(&shop.registry.address, rule);
    let [from, to] = ["app:v1", "new/app:small"].map(|name| shop.through(&proxy, name));
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    let [from, expected] = ["app:v1", "app:expected"].map(|name| shop.registry.image(name));
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &expected]).success();
    let [found, expected] =
        [shop.registry.image("new/app:small"), expected].map(|it| manifest(&it));
    assert_eq!(layers(&found), layers(&expected));
    assert_eq!(shop.registry.uploads("new/app"), 0);
    (shop, proxy)
}

/// A layer that goes up without a length. The first one never waits for another, because there is a thread for it.
fn is_stream(request: &Passing) -> bool {
    request.method == "PATCH" && request.is_chunked()
}

#[test]
fn a_new_repository_gets_layers_while_they_are_written() {
    let (shop, proxy) = succeeds(|_| Fault::None);
    let streams = |proxy: &FaultProxy| {
        let log = proxy.log().into_iter();
        log.filter(|it| is_stream(&it.request)).count()
    };
    assert!(streams(&proxy) > 0, "{:#?}", proxy.log());
    let new = manifest(&shop.registry.image("new/app:small"));
    // What goes up while it is written does not go up again.
    let asked = |layer: &&&str| proxy.count("HEAD", &format!("new/app/blobs/{layer}")) > 0;
    let [_, new_layers @ ..] = &*layers(&new) else {
        panic!("{new}")
    };
    let asked = new_layers.iter().filter(asked).count();
    assert_eq!(asked + streams(&proxy), new_layers.len());
    let sizes = new["layers"].as_array().unwrap().iter().skip(1);
    let expected: u64 = sizes.map(|it| it["size"].as_u64().unwrap()).sum();
    assert!(proxy.up() < expected + 5000, "{} of {expected}", proxy.up());
    // The registry may have the layers by now, so pycull asks before it sends any.
    proxy.forget();
    let [from, to] = ["app:v1", "new/app:again"].map(|name| shop.through(&proxy, name));
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    assert_eq!((streams(&proxy), proxy.up()), (0, 0));
}

#[test]
fn a_registry_that_refuses_a_stream_gets_the_layer_another_way() {
    for status in [401, 404, 413, 500] {
        let answer = move || Fault::Answer(status, Vec::new());
        let (_, proxy) = succeeds(move |request| match is_stream(request) {
            true => answer(),
            false => Fault::None,
        });
        assert!(proxy.count("PUT", "/blobs/uploads/") > 0, "{status}");
    }
}

#[test]
fn a_stream_that_breaks_becomes_a_whole_upload() {
    for bytes in [0, 1, 50_000] {
        succeeds(move |request| match is_stream(request) {
            true => Fault::Drop(bytes),
            false => Fault::None,
        });
    }
}

#[test]
fn a_stream_whose_end_is_refused_becomes_a_whole_upload() {
    // A whole upload has its bytes in the last request.
    succeeds(
        |request| match request.is("PUT", "/blobs/uploads/") && request.length() == 0 {
            true => Fault::Answer(400, Vec::new()),
            false => Fault::None,
        },
    );
}

#[test]
fn a_repository_of_ten_thousand_tags_is_asked_for_one() {
    let shop = Shop::open();
    let tags: Vec<String> = (0..10_000).map(|tag| format!("\"v{tag}\"")).collect();
    let all = format!("{{\"name\":\"app\",\"tags\":[{}]}}", tags.join(","));
    let proxy = FaultProxy::start(&shop.registry.address, move |request| {
        match request.path.contains("/tags/list") {
            true => Fault::Text(all.clone()),
            false => Fault::None,
        }
    });
    let [from, to] = ["app:v1", "app:small"].map(|name| shop.through(&proxy, name));
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    assert_eq!(proxy.count("GET", "/tags/list"), 1);
    assert_eq!(proxy.count("GET", "/app/tags/list?n=1"), 1);
    assert_eq!(proxy.count("PATCH", "/"), 0);
}
