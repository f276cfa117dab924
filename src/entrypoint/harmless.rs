//! Programs that do not start Python.

/// Shell builtins that start nothing.
#[rustfmt::skip]
const BUILTINS: &[&str] = &[
    ":", "[", "bg", "break", "continue", "dirs", "disown", "echo", "false", "fg", "hash", "jobs",
    "kill", "let", "popd", "printf", "pwd", "shopt", "test", "times", "true", "type", "ulimit",
    "umask", "unalias", "wait",
];

use super::word::Word;

#[rustfmt::skip]
const NAMES: &[&str] = &[
    "[", "addgroup", "adduser", "apk", "apt", "apt-get", "awk", "base64", "basename",
    "cat", "chgrp", "chmod", "chown", "clear", "cmp", "comm", "cp",
    "curl", "cut", "date", "dd", "df", "diff", "dirname", "du", "echo", "egrep",
    "expr", "false", "fgrep", "file", "find", "getent", "getopt", "grep", "groupadd",
    "groupmod", "gunzip", "gzip", "head", "hostname", "id", "install", "ip", "jq",
    "kill", "killall", "ldconfig", "link", "ln", "locale", "locale-gen", "logger", "ls",
    "md5sum", "mkdir", "mkfifo", "mknod", "mktemp", "mount", "mountpoint", "mv", "mysqladmin", "nc",
    "netcat", "nproc", "openssl", "pg_isready", "pgrep", "ping", "pkill", "printenv",
    "printf", "ps", "psql", "pwd", "readlink", "realpath", "redis-cli", "rm", "rmdir", "sed", "seq",
    "sha256sum", "shred", "sleep", "sort", "stat", "stty", "sync", "sysctl", "tail", "tar",
    "tee", "test", "touch", "tr", "true", "tty", 
    "uname", "uniq", "update-ca-certificates", "useradd", "usermod", "wc",
    "wget", "which", "whoami", "xdg-open", "yes",
];

/// Directories of a distribution's own programs.
const DIRECTORIES: [&str; 6] = [
    "",
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
];

/// Whether a shell runs this command itself and starts nothing.
pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name)
}

/// Whether a program, if it is not a script, starts no Python with these arguments. `program` is as in the command.
pub(super) fn is_harmless(program: &str, arguments: &[Word]) -> bool {
    let (directory, name) = program.rsplit_once('/').unwrap_or(("", program));
    let runs = |word: &Word| matches!(word.text(), "-exec" | "-execdir" | "-ok" | "-okdir");
    match name {
        "find" if arguments.iter().any(runs) => false,
        _ => DIRECTORIES.contains(&directory) && NAMES.contains(&name),
    }
}
