//! pycull uses what each version of the Landlock interface added.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use pycull::compile::sandbox::{Layer, Mode};

use super::scene::Scene;
use super::{USERS, text};

/// Version 3. Truncating does not need a file that is open for writing.
#[test]
fn no_layer_lets_a_file_be_emptied() {
    let mut scene = Scene::new();
    let inside = scene.readable.join("file");
    let inside = text(&inside).to_owned();
    for user in USERS {
        scene.user = user;
        for what in ["empty", "empty-old", "truncate"] {
            for (layer, error) in [
                (Layer::Landlock, libc::EACCES),
                (Layer::Seccomp, libc::EPERM),
                (Layer::Namespaces, libc::EROFS),
            ] {
                scene.only(layer).run(&[what, &inside]).code(error);
            }
            scene.with_all().run(&[what, &inside]).code(libc::EPERM);
            assert_eq!(fs::read(&inside).unwrap(), b"secret");
        }
    }
    scene.mode = Mode::Off;
    for what in ["empty", "empty-old", "truncate"] {
        fs::write(&inside, "secret").unwrap();
        scene.run(&[what, &inside]).code(0);
        assert_eq!(fs::read(&inside).unwrap(), b"");
    }
}

/// Version 4.
#[test]
fn no_port_can_be_bound() {
    let mut scene = Scene::new();
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    scene
        .only(Layer::Landlock)
        .run(&["bind", &port])
        .code(libc::EACCES);
    scene
        .without(Layer::Seccomp)
        .run(&["bind", &port])
        .code(libc::EACCES);
    scene
        .only(Layer::Seccomp)
        .run(&["bind", &port])
        .signal(libc::SIGSYS);
}

/// Version 5.
#[test]
fn a_device_that_can_be_read_cannot_be_controlled() {
    let mut scene = Scene::new();
    let device = "/dev/null";
    scene.confinement.readable.push(device.into());
    scene
        .only(Layer::Landlock)
        .run(&["control", device])
        .code(libc::EACCES);
    scene
        .only(Layer::Seccomp)
        .run(&["control", device])
        .code(libc::EPERM);
    scene.mode = Mode::Off;
    scene.run(&["control", device]).code(libc::ENOTTY);
}

/// Version 6. The test for signals is `other_processes_cannot_be_signalled`.
#[test]
fn sockets_without_files_are_out_of_reach() {
    let mut scene = Scene::new();
    let name = text(&scene.readable).to_owned();
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    scene
        .only(Layer::Landlock)
        .run(&["abstract", &name])
        .code(libc::EPERM);
    scene
        .only(Layer::Seccomp)
        .run(&["abstract", &name])
        .code(libc::EPERM);
    scene
        .only(Layer::Namespaces)
        .run(&["abstract", &name])
        .code(libc::ECONNREFUSED);
    scene.mode = Mode::Off;
    scene.run(&["abstract", &name]).code(0);
}
