//! Hostile programs in the sandbox. Each layer stops them alone, and all layers stop them together.

mod calls;
mod containers;
mod landlock;
mod scene;
mod together;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pycull::compile::sandbox::{self, Layer, Mode, Sandbox};

use super::support::tools::tool_command;
use scene::{Ended, Scene, User, ended};

const USERS: [User; 2] = [User::Me, User::Nobody];

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn this_machine_has_all_layers() {
    let scene = Scene::new();
    let defences = sandbox::probe(&scene.helper()).unwrap();
    assert!(defences.landlock >= Some(6), "{defences}");
    assert!(defences.seccomp && defences.namespaces, "{defences}");
    let error = sandbox::probe(std::path::Path::new("/bin/echo")).unwrap_err();
    assert!(error.to_string().contains(sandbox::PROBE), "{error}");
}

#[test]
fn files_outside_the_trees_cannot_be_read() {
    let mut scene = Scene::new();
    let (inside, outside) = (scene.readable.join("file"), scene.outside.join("file"));
    for user in USERS {
        scene.user = user;
        scene
            .with_all()
            .run(&["read", text(&outside)])
            .code(libc::ENOENT);
        scene.run(&["read", "/etc/shadow"]).code(libc::ENOENT);
        scene
            .run(&["read", "/proc/self/environ"])
            .code(libc::ENOENT);
        let ended = scene.run(&["read", text(&inside)]).code(0);
        assert_eq!(ended.stdout, "secret");
        let landlock = scene.only(Layer::Landlock);
        landlock.run(&["read", text(&outside)]).code(libc::EACCES);
        landlock.run(&["read", "/etc/shadow"]).code(libc::EACCES);
        landlock.run(&["read", text(&inside)]).code(0);
        let namespaces = scene.only(Layer::Namespaces);
        namespaces.run(&["read", text(&outside)]).code(libc::ENOENT);
        namespaces.run(&["read", text(&inside)]).code(0);
    }
    scene.mode = Mode::Off;
    scene.run(&["read", text(&outside)]).code(0);
}

#[test]
fn nothing_can_be_written_inside_or_outside_the_trees() {
    let mut scene = Scene::new();
    for user in USERS {
        scene.user = user;
        for name in ["file", "new"] {
            let (inside, outside) = (scene.readable.join(name), scene.outside.join(name));
            let expected = [
                (Layer::Landlock, libc::EACCES, libc::EACCES),
                (Layer::Seccomp, libc::EPERM, libc::EPERM),
                (Layer::Namespaces, libc::EROFS, libc::ENOENT),
            ];
            for (layer, error_inside, error_outside) in expected {
                scene.only(layer);
                scene.run(&["write", text(&inside)]).code(error_inside);
                scene.run(&["write", text(&outside)]).code(error_outside);
            }
            scene
                .with_all()
                .run(&["write", text(&inside)])
                .code(libc::EPERM);
            scene.run(&["write", text(&outside)]).code(libc::EPERM);
        }
    }
    for directory in [&scene.readable, &scene.outside] {
        assert!(!directory.join("new").exists());
        assert_eq!(fs::read(directory.join("file")).unwrap(), b"secret");
    }
    // The last defence: files have a size limit of zero bytes.
    scene.mode = Mode::Off;
    let new = scene.outside.join("new");
    scene.run(&["write", text(&new)]).signal(libc::SIGXFSZ);
    assert_eq!(fs::read(&new).unwrap(), b"");
}

#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut scene = Scene::new();
    for user in USERS {
        scene.user = user;
        let connect = |scene: &Scene| scene.run(&["connect", &port]);
        connect(scene.with_all()).signal(libc::SIGSYS);
        connect(scene.only(Layer::Seccomp)).signal(libc::SIGSYS);
        connect(scene.only(Layer::Landlock)).code(libc::EACCES);
        connect(scene.only(Layer::Namespaces)).code(libc::ENETUNREACH);
    }
    // The C library does this for the name service cache, so it does not prove bad intent.
    scene.with_all().run(&["unix"]).code(libc::EPERM);
    scene.mode = Mode::Off;
    scene.run(&["connect", &port]).code(0);
}

#[test]
fn a_program_that_forks_is_killed() {
    let mut scene = Scene::new();
    for user in USERS {
        scene.user = user;
        let fork = |scene: &Scene| scene.run(&["fork", "1000000"]);
        fork(scene.with_all()).signal(libc::SIGSYS);
        fork(scene.only(Layer::Seccomp)).signal(libc::SIGSYS);
    }
    scene.mode = Mode::Off;
    // The limit does not bind root.
    if !rustix::process::geteuid().is_root() || scene.user == User::Nobody {
        scene.run(&["fork", "10"]).code(libc::EAGAIN);
    }
}

