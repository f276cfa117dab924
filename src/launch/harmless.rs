//! Programs that do not start Python.

use super::word::Word;

#[rustfmt::skip]
const NAMES: &[&str] = &[
    ":", "[", "addgroup", "adduser", "alias", "apk", "apt", "apt-get", "awk", "base64", "basename",
    "bg", "break", "cat", "chgrp", "chmod", "chown", "clear", "cmp", "comm", "continue", "cp",
    "curl", "cut", "date", "dd", "df", "diff", "dirname", "dirs", "disown", "du", "echo", "egrep",
    "expr", "false", "fg", "fgrep", "file", "find", "getent", "getopt", "grep", "groupadd",
    "groupmod", "gunzip", "gzip", "hash", "head", "hostname", "id", "install", "ip", "jobs", "jq",
    "kill", "killall", "ldconfig", "let", "link", "ln", "locale", "locale-gen", "logger", "ls",
    "md5sum", "mkdir", "mkfifo", "mknod", "mktemp", "mount", "mountpoint", "mv", "mysqladmin", "nc",
    "netcat", "nproc", "openssl", "pg_isready", "pgrep", "ping", "pkill", "popd", "printenv",
    "printf", "ps", "psql", "pwd", "readlink", "realpath", "redis-cli", "rm", "rmdir", "sed", "seq",
    "sha256sum", "shopt", "shred", "sleep", "sort", "stat", "stty", "sync", "sysctl", "tail", "tar",
    "tee", "test", "times", "touch", "tr", "trap", "true", "tty", "type", "ulimit", "umask",
    "unalias", "uname", "uniq", "update-ca-certificates", "useradd", "usermod", "wait", "wc",
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

/// Whether a program, named as it is in a command, starts no Python with these arguments.
pub(super) fn is_harmless(program: &str, arguments: &[Word]) -> bool {
    let (directory, name) = program.rsplit_once('/').unwrap_or(("", program));
    let runs = |option: &str| arguments.iter().any(|word| word.text() == option);
    match name {
        "find" if runs("-exec") || runs("-execdir") || runs("-ok") => false,
        _ => DIRECTORIES.contains(&directory) && NAMES.contains(&name),
    }
}
