//! The layers together, with one of them missing. The other two stop what the missing layer would stop.

use std::fs;
use std::net::TcpListener;

use pycull::compile::sandbox::Layer;

use super::scene::Scene;
use super::{USERS, text};

/// The attempt ends the process.
const SIGSYS: i32 = -libc::SIGSYS;

/// A missing layer, and how each attempt ends without it, in the order of [`attempts`].
const ENDINGS: [(Layer, [i32; 6]); 3] = [
    (
        Layer::Landlock,
        [
            libc::ENOENT,
            libc::EPERM,
            libc::EPERM,
            SIGSYS,
            libc::ENOENT,
            libc::EPERM,
        ],
    ),
    (
        Layer::Seccomp,
        // EACCES comes from Landlock. Namespaces alone would give ENETUNREACH.
        [
            libc::ENOENT,
            libc::EROFS,
            libc::EROFS,
            libc::EACCES,
            libc::ENOENT,
            libc::ESRCH,
        ],
    ),
    (
        Layer::Namespaces,
        [
            libc::EACCES,
            libc::EPERM,
            libc::EPERM,
            SIGSYS,
            libc::EACCES,
            libc::EPERM,
        ],
    ),
];

fn attempts(scene: &Scene, port: u16) -> [(&'static str, String); 6] {
    let (inside, outside) = (scene.readable.join("file"), scene.outside.join("file"));
    let program = scene.outside.join("hostile");
    [
        ("read", text(&outside).to_owned()),
        ("write", text(&inside).to_owned()),
        ("empty", text(&inside).to_owned()),
        ("connect", port.to_string()),
        ("exec", text(&program).to_owned()),
        ("signal", std::process::id().to_string()),
    ]
}

#[test]
fn any_two_layers_stop_what_the_third_would() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut scene = Scene::new();
    let attempts = attempts(&scene, listener.local_addr().unwrap().port());
    for user in USERS {
        scene.user = user;
        for (missing, endings) in ENDINGS {
            scene.without(missing);
            for ((what, with), ending) in attempts.iter().zip(endings) {
                let ended = scene.run(&[what, with]);
                match ending {
                    SIGSYS => ended.signal(libc::SIGSYS),
                    error => ended.code(error),
                };
            }
        }
    }
    for directory in [&scene.readable, &scene.outside] {
        assert_eq!(fs::read(directory.join("file")).unwrap(), b"secret");
    }
}
