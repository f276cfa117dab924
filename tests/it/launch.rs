//! What an image runs, according to its config and scripts. A table lists forms with known answers, which real shells
//! and a real Python confirm.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use pycull::entrypoint::{Reading, read};
use pycull::limits::Limits;
use pycull::rootfs::squash;
use pycull::tar::{Member, Reader};
use serde_json::json;

use super::support::LayerBuilder;
use super::support::tools::tool;

/// Prints the optimization level of Python.
const PRINT: &str = "import sys; print(sys.flags.optimize)";
/// A placeholder in words and texts for the directory with the files.
const ROOT: &str = "ROOT";

/// A way to start Python.
#[derive(Clone)]
struct Form {
    command: Vec<&'static str>,
    environment: Vec<&'static str>,
    files: Vec<(&'static str, &'static str)>,
    /// The level. `None` if the image does not reveal it.
    level: Option<u32>,
    /// Whether this machine has the programs to run the form.
    runs: bool,
}

fn form<const N: usize>(command: [&'static str; N], level: u32) -> Form {
    Form {
        command: command.to_vec(),
        environment: Vec::new(),
        files: Vec::new(),
        level: Some(level),
        runs: true,
    }
}

/// A command line of `/bin/sh -c`.
fn shell(script: &'static str, level: u32) -> Form {
    form(["/bin/sh", "-c", script], level)
}

/// A form whose level pycull must not guess.
fn unclear<const N: usize>(command: [&'static str; N]) -> Form {
    Form {
        level: None,
        runs: false,
        ..form(command, 0)
    }
}

impl Form {
    fn with(mut self, variable: &'static str) -> Self {
        self.environment.push(variable);
        self
    }

    fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.push((path, text));
        self
    }

    /// Marks a form whose programs are not on this machine.
    fn unrun(mut self) -> Self {
        self.runs = false;
        self
    }
}

fn words() -> Vec<Form> {
    vec![
        form(["python", "app.py"], 0),
        form(["python", "-O", "app.py"], 1),
        form(["python3", "-OO", "app.py"], 2),
        form(["ROOT/bin/python", "-O", "-O", "app.py"], 2),
        form(["python", "-OOO", "app.py"], 3),
        form(["python", "-uO", "app.py"], 1),
        form(["python", "-OOu", "app.py"], 2),
        form(["python", "app.py", "-OO"], 0),
        form(["python", "-X", "dev", "-O", "app.py"], 1),
        form(["python", "-Xdev", "-O", "app.py"], 1),
        form(["python", "-W", "ignore", "-OO", "app.py"], 2),
        form(["python", "-WOnce", "app.py"], 0),
        form(["python", "-uW", "ignore", "-O", "app.py"], 1),
        form(
            [
                "python",
                "--check-hash-based-pycs",
                "always",
                "-O",
                "app.py",
            ],
            1,
        ),
        form(["python", "-Om", "mod", "-O"], 1),
        form(["python", "-m", "mod", "-OO"], 0),
        form(["python", "-mmod", "-OO"], 0),
        form(["python", "-Oc", PRINT, "-O"], 1),
        form(["python", "--", "app.py", "-O"], 0),
        form(["python", "-O", "--", "app.py"], 1),
        form(["python", "-E", "app.py"], 0).with("PYTHONOPTIMIZE=2"),
        form(["python", "-I", "-O", "app.py"], 1).with("PYTHONOPTIMIZE=2"),
        form(["python", "-OE", "app.py"], 1).with("PYTHONOPTIMIZE=2"),
        form(["python", "-O", "app.py"], 2).with("PYTHONOPTIMIZE=2"),
        form(["python", "app.py"], 1).with("PYTHONOPTIMIZE=yes"),
        form(["python", "app.py"], 0).with("PYTHONOPTIMIZE="),
        form(["python", "app.py"], 1).with("PYTHONOPTIMIZE=-1"),
        form(["python", "app.py"], 2).with("PYTHONOPTIMIZE= 2"),
        form(["pythonw", "-O", "app.py"], 1).unrun(),
        form(["python3.11-dbg", "-O", "app.py"], 1).unrun(),
        form(["/usr/libexec/platform-python3.6", "-O", "app.py"], 1).unrun(),
        form(["python3.13t", "-OO", "-"], 2).unrun(),
    ]
}

fn wrappers() -> Vec<Form> {
    vec![
        form(["env", "PYTHONOPTIMIZE=1", "python", "app.py"], 1),
        form(["/usr/bin/env", "python", "-OO", "app.py"], 2),
        form(["env", "-i", "PATH=ROOT/bin", "python", "app.py"], 0).with("PYTHONOPTIMIZE=2"),
        form(["env", "-u", "PYTHONOPTIMIZE", "python", "app.py"], 0).with("PYTHONOPTIMIZE=2"),
        form(["env", "--unset=PYTHONOPTIMIZE", "python", "app.py"], 0).with("PYTHONOPTIMIZE=2"),
        form(["env", "-S", "python -O app.py"], 1),
        form(["env", "-S", "PYTHONOPTIMIZE=2 python", "app.py"], 2),
        form(["env", "--split-string=python -OO", "app.py"], 2),
        form(["env", "-C", "/", "python", "-O", "ROOT/app.py"], 1),
        form(["tini", "--", "python", "-OO", "app.py"], 2).unrun(),
        form(
            [
                "/sbin/tini",
                "-g",
                "-p",
                "SIGTERM",
                "--",
                "python",
                "-O",
                "app.py",
            ],
            1,
        )
        .unrun(),
        form(
            [
                "dumb-init",
                "--rewrite",
                "15:2",
                "--",
                "python",
                "-O",
                "app.py",
            ],
            1,
        )
        .unrun(),
        form(["dumb-init", "python", "app.py", "-O"], 0).unrun(),
        form(["nice", "-n", "5", "python", "-O", "app.py"], 1),
        form(["nice", "-5", "python", "-O", "app.py"], 1),
        form(["timeout", "-k", "5", "60", "python", "-OO", "app.py"], 2),
        form(["stdbuf", "-oL", "python", "-O", "app.py"], 1),
        form(["nohup", "python", "-O", "app.py"], 1),
        form(["gosu", "app", "python", "-O", "app.py"], 1).unrun(),
        form(["su-exec", "app:app", "python", "-OO", "app.py"], 2).unrun(),
        form(["setpriv", "--reuid=1", "--", "python", "-O", "app.py"], 1).unrun(),
        form(["runuser", "-u", "app", "--", "python", "-O", "app.py"], 1).unrun(),
        form(["su", "app", "-c", "python -OO app.py"], 2).unrun(),
        form(["su", "app", "-lc", "python -OO app.py"], 2).unrun(),
        form(["su", "-", "app", "-c", "python app.py"], 0)
            .with("PYTHONOPTIMIZE=2")
            .unrun(),
        form(
            ["su", "-s/bin/bash", "app", "--command=python -O app.py"],
            1,
        )
        .unrun(),
        form(["su", "app", "ROOT/entry"], 2)
            .file("entry", "exec python -OO app.py")
            .unrun(),
        form(["su", "app", "--", "-c", "python -O app.py"], 1).unrun(),
        form(["su", "--", "app", "-c", "python -O app.py"], 1).unrun(),
        form(["sudo", "-u", "app", "python", "app.py"], 0)
            .with("PYTHONOPTIMIZE=2")
            .unrun(),
        form(
            ["tini", "--", "env", "A=b", "nice", "python", "-O", "app.py"],
            1,
        )
        .unrun(),
        form(["busybox", "sh", "-c", "exec python -O app.py"], 1).unrun(),
    ]
}

fn shells() -> Vec<Form> {
    vec![
        shell("python3 -OO app.py", 2),
        shell("exec python -O app.py", 1),
        shell("cd / && python -O ROOT/app.py", 1),
        shell("PYTHONOPTIMIZE=1 python app.py", 1),
        shell("A=b PYTHONOPTIMIZE=2 exec python app.py", 2),
        shell("export PYTHONOPTIMIZE=2; python app.py", 2),
        shell("PYTHONOPTIMIZE=2; python app.py", 0),
        shell("PYTHONOPTIMIZE=2; python app.py", 2).with("PYTHONOPTIMIZE=1"),
        shell("PYTHONOPTIMIZE=2; export PYTHONOPTIMIZE; python app.py", 2),
        shell("export PYTHONOPTIMIZE; PYTHONOPTIMIZE=2; python app.py", 2),
        shell(
            ": ${PYTHONOPTIMIZE:=2}; export PYTHONOPTIMIZE; python app.py",
            2,
        ),
        shell(": \"${O:=-OO}\"; python $O app.py", 2),
        shell(
            "trap 'stop' TERM; stop() { exit; }; trap - INT; python -O app.py",
            1,
        ),
        shell("wait; test x; exec python -O app.py", 1).file("bin/wait", "#!ROOT/bin/python\n"),
        shell("set python3 -OO app.py; exec \"$@\"", 2),
        shell("set -e -o nounset python -O app.py; \"$@\"", 1),
        shell("set -a; PYTHONOPTIMIZE=2; python app.py", 2),
        shell("unset PYTHONOPTIMIZE; python app.py", 0).with("PYTHONOPTIMIZE=2"),
        shell("(export PYTHONOPTIMIZE=2); python app.py", 0),
        shell("python $OPTIONS app.py", 2).with("OPTIONS=-u -OO"),
        shell("python ${OPTIONS:--O} app.py", 1),
        shell("P=python; exec \"$P\" -O app.py", 1),
        shell("exec python '-O' \"app.py\"", 1),
        shell("exec python -\\\nO app.py", 1),
        shell("# python -O\npython app.py # -O", 0),
        shell("python -O app.py 2>&1 >/dev/stdout", 1),
        shell("</dev/null python -O app.py", 1),
        shell(
            "python -O - <<END\nimport sys; print(sys.flags.optimize)\nEND",
            1,
        ),
        shell("echo python -OO >/dev/null; python app.py", 0),
        shell("sh <<'END'\npython -O app.py\nEND", 1),
        shell("sh -s app.py <<END\nexec python -OO app.py\nEND", 2),
        shell(
            "cat <<-END >/dev/null; python -O app.py\n\tpython x\n\tEND\n",
            1,
        ),
        shell(": $(: # it's\n); python -O app.py", 1),
        shell("A=\"${B:-it's}\"; python -O app.py", 1),
        shell(": `echo \\`echo x\\``; python -O app.py", 1),
        form(
            ["/bin/bash", "-c", "A=$''; B=$'it\\'s'; python -O app.py"],
            1,
        ),
        form(
            [
                "/bin/bash",
                "-c",
                "[[ x =~ [[:alpha:]] && x ]] && python -O app.py",
            ],
            1,
        ),
        shell("sleep 0 & wait; python -O app.py", 1),
        shell("true && exec python -O app.py || exit 1", 1),
        shell(
            "if [ -e /nowhere ]; then exec python -O app.py; else exec python -O app.py; fi",
            1,
        ),
        shell("for i in 1; do python -O app.py; done", 1),
        shell("case x in y|z) exit 1;; *) exec python -O app.py;; esac", 1),
        shell("main() { exec python -O \"$@\"; }; main app.py", 1),
        shell("eval 'exec python -OO app.py'", 2),
        shell("exec \"$0\" \"$@\"", 0).unrun(),
        form(
            ["/bin/sh", "-ec", "exec python -O \"$@\"", "sh", "app.py"],
            1,
        ),
        form(["/bin/bash", "-c", "exec -a x python -OO app.py"], 2).unrun(),
        form(["/bin/bash", "-lc", "exec python -OO app.py"], 2).unrun(),
        form(
            ["/bin/bash", "-euxo", "pipefail", "-c", "python -O app.py"],
            1,
        ),
        form(
            [
                "/bin/bash",
                "-c",
                "[[ -z \"$X\" && a < b ]] && python -O app.py",
            ],
            1,
        ),
    ]
}

const EXEC: &str = "#!/bin/sh\nset -e\nexec \"$@\"\n";

fn scripts() -> Vec<Form> {
    vec![
        form(["ROOT/tool"], 2).file("tool", "#!ROOT/bin/python -OO\nimport sys; print(sys.flags.optimize)\n"),
        form(["/bin/sh", "-c", "sync"], 2)
            .file("bin/sync", "#!ROOT/bin/python -OO\nimport sys; print(sys.flags.optimize)\n"),
        form(["ROOT/entry", "app.py"], 1).with("APP_PORT=1").file("entry", USUAL_ENTRY),
        form(["ROOT/tool", "-O"], 0).file("tool", "#!ROOT/bin/python\nimport sys; print(sys.flags.optimize)\n"),
        form(["tool"], 1)
            .file("bin/tool", "#!/usr/bin/env -S python -O\nimport sys; print(sys.flags.optimize)\n"),
        form(["tool"], 0)
            .file("bin/tool", "#!/bin/sh\n'''exec' ROOT/bin/python \"$0\" \"$@\"\n' '''\nimport sys; print(sys.flags.optimize)\n"),
        form(["ROOT/entry", "python", "-OO", "app.py"], 2).file("entry", EXEC),
        form(["./entry", "python", "app.py"], 1)
            .file("entry", "#!/bin/sh\nexport PYTHONOPTIMIZE=1\nexec \"$@\"\n"),
        form(["ROOT/entry"], 1).file("entry", "#!/bin/bash -e\nmkdir -p ROOT/x\nexec python -O ROOT/app.py \"$@\"\n"),
        form(["ROOT/entry", "app.py"], 1).file("entry", "#!/bin/sh\nset -- python -O \"$@\"\nexec \"$@\"\n"),
        form(["ROOT/entry", "x", "app.py"], 2).file("entry", "#!/bin/sh\nshift\nexec python -OO \"$1\"\n"),
        form(["ROOT/entry", "app.py"], 1)
            .file("entry", "#!/bin/sh\n. ROOT/settings\nexec python $OPTIONS \"$@\"\n")
            .file("settings", "OPTIONS=-O\n"),
        form(["ROOT/entry", "app.py"], 1)
            .file("entry", "#!/bin/sh\nexec ROOT/second -O \"$@\"\n")
            .file("second", "#!/bin/sh\nexec python \"$@\"\n"),
        form(["sh", "entry", "app.py"], 1).file("entry", "exec python -O \"$@\"\n"),
        form(["/bin/sh", "-c", "ROOT/entry app.py"], 1).file("entry", "exec python -O \"$@\"\n"),
        form(["ROOT/entry", "-u", "app.py"], 0)
            .file("entry", "#!/bin/sh\nif [ \"${1#-}\" != \"$1\" ]; then set -- python \"$@\"; fi\nexec \"$@\"\n"),
        form(["ROOT/entry", "python", "-O", "app.py"], 1)
            .file("entry", "#!/bin/sh\nif [ \"$AGAIN\" ]; then export AGAIN=1; exec gosu app \"$0\" \"$@\"; fi\nexec \"$@\"\n"),
        form(["ROOT/entry"], 0).file("entry", "#!/bin/sh\nexec \"$@\"\n").unrun(),
        form(["tini", "--", "ROOT/entry", "python", "-O", "app.py"], 1).file("entry", EXEC).unrun(),
        form(["bash"], 2).with("PYTHONOPTIMIZE=2").unrun(),
        form([], 1).with("PYTHONOPTIMIZE=1").unrun(),
        form(["sleep", "infinity"], 0).unrun(),
        form(["python", "-V"], 0).unrun(),
    ]
}

fn unclear_forms() -> Vec<Form> {
    vec![
        unclear(["/bin/sh", "-c", "python $OPTIONS app.py"]),
        unclear(["/bin/sh", "-c", "exec $PROGRAM -O app.py"]),
        unclear(["/bin/sh", "-c", "python \"$APP\""]),
        unclear(["/bin/sh", "-c", "X=$(date); python -O \"$X\""]),
        unclear(["/bin/sh", "-c", "$(python -O -c x); python app.py"]),
        unclear(["/bin/sh", "-c", "eval \"$COMMAND\""]),
        unclear(["/bin/sh", "-c", "PYTHONOPTIMIZE=$LEVEL python app.py"]),
        unclear(["/bin/sh", "-c", "[ \"$DEBUG\" ] || O=-O; python $O app.py"]),
        unclear([
            "/bin/sh",
            "-c",
            "if [ \"$D\" ]; then O=-O; fi; python $O app.py",
        ]),
        unclear(["/bin/sh", "-c", "python -O a.py && python b.py"]),
        unclear([
            "/bin/sh",
            "-c",
            "if x; then python -O a.py; else python b.py; fi",
        ]),
        unclear(["/bin/sh", "-c", ". /run/secrets/env; python app.py"]),
        unclear(["/bin/bash", "-c", "A=(-O); python \"${A[@]}\" app.py"]),
        unclear(["gunicorn", "app"]),
        unclear(["frobnicate", "python", "-O", "app.py"]),
        unclear(["ROOT/binary"]).file("binary", "\x7fELF\0"),
        unclear(["ROOT/entry"])
            .file("entry", "#!/bin/sh\nexec ROOT/binary\n")
            .file("binary", "\x7fELF\0"),
        unclear(["ROOT/run", "python", "-O", "app.py"]).file("run", "#!ROOT/bin/python\n"),
        unclear(["ROOT/text"]).file("text", "no first line"),
        unclear(["sudo", "-E", "python", "app.py"]),
        unclear(["/bin/sh", "-c", "find -okdir python -O {} +"]).file("bin/find", "\x7fELF\0"),
        unclear([
            "/bin/sh",
            "-c",
            "trap 'python -OO app.py' EXIT; python app.py",
        ]),
        unclear(["/bin/sh", "-c", "trap \"$X\" EXIT; python app.py"]),
        unclear([
            "/bin/sh",
            "-c",
            "PYTHONOPTIMIZE=2; if [ x ]; then export PYTHONOPTIMIZE; fi; python app.py",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "[ x ] && export PYTHONOPTIMIZE; PYTHONOPTIMIZE=2; python app.py",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "while [ $# -gt 1 ]; do shift; done; exec python \"$@\"",
            "sh",
            "-u",
            "-OO",
            "app.py",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "while [ x ]; do eval shift; done; exec python \"$@\"",
            "sh",
            "-u",
            "-OO",
            "app.py",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "O=; while [ x ]; do python $O app.py; O=-O; done",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "if [ x ]; then set -- -u; fi; exec \"$@\"",
            "sh",
            "-O",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "if [ x ]; then set -a; fi; PYTHONOPTIMIZE=2; python app.py",
        ]),
        unclear(["su", "app", "-w", "X", "-c", "python app.py"]),
        unclear(["/bin/sh", "-c", "echo python | su app"]),
        unclear(["/bin/sh", "-c", "[ x ] && cd ROOT/y; ./entry"])
            .file("y/entry", "#!/bin/sh\nexec python -O ROOT/app.py\n"),
        unclear(["/bin/sh", "-c", "echo 'python -O app.py' | sh"]),
        unclear(["/bin/sh", "-c", "echo 'python -O app.py' |\nsh"]),
        unclear(["/bin/sh", "-c", "sh < ROOT/commands"]),
        unclear(["/bin/sh", "-c", "sh <<END\n$COMMAND\nEND"]),
        unclear(["/bin/sh", "-c", "while read x; do sh; done"]),
        unclear([
            "/bin/sh",
            "-c",
            "[ x ] && { echo; exec python -O app.py; }; python app.py",
        ]),
        unclear([
            "/bin/sh",
            "-c",
            "[ x ] &&\nexec python -O app.py; python app.py",
        ]),
        unclear(["/bin/sh", "-c", "exec python -O app.py & python app.py"]),
        unclear(["/bin/sh", "-c", "cat <(python -O app.py); python app.py"]),
        unclear(["/bin/sh", "-c", "python app.py; echo \"it's"]),
    ]
}

/// Scripts that try to keep a reader busy, or to exhaust its stack or memory. The texts leak because the table needs
/// static strings.
fn hostile_forms() -> Vec<Form> {
    let script = |text: String| unclear(["/bin/sh", "-c", text.leak()]);
    let file = |text: String| unclear(["/s.sh"]).file("/s.sh", text.leak());
    vec![
        file(format!("#!/bin/sh\n{}", ". /s.sh\n".repeat(200))),
        file(format!("#!/bin/sh\n{}", "`. /s.sh`\n".repeat(200))),
        script(format!(
            "f() {{ {} }}; f; python app.py",
            "f; ".repeat(1000)
        )),
        file(format!(
            "#!/bin/sh\nset -- \"$@\" x\n{}",
            "/s.sh \"$@\"\n".repeat(200)
        )),
        script(format!("a=12345678; {} $a app.py", "a=$a$a; ".repeat(40))),
        script(format!(
            "set -- a b; {} exec \"$@\"",
            "set -- \"$@\" \"$@\"; ".repeat(40)
        )),
        script(format!(
            "set -- {}; exec {}",
            "a ".repeat(9000),
            "\"$@\"".repeat(9000)
        )),
        script(format!(":{}; b", ">a".repeat(30_000))),
        script(format!("a {}", "<<".repeat(30_000))),
        file(format!(
            "#!/bin/sh\n{} f7() {{ $(: $(: $(/s.sh \"$@\" x))); }}; f0 \"$@\"",
            "f0() { f1 \"$@\"; }; f1() { f2 \"$@\"; }; f2() { f7 \"$@\"; };"
        )),
        script(format!("{} b", "command ".repeat(8000))),
        script(format!("echo {}", "\"${a:-".repeat(10_000))),
        script(format!(
            "echo {}x{}; b",
            "${a:-".repeat(10_000),
            "}".repeat(10_000)
        )),
        script(format!(
            "echo {}x{}; b",
            "\"${a:-".repeat(8000),
            "}\"".repeat(8000)
        )),
        script(format!("echo {}", "$(".repeat(20_000))),
        script(format!(
            "echo {}x{}",
            "$(".repeat(20_000),
            ")".repeat(20_000)
        )),
        script("{ ".repeat(30_000)),
        script("if ( ".repeat(10_000)),
        script(format!(
            "export a=12345678; {} b",
            "export a=$a$a; ".repeat(30)
        )),
    ]
}

/// A typical entry script of real images.
const USUAL_ENTRY: &str = r#"#!/bin/bash
set -Eeo pipefail
# It's for `python`, and doesn't matter.
file_env() {
	local var="$1"
	local fileVar="${var}_FILE"
	local def="${2:-}"
	if [ "${!var:-}" ] && [ "${!fileVar:-}" ]; then
		echo >&2 "error: both $var and $fileVar are set (but are exclusive)"
		exit 1
	fi
	local val="$def"
	if [ "${!var:-}" ]; then
		val="${!var}"
	elif [ "${!fileVar:-}" ]; then
		val="$(< "${!fileVar}")"
	fi
	export "$var"="$val"
	unset "$fileVar"
}
: "${APP_PORT:?is not set}" "${APP_HOST:=0.0.0.0}"
if [[ "$APP_PORT" =~ ^[0-9]+$ ]] && (( APP_PORT > 0 )); then
	echo "port $APP_PORT" >&2
fi
for f in /docker-entrypoint.d/*; do
	case "$f" in
		*.env) echo "$0: reading $f" ;;
		*)     echo "$0: ignoring $f" ;;
	esac
done >&2
while IFS='=' read -r key value; do
	printf '%s %s\n' "$key" "${value//\"/}" > /dev/null
done < <(env | grep '^APP_' || true)
cat > /dev/null <<-EOF
	host = ${APP_HOST}
	it's $(date +%s)
EOF
um="$(umask)"
if [ "$um" = '0022' ]; then
	umask 0077
fi
n=$(( ($(nproc) + 1) * 2 ))
exec python -O "$@"
"#;

/// pycull's reading of a form. `root` is the directory with its files.
fn reading(form: &Form, root: &Path, python: &str) -> Reading {
    let root = root.to_str().unwrap();
    let at = |path: &str| format!("{root}/{path}").trim_start_matches('/').to_owned();
    let mut layer = LayerBuilder::new()
        .file(python.trim_start_matches('/'), "\x7fELF\0")
        .symlink(&at("bin/python"), python)
        .symlink(&at("bin/python3"), "python");
    for (path, text) in &form.files {
        layer = layer.file(&at(path), text.replace(ROOT, root));
    }
    let tar = layer.build();
    let mut members: Vec<Member> = Vec::new();
    let mut reader = Reader::new(&tar[..]);
    while let Some(member) = reader.next_member().unwrap() {
        members.push(member);
    }
    let rootfs = squash([&members[..]], &Limits::NONE.of_layers(0)).unwrap();
    let command: Vec<String> = form
        .command
        .iter()
        .map(|it| it.replace(ROOT, root))
        .collect();
    let environment: Vec<String> = environment(form, root)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let config = json!({"config": {"Cmd": command, "Env": environment, "WorkingDir": root}});
    read(&config, &rootfs, &|inode| {
        let member = &members[rootfs.inode(inode).data().index];
        let start = member.data_offset() as usize;
        Some(tar[start..start + member.size as usize].to_vec())
    })
}

fn environment(form: &Form, root: &str) -> BTreeMap<String, String> {
    let variables = form
        .environment
        .iter()
        .map(|it| it.split_once('=').unwrap());
    let mut all: BTreeMap<String, String> = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.insert("PATH".to_owned(), format!("{root}/bin:/usr/bin:/bin"));
    all
}

fn real_python() -> String {
    let script = "import os, sys; print(os.path.realpath(sys.executable))";
    let path = tool("python3", ["-c", script]).success().text();
    path.trim().to_owned()
}

#[test]
fn every_form_of_a_command_has_its_known_level() {
    let root = Path::new("/srv/app");
    let forms = [words(), wrappers(), shells(), scripts(), unclear_forms()].concat();
    assert!(forms.len() > 100, "{}", forms.len());
    let mut wrong = Vec::new();
    for form in &forms {
        let reading = reading(form, root, "/usr/bin/python3.11");
        assert!(reading.unread.is_empty());
        let level = reading.level();
        if level.as_ref().ok() != form.level.as_ref() {
            wrong.push(format!(
                "{:?} {:?}: {level:?}, not {:?}",
                form.command, form.files, form.level
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_scripts_are_unclear_after_little_time() {
    for form in hostile_forms() {
        let start = Instant::now();
        let reading = reading(&form, Path::new("/"), "/usr/bin/python3.11");
        let command = &form.command.concat();
        let shown = &command[..command.len().min(60)];
        assert!(reading.level().is_err(), "{shown}");
        assert!(start.elapsed() < Duration::from_secs(20), "{shown}");
    }
}

#[test]
fn real_shells_and_a_real_python_confirm_the_table() {
    let python = real_python();
    let forms = [words(), wrappers(), shells(), scripts()].concat();
    let runnable: Vec<&Form> = forms.iter().filter(|form| form.runs).collect();
    assert!(runnable.len() > 70, "{}", runnable.len());
    let mut wrong = Vec::new();
    for form in runnable {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("bin")).unwrap();
        symlink(&python, root.join("bin/python")).unwrap();
        symlink("python", root.join("bin/python3")).unwrap();
        fs::write(root.join("app.py"), PRINT).unwrap();
        fs::write(root.join("mod.py"), PRINT).unwrap();
        let text_of = |text: &str| text.replace(ROOT, root.to_str().unwrap());
        for (path, text) in &form.files {
            fs::write(root.join(path), text_of(text)).unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let words: Vec<String> = form.command.iter().map(|it| text_of(it)).collect();
        let program = Path::new(&words[0]);
        let program = match words[0].contains('/') {
            true => root.join(program),
            false => ["bin", "/usr/bin", "/bin"]
                .map(|it| root.join(it).join(program))
                .into_iter()
                .find(|it| it.exists())
                .unwrap(),
        };
        let output = Command::new(program)
            .args(&words[1..])
            .env_clear()
            .envs(environment(form, root.to_str().unwrap()))
            .current_dir(root)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if Some(printed.clone()) != form.level.map(|level| level.to_string()) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!(
                "{:?}: {printed}, not {:?}\n{stderr}",
                form.command, form.level
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