#[test]
fn threads_are_for_those_that_may_have_them() {
    let mut scene = Scene::new();
    for user in USERS {
        scene.user = user;
        scene.confinement.threads = false;
        scene.with_all().run(&["thread"]).code(libc::EPERM);
        scene.confinement.threads = true;
        scene.run(&["thread"]).code(0);
        scene.run(&["fork", "1"]).signal(libc::SIGSYS);
    }
}

#[test]
fn memory_is_limited() {
    let mut scene = Scene::new();
    scene.run(&["allocate", "64"]).code(libc::ENOMEM);
    scene.run(&["allocate", "1"]).code(0);
    scene.mode = Mode::Off;
    scene.run(&["allocate", "64"]).code(libc::ENOMEM);
}

#[test]
fn open_files_and_core_dumps_are_limited() {
    let mut scene = Scene::new();
    scene.confinement.limits.open_files = 20;
    let file = scene.readable.join("file");
    for mode in [Mode::Required, Mode::Off] {
        scene.mode = mode;
        let ended = scene.run(&["open", text(&file)]).code(libc::EMFILE);
        assert_eq!(ended.stdout, "17\n");
        scene.run(&["core"]).code(0);
    }
}

#[test]
fn the_program_starts_where_it_is_told_to() {
    let mut scene = Scene::new();
    let below = scene.readable.join("below");
    fs::create_dir(&below).unwrap();
    scene.confinement.directory = below.clone();
    for without in [None, Some(Layer::Namespaces)] {
        scene.without = without.into_iter().collect();
        let ended = scene.run(&["where"]).code(0);
        assert_eq!(ended.stdout.trim_end(), text(&below));
    }
}

#[test]
fn time_on_the_processor_is_limited() {
    let mut scene = Scene::new();
    scene.confinement.limits.cpu_seconds = 1;
    scene.run(&["spin"]).signal(libc::SIGXCPU);
    scene.run(&["deaf"]).signal(libc::SIGXCPU);
    scene
        .without(Layer::Namespaces)
        .run(&["spin"])
        .signal(libc::SIGXCPU);
    scene.run(&["deaf"]).signal(libc::SIGKILL);
}

#[test]
fn programs_outside_the_trees_cannot_be_run() {
    let mut scene = Scene::new();
    let (inside, outside) = (scene.program(), scene.outside.join("hostile"));
    for user in USERS {
        scene.user = user;
        let exec = |scene: &Scene| scene.run(&["exec", text(&outside)]);
        exec(scene.with_all()).code(libc::ENOENT);
        exec(scene.only(Layer::Namespaces)).code(libc::ENOENT);
        exec(scene.only(Layer::Landlock)).code(libc::EACCES);
        scene.with_all().run(&["exec", text(&inside)]).code(42);
        let refused = ended(&mut scene.command(&outside, &["exit", "0"])).code(125);
        assert!(refused.stderr.contains("cannot run `"), "{refused:?}");
    }
}

#[test]
fn other_processes_cannot_be_signalled() {
    let mut scene = Scene::new();
    let me = std::process::id().to_string();
    let signal = |scene: &Scene| scene.run(&["signal", &me]);
    signal(scene.with_all()).code(libc::EPERM);
    signal(scene.only(Layer::Seccomp)).code(libc::EPERM);
    signal(scene.only(Layer::Landlock)).code(libc::EPERM);
    signal(scene.only(Layer::Namespaces)).code(libc::ESRCH);
    scene.mode = Mode::Off;
    signal(&scene).code(0);
}

#[test]
fn inherited_descriptors_are_closed() {
    let mut scene = Scene::new();
    let run = |scene: &Scene| -> Ended {
        let mut shell = tool_command("bash");
        shell.args(["-c", "exec 7</dev/null; exec \"$@\"", "bash"]);
        ended(shell.args(scene.line(&scene.program(), &["descriptors"])))
    };
    assert_eq!(run(&scene).code(0).stdout, "0 1 2 ");
    scene.without(Layer::Namespaces);
    assert_eq!(run(&scene).code(0).stdout, "0 1 2 ");
    scene.mode = Mode::Off;
    assert_eq!(run(&scene).code(0).stdout, "0 1 2 ");
}

