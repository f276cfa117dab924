//! Proxies that do not work. Errors name the proxy and the variable, and never its credentials.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use super::command;
use crate::support::tools::run;

/// The address of a proxy that refuses every request.
fn refusing_proxy() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let lines = BufReader::new(client.try_clone().unwrap()).lines();
            let _ = lines.map_while(Result::ok).find(String::is_empty);
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                Content-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(answer.as_bytes());
        }
    });
    address
}

/// Runs a command with proxies for both schemes. Returns what it printed as it failed.
fn refused(variables: &[(&str, &str)], more: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = command(home.path());
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.args(["inspect", "docker://registry.invalid/app"]);
    let stderr = run(command.args(more)).refused("error: ").stderr;
    assert!(!stderr.contains("s3cret"), "{stderr}");
    stderr
}

#[test]
fn a_proxy_that_fails_is_named_with_its_variable() {
    let address = refusing_proxy();
    let proxy = format!("http://me:s3cret@{address}");
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let stderr = refused(&[(variable, &proxy)], &[]);
        let said = format!(
            "the connection to `registry.invalid` through the proxy `{address}` ({variable}) failed"
        );
        assert!(stderr.contains(&said), "{stderr}");
        let hint =
            format!("hint: correct {variable}, or add `registry.invalid` to NO_PROXY to connect");
        assert!(stderr.contains(&hint), "{stderr}");
    }
}

/// Without encryption, the proxy's refusal looks like an answer of the registry.
#[test]
fn a_refusal_of_a_proxy_is_not_one_of_the_registry() {
    let proxy = format!("http://me:s3cret@{}", refusing_proxy());
    let variables = [("HTTPS_PROXY", &*proxy), ("HTTP_PROXY", &*proxy)];
    let stderr = refused(&variables, &["--tls-verify=false"]);
    assert!(!stderr.contains("the registry returned"), "{stderr}");
    assert!(stderr.contains("through the proxy `127.0.0.1:"), "{stderr}");
}

#[test]
fn an_address_that_is_no_proxy_is_named_with_its_variable() {
    let stderr = refused(&[("HTTPS_PROXY", "ftp://me:s3cret@proxy:21")], &[]);
    let said = "`proxy:21` of HTTPS_PROXY is not a valid proxy address";
    assert!(stderr.contains(said), "{stderr}");
    let hint = "hint: write HTTPS_PROXY as `http://HOST:PORT`, or unset it";
    assert!(stderr.contains(hint), "{stderr}");
}
