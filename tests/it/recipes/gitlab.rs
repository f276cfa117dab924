//! The GitLab job, with its script run as a runner runs it. A server imitates GitLab's notes API.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::workplace::Workplace;
use super::{document, text};
use crate::support::registry::LOGIN;
use crate::support::tools::Output;

const TOKEN: &str = "glpat-1";
/// The user of the token.
const ME: u64 = 7;

/// The notes of a merge request, and the requests for them.
#[derive(Default)]
struct Notes {
    notes: Vec<Value>,
    requests: Vec<String>,
}

/// A server for the part of the API that the recipe uses.
struct Api {
    address: String,
    notes: Arc<Mutex<Notes>>,
}

impl Api {
    /// Starts the server. It ends with the test process.
    fn start(notes: Vec<Value>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://{}/api/v4", listener.local_addr().unwrap());
        let notes = Arc::new(Mutex::new(Notes {
            notes,
            requests: Vec::new(),
        }));
        let shared = Arc::clone(&notes);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), &mut shared.lock().unwrap());
            }
        });
        Self { address, notes }
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap().requests)
    }

    /// The bodies of the notes of this token's user.
    fn mine(&self) -> Vec<String> {
        let notes = &self.notes.lock().unwrap().notes;
        notes
            .iter()
            .filter(|note| note["author"]["id"] == ME)
            .map(|note| text(&note["body"]).to_owned())
            .collect()
    }
}

fn note(id: usize, author: u64, body: &str) -> Value {
    json!({"id": id, "author": {"id": author}, "body": body})
}

fn answer(stream: &mut TcpStream, notes: &mut Notes) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    };
    if header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let request = lines[0].trim_end_matches(" HTTP/1.1").to_owned();
    notes.requests.push(request.clone());
    let (status, more, text) = if header("private-token") == Some(TOKEN) {
        reply(&request, &String::from_utf8(body).unwrap(), notes)
    } else {
        (
            "401 Unauthorized",
            String::new(),
            json!({"message": "401 Unauthorized"}),
        )
    };
    let text = text.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
}

fn reply(request: &str, body: &str, notes: &mut Notes) -> (&'static str, String, Value) {
    const PATH: &str = "/api/v4/projects/11/merge_requests/5/notes";
    let (method, path) = request.split_once(' ').unwrap();
    let below = path.strip_prefix(PATH);
    match (method, below) {
        ("GET", None) if path == "/api/v4/user" => ("200 OK", String::new(), json!({"id": ME})),
        ("GET", Some(query)) => {
            let page: usize = query
                .strip_prefix("?per_page=100&page=")
                .unwrap()
                .parse()
                .unwrap();
            let more = notes.notes.len() > page * 100;
            let next = if more {
                (page + 1).to_string()
            } else {
                String::new()
            };
            let these = notes
                .notes
                .iter()
                .skip((page - 1) * 100)
                .take(100)
                .cloned()
                .collect();
            (
                "200 OK",
                format!("X-Next-Page: {next}\r\n"),
                Value::Array(these),
            )
        }
        ("POST", Some("")) => {
            let new = note(1000 + notes.notes.len(), ME, &form(body));
            notes.notes.push(new.clone());
            ("201 Created", String::new(), new)
        }
        ("PUT", Some(id)) => {
            let old = notes
                .notes
                .iter_mut()
                .find(|note| format!("/{}", note["id"]) == id && note["author"]["id"] == ME);
            old.unwrap()["body"] = form(body).into();
            ("200 OK", String::new(), json!({}))
        }
        _ => (
            "404 Not Found",
            String::new(),
            json!({"message": "404 Not Found"}),
        ),
    }
}

/// The field `body` of a form. It is the only field.
fn form(encoded: &str) -> String {
    let mut bytes = encoded.strip_prefix("body=").unwrap().bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap()
}

/// Imitates a runner, for a merge request or the default branch.
struct Runner {
    place: Workplace,
    environment: BTreeMap<String, String>,
    runs: usize,
}