#[test]
fn the_environment_is_the_caller_s_choice() {
    let scene = Scene::new();
    for mode in [Mode::Required, Mode::Off] {
        let mut command = sandbox::command(
            Sandbox {
                helper: &scene.helper(),
                mode,
            },
            &scene.confinement,
            &scene.program(),
        );
        let ended = ended(command.env("PYTHONHASHSEED", "0").arg("environment"));
        assert_eq!(ended.code(0).stdout, "PYTHONHASHSEED=0\n");
    }
}

#[test]
fn there_are_no_privileges() {
    let mut scene = Scene::new();
    for user in USERS {
        scene.user = user;
        for mode in [Mode::Required, Mode::Off] {
            scene.mode = mode;
            // Only seccomp forbids asking for capabilities.
            scene.without(Layer::Seccomp).run(&["capabilities"]).code(0);
            scene.run(&["privileges"]).code(0);
        }
    }
}

#[test]
fn the_program_s_end_is_the_helper_s() {
    let mut scene = Scene::new();
    for layer in [Layer::Landlock, Layer::Namespaces] {
        scene.without(layer).run(&["exit", "42"]).code(42);
        scene.run(&["crash"]).signal(libc::SIGSEGV);
    }
}

#[test]
fn without_a_layer_nothing_is_run_unless_that_is_wanted() {
    let mut scene = Scene::new();
    scene.without = Layer::ALL.to_vec();
    let refused = scene.run(&["exit", "0"]).code(i32::from(sandbox::FAILURE));
    assert!(
        refused.stderr.contains("neither Landlock nor seccomp"),
        "{refused:?}"
    );
    scene.mode = Mode::Off;
    scene.run(&["exit", "42"]).code(42);
}

#[test]
fn killing_the_helper_leaves_no_process() {
    let mut scene = Scene::new();
    for without in [None, Some(Layer::Namespaces)] {
        scene.without = without.into_iter().collect();
        for user in USERS {
            scene.user = user;
            let mut command = scene.command(&scene.program(), &["sleep"]);
            let piped = command.stdout(Stdio::piped()).stderr(Stdio::null());
            let mut helper = piped.spawn().unwrap();
            let mut line = String::new();
            let mut output = BufReader::new(helper.stdout.take().unwrap());
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "asleep\n");
            assert!(!processes(&scene).is_empty());
            helper.kill().unwrap();
            helper.wait().unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while !processes(&scene).is_empty() {
                assert!(Instant::now() < deadline, "{:?}", processes(&scene));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The processes with the hostile program's path in their arguments.
fn processes(scene: &Scene) -> Vec<String> {
    let program = text(&scene.program()).to_owned();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(&program))
        .collect()
}

#[test]
fn a_child_without_its_supervisor_does_not_go_on() {
    let scene = Scene::new();
    let mut line = scene.line(&scene.program(), &["exit", "0"]);
    line.insert(2, "supervisor=0".into());
    // Standard input is at its end, like the pipe after the supervisor is gone.
    let refused = ended(Command::new(&line[0]).args(&line[1..])).code(125);
    assert!(refused.stderr.contains("it has ended"), "{refused:?}");
    // The supervisor seems to exist, but made no namespace.
    let mut command = tool_command("sleep");
    let mut sleeper = command.arg("100").stdout(Stdio::piped()).spawn().unwrap();
    let pipe = sleeper.stdout.take().unwrap();
    let output = Command::new(&line[0])
        .args(&line[1..])
        .stdin(pipe)
        .output()
        .unwrap();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("does not know the argument"), "{message}");
}

#[test]
fn python_compiles_in_the_sandbox() {
    let mut scene = Scene::new();
    for tree in ["/usr", "/lib", "/lib64"] {
        if fs::metadata(tree).is_ok() {
            scene.confinement.readable.push(tree.into());
        }
    }
    tool_command("python3");
    let python = fs::canonicalize("/usr/bin/python3")
        .expect("the test needs Debian's `python3`; run `.ci/setup-tests`");
    let script = "import sys, marshal\n\
                  code = compile(sys.stdin.read(), 'x.py', 'exec', optimize=2)\n\
                  sys.stdout.buffer.write(marshal.dumps(code))";
    for user in USERS {
        scene.user = user;
        for layers in [&[][..], &[Layer::Namespaces], &[Layer::Landlock]] {
            scene.without = layers.to_vec();
            // Also run without -I, because `site` then looks up the user.
            for options in [&["-I", "-S", "-c", script][..], &["-c", script]] {
                let mut command = scene.command(&python, options);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = command.spawn().unwrap();
                let mut input = child.stdin.take().unwrap();
                input.write_all(b"def f():\n  return 'here'\n").unwrap();
                drop(input);
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{:?}", output.status);
                assert!(output.stdout.windows(4).any(|it| it == b"here"));
            }
        }
    }
}
