//! Programs that run another program from their last words, for example `env`, `tini`, `nice` and `gosu`.

use super::switch_user::{su, sudo};
use super::variables::Variables;
use super::word::Word;
use super::wrapped::{Wrapped, program, unclear_option};

/// The options of a wrapper.
struct Grammar {
    names: &'static [&'static str],
    /// Options whose argument is the next word.
    with_argument: &'static [&'static str],
    /// The number of words between the options and the program.
    operands: usize,
}

const fn grammar(
    names: &'static [&'static str],
    with_argument: &'static [&'static str],
    operands: usize,
) -> Grammar {
    Grammar {
        names,
        with_argument,
        operands,
    }
}

const GRAMMARS: [Grammar; 20] = [
    grammar(
        &[
            "tini",
            "tini-static",
            "tini-amd64",
            "tini-arm64",
            "docker-init",
        ],
        &["-p", "-e"],
        0,
    ),
    grammar(&["catatonit"], &[], 0),
    grammar(&["dumb-init"], &["-r", "--rewrite"], 0),
    grammar(&["nohup", "setsid", "catchsegv", "fixuid"], &[], 0),
    grammar(&["nice"], &["-n", "--adjustment"], 0),
    grammar(&["ionice"], &["-c", "-n", "--class", "--classdata"], 0),
    grammar(
        &["stdbuf"],
        &["-i", "-o", "-e", "--input", "--output", "--error"],
        0,
    ),
    grammar(&["timeout"], &["-k", "-s", "--kill-after", "--signal"], 1),
    grammar(&["time"], &["-f", "-o", "--format", "--output"], 0),
    grammar(&["gosu", "su-exec", "setuidgid"], &[], 1),
    grammar(
        &["chpst"],
        &[
            "-u", "-U", "-b", "-e", "-/", "-C", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f",
            "-c", "-t", "-r",
        ],
        0,
    ),
    grammar(
        &["setpriv"],
        &[
            "--reuid",
            "--regid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
        ],
        0,
    ),
    grammar(&["taskset"], &[], 1),
    grammar(&["chrt"], &["-T", "-P", "-D"], 1),
    grammar(&["numactl"], &["-N", "-m", "-C", "-p", "-i"], 0),
    grammar(
        &["xvfb-run"],
        &[
            "-e",
            "-f",
            "-n",
            "-p",
            "-s",
            "-w",
            "--server-num",
            "--server-args",
            "--error-file",
        ],
        0,
    ),
    grammar(&["linux32", "linux64", "setarch"], &[], 0),
    grammar(&["unbuffer", "faketime", "eatmydata"], &[], 0),
    grammar(&["prlimit"], &[], 0),
    grammar(&["ld.so"], &["--library-path", "--preload", "--argv0"], 0),
];

/// What a wrapper with this name runs; `None` if the name is not a wrapper's.
pub(super) fn wrapped(name: &str, words: &[Word], variables: &Variables) -> Option<Wrapped> {
    match name {
        "env" => return Some(env(words, variables)),
        "sudo" | "doas" => return Some(sudo(words)),
        "su" | "runuser" => return Some(su(words, variables)),
        "busybox" | "toybox" => return Some(program(words.to_vec(), variables)),
        _ => {}
    }
    let grammar = GRAMMARS.iter().find(|it| it.names.contains(&name))?;
    Some(by_grammar(name, grammar, words, variables))
}

fn by_grammar(name: &str, grammar: &Grammar, words: &[Word], variables: &Variables) -> Wrapped {
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word.may_be_option() {
            return unclear_option(name, word);
        }
        let text = word.text();
        if !text.starts_with('-') || text == "-" {
            break;
        }
        rest = after;
        if text == "--" {
            break;
        }
        // `-p` names processes that already run.
        if name == "ionice" && matches!(text, "-p" | "-P" | "-u") {
            return Wrapped::Nothing;
        }
        if name == "taskset" && text.contains('p') {
            return Wrapped::Nothing;
        }
        if grammar.with_argument.contains(&text) {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    program(
        rest.get(grammar.operands..).unwrap_or_default().to_vec(),
        variables,
    )
}

/// Reads `env` of GNU and of busybox.
fn env(words: &[Word], variables: &Variables) -> Wrapped {
    let mut own = variables.clone();
    let mut directory = None;
    let mut rest = words.to_vec();
    loop {
        let Some(word) = rest.first().cloned() else {
            return Wrapped::Nothing;
        };
        if word.may_be_option() {
            return unclear_option("env", &word);
        }
        let text = word.text();
        if let Some((name, value)) = text.split_once('=').filter(|_| !text.starts_with('-')) {
            own.assign_exported(name, Word::new(value));
            rest.remove(0);
            continue;
        }
        let Some(option) = text.strip_prefix('-') else {
            break;
        };
        rest.remove(0);
        match option {
            "" | "-ignore-environment" => own.clear(),
            "-" => {}
            _ => {
                if let Err(unclear) = env_option(option, &mut rest, &mut own, &mut directory) {
                    return unclear;
                }
            }
        }
    }
    Wrapped::Program {
        words: rest,
        variables: own,
        directory,
    }
}

/// Reads an option of `env`, given without its first hyphen.
fn env_option(
    option: &str,
    rest: &mut Vec<Word>,
    own: &mut Variables,
    directory: &mut Option<Word>,
) -> Result<(), Wrapped> {
    if let Some(long) = option.strip_prefix('-') {
        let (name, value) = long.split_once('=').unwrap_or((long, ""));
        match name {
            "unset" => own.remove(&value_or_next(value, rest)),
            "chdir" => *directory = Some(Word::new(value_or_next(value, rest))),
            "split-string" => split_string(value_or_next(value, rest), rest)?,
            "null" | "debug" | "block-signal" | "default-signal" | "ignore-signal" => {}
            _ => return Err(unclear_option("env", &Word::new(format!("-{option}")))),
        }
        return Ok(());
    }
    for (place, letter) in option.char_indices() {
        let attached = &option[place + letter.len_utf8()..];
        match letter {
            'i' => own.clear(),
            '0' | 'v' => {}
            'u' => {
                own.remove(&value_or_next(attached, rest));
                break;
            }
            'C' => {
                *directory = Some(Word::new(value_or_next(attached, rest)));
                break;
            }
            'S' => {
                split_string(value_or_next(attached, rest), rest)?;
                break;
            }
            _ => return Err(unclear_option("env", &Word::new(format!("-{option}")))),
        }
    }
    Ok(())
}

fn value_or_next(value: &str, rest: &mut Vec<Word>) -> String {
    match value.is_empty() && !rest.is_empty() {
        true => rest.remove(0).text().to_owned(),
        false => value.to_owned(),
    }
}

/// Reads `env -S`: quoted words that replace the option. Its escapes and `${NAME}` are not supported.
fn split_string(text: String, rest: &mut Vec<Word>) -> Result<(), Wrapped> {
    if text.contains(['\\', '$']) {
        return Err(Wrapped::Unclear(format!("`env -S` expands `{text}`")));
    }
    let mut words = Vec::new();
    let (mut current, mut quote) = (None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                current.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(current.take().map(Word::new)),
            (None, '#') if current.is_none() => break,
            _ => current.get_or_insert_default().push(letter),
        }
    }
    words.extend(current.map(Word::new));
    rest.splice(0..0, words);
    Ok(())
}