impl Runner {
    fn new(event: &[(&str, &str)]) -> Self {
        let (job, place) = (document("gitlab-ci.yml")["small"].clone(), Workplace::new());
        let mut environment = BTreeMap::new();
        let image = place.name("app");
        let (user, password) = LOGIN.split_once(':').unwrap();
        for (name, value) in [
            ("CI_REGISTRY", place.registry()),
            ("CI_REGISTRY_IMAGE", &image),
            ("CI_REGISTRY_USER", user),
            ("CI_REGISTRY_PASSWORD", password),
            ("CI_COMMIT_SHORT_SHA", "1ec1f3a9"),
            ("CI_DEFAULT_BRANCH", "main"),
            ("CI_PROJECT_ID", "11"),
            ("CI_JOB_NAME", "small"),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        environment.extend(
            event
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let predefined = environment.clone();
        for (name, value) in job["variables"].as_object().unwrap() {
            let expanded = predefined
                .iter()
                .rev()
                .fold(text(value).to_owned(), |value, (name, with)| {
                    value.replace(&format!("${name}"), with)
                });
            assert!(!expanded.contains('$'), "no such variable here: {expanded}");
            environment.insert(name.clone(), expanded);
        }
        Self {
            place,
            environment,
            runs: 0,
        }
    }

    fn merge_request(api: &Api) -> Self {
        Self::new(&[
            ("CI_MERGE_REQUEST_IID", "5"),
            ("CI_API_V4_URL", &api.address),
            ("PYCULL_TOKEN", TOKEN),
        ])
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Runs the job in a new directory with bash, as a runner does.
    fn run(&mut self) -> Output {
        let job = &document("gitlab-ci.yml")["small"];
        self.runs += 1;
        let directory = self.place.make(&format!("run-{}", self.runs));
        let lines: Vec<&str> = job["script"].as_array().unwrap().iter().map(text).collect();
        let script = format!("set -eo pipefail\n{}", lines.join("\n"));
        self.place
            .script(&["bash"], &script, &directory, &self.environment)
    }

    /// The artifact of the last run.
    fn reports(&self) -> PathBuf {
        let job = &document("gitlab-ci.yml")["small"];
        assert_eq!(job["artifacts"]["when"], "always");
        self.place
            .path()
            .join(format!("run-{}", self.runs))
            .join(text(&job["artifacts"]["paths"][0]))
    }
}

#[test]
fn a_merge_request_has_one_note_which_every_push_replaces() {
    let api = Api::start(vec![
        note(1, 8, "looks good"),
        note(2, 8, "<!-- pycull: small -->\nnot the token's"),
    ]);
    let mut runner = Runner::merge_request(&api);
    runner.place.push("fedora-shaped.tar", "app:1ec1f3a9", None);
    runner
        .place
        .push("fedora-shaped.tar", "app:main", Some("default"));
    let output = runner.run();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let mine = api.mine();
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert!(
        mine[0].starts_with("<!-- pycull: small -->\n| question | answer |\n"),
        "{}",
        mine[0]
    );
    for line in ["may it be merged? | **yes**", "→", "-16.6 %"] {
        assert!(mine[0].contains(line), "{}", mine[0]);
    }
    assert_eq!(
        api.requests().last().unwrap(),
        "POST /api/v4/projects/11/merge_requests/5/notes"
    );
    for report in ["report.md", "report.html"] {
        assert!(runner.reports().join(report).is_file());
    }

    // The same job after another push, refused by a gate.
    runner.set("PYCULL_MIN_SHRINK", "90%");
    let output = runner.run();
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let mine = api.mine();
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert!(
        mine[0].contains("may it be merged? | **no**"),
        "{}",
        mine[0]
    );
    assert_eq!(
        api.requests().last().unwrap(),
        "PUT /api/v4/projects/11/merge_requests/5/notes/1002"
    );
    assert!(runner.reports().join("report.html").is_file());
}

#[test]
fn the_note_is_found_behind_many_others() {
    let mut notes: Vec<Value> = (0..230).map(|id| note(id, 8, "talk")).collect();
    notes[210] = note(210, ME, "<!-- pycull: small -->\nof before");
    let api = Api::start(notes);
    let mut runner = Runner::merge_request(&api);
    runner.set("BASELINE", "");
    runner.place.push("fedora-shaped.tar", "app:1ec1f3a9", None);
    let output = runner.run();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(
        api.requests().last().unwrap(),
        "PUT /api/v4/projects/11/merge_requests/5/notes/210"
    );
}

#[test]
fn what_cannot_be_done_is_no_gate() {
    let api = Api::start(Vec::new());
    let mut runner = Runner::merge_request(&api);
    runner.set("BASELINE", "");
    let output = runner.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.contains("unknown"), "{}", output.stderr);

    // The password is wrong.
    let password = std::mem::replace(
        runner.environment.get_mut("CI_REGISTRY_PASSWORD").unwrap(),
        "wrong".to_owned(),
    );
    let output = runner.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    let refused = "refused the credentials";
    assert!(output.stderr.contains(refused), "{}", output.stderr);
    runner.set("CI_REGISTRY_PASSWORD", &password);

    // pycull fails, and the note says why.
    runner.place.push("fedora-shaped.tar", "app:1ec1f3a9", None);
    runner.set("PYCULL_PROFILE", "nope");
    let output = runner.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(
        api.mine()[0].contains("there is no profile `nope`"),
        "{:?}",
        api.mine()
    );
    assert!(runner.reports().join("report.md").is_file());

    // The token may not write notes.
    runner.set("PYCULL_PROFILE", "default");
    runner.set("PYCULL_TOKEN", "of somebody else");
    let output = runner.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.contains("401"), "{}", output.stderr);
}

#[test]
fn the_default_branch_gets_the_smaller_image_and_no_note() {
    let mut runner = Runner::new(&[("CI_COMMIT_BRANCH", "main")]);
    runner.set("BASELINE", "");
    runner.place.push("fedora-shaped.tar", "app:1ec1f3a9", None);
    let output = runner.run();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let pushed = runner.place.digest("app:main").unwrap();
    // What was pushed is what was verified.
    let small = runner.place.path().join("run-1/app-small.tar");
    assert_eq!(pushed, runner.place.digest_in(&small));

    // The pushed image is the baseline of the next run. That run is refused, so its image is not pushed.
    runner.set("BASELINE", &runner.place.name("app:main"));
    runner.set("PYCULL_MIN_SHRINK", "90%");
    runner.set("PYCULL_PROFILE", "minimal");
    let output = runner.run();
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(runner.place.digest("app:main").unwrap(), pushed);
}

#[test]
fn nothing_that_a_report_says_is_a_command_to_gitlab() {
    let api = Api::start(Vec::new());
    let mut runner = Runner::merge_request(&api);
    runner.set("BASELINE", "");
    runner.place.push("fedora-shaped.tar", "app:1ec1f3a9", None);
    // A fake gate, whose output becomes the note.
    let gate = runner.place.make("bin").join("pycull-gate");
    fs::write(&gate, "#!/bin/sh\nmkdir -p \"$3\" && printf '/merge x\\n  /approve\\nthis /is not\\n' >\"$3/report.md\"\n").unwrap();
    fs::set_permissions(&gate, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        gate.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    runner.set("PATH", &path);
    let output = runner.run();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(
        api.mine(),
        ["<!-- pycull: small -->\n\\/merge x\n\\/approve\nthis /is not\n"]
    );
}
