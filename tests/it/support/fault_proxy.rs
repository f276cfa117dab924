//! A proxy in front of a registry that counts what passes and makes faults.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request on its way to the registry.
#[derive(Debug, Clone)]
pub struct Passing {
    pub method: String,
    /// The path with the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// How many requests with this method and path came before. All uploads to a repository have one path.
    pub before: usize,
}

impl Passing {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }

    fn kind(&self) -> (&str, &str) {
        let path = self.path.split('?').next().unwrap_or_default();
        let uploads = path.find("/blobs/uploads/");
        (&self.method, uploads.map_or(path, |at| &path[..at + 1]))
    }

    /// Bytes of the body, if the request says how many.
    pub fn length(&self) -> u64 {
        self.header("content-length")
            .map_or(0, |length| length.parse().unwrap())
    }

    /// Whether the body comes in chunks of HTTP, without a length.
    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// Copies at most `most` bytes of the body. Returns how many there were.
    fn copy_body(
        &self,
        reader: &mut impl BufRead,
        most: u64,
        to: &mut impl Write,
    ) -> io::Result<u64> {
        if !self.is_chunked() {
            return io::copy(&mut reader.take(self.length().min(most)), to);
        }
        let mut copied = 0;
        while copied < most {
            let size = line(reader)?;
            write!(to, "{size}\r\n")?;
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            copied += io::copy(&mut reader.take(size), to)?;
            line(reader)?;
            to.write_all(b"\r\n")?;
            if size == 0 {
                break;
            }
        }
        Ok(copied)
    }
}

/// What the proxy does with a request.
pub enum Fault {
    None,
    /// Answers itself, after reading the body.
    Answer(u16, Vec<(&'static str, String)>),
    /// Answers itself, with a text.
    Text(String),
    /// Passes this many bytes of the answer's body on, and ends the connection.
    Cut(u64),
    /// Changes the answer's body.
    Body(fn(Vec<u8>) -> Vec<u8>),
    /// Passes a byte of the answer's body on each second.
    Trickle,
    /// Ends the connection after this many bytes of the request's body.
    Drop(u64),
    /// Passes on without the range that the client asks for.
    WithoutRange,
    /// Passes on without the query of the path.
    WithoutQuery,
    /// Passes on, but changes the answer's status line and adds headers.
    Status(u16, Vec<(&'static str, String)>),
}

/// A request that passed.
#[derive(Debug, Clone)]
pub struct Passed {
    pub request: Passing,
    /// Bytes of the request's body.
    pub up: u64,
    /// Bytes of the answer's body.
    pub down: u64,
}

type Rule = dyn Fn(&Passing) -> Fault + Send + Sync;

/// A running proxy. It ends with the test's process.
pub struct FaultProxy {
    pub address: String,
    log: Arc<Mutex<Vec<Passed>>>,
}

impl FaultProxy {
    /// Starts a proxy in front of the registry at `upstream`.
    pub fn start(upstream: &str, rule: impl Fn(&Passing) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let upstream = upstream.to_owned();
        let (rule, entries): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&log));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, rule) = (upstream.clone(), Arc::clone(&rule));
                let entries = Arc::clone(&entries);
                // A connection that breaks is what these tests are about.
                thread::spawn(move || serve(client, &upstream, &*rule, &entries));
            }
        });
        Self { address, log }
    }

    /// A proxy that only counts.
    pub fn counting(upstream: &str) -> Self {
        Self::start(upstream, |_| Fault::None)
    }

    pub fn log(&self) -> Vec<Passed> {
        self.log.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.log.lock().unwrap().clear();
    }

    /// Bytes of blobs that came down.
    pub fn down(&self) -> u64 {
        let log = self.log();
        let blobs = log.iter().filter(|it| it.request.is("GET", "/blobs/"));
        blobs.map(|it| it.down).sum()
    }

    /// Bytes of blobs that went up.
    pub fn up(&self) -> u64 {
        let log = self.log();
        let blobs = log.iter().filter(|it| it.request.path.contains("/blobs/"));
        blobs.map(|it| it.up).sum()
    }

    /// How many requests with this method have this text in their path.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let log = self.log();
        log.iter().filter(|it| it.request.is(method, part)).count()
    }
}

fn serve(
    client: TcpStream,
    upstream: &str,
    rule: &Rule,
    log: &Mutex<Vec<Passed>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut writer = client;
    while let Some(mut request) = read_request(&mut reader)? {
        let entry = {
            let mut log = log.lock().unwrap();
            let same = |it: &&Passed| it.request.kind() == request.kind();
            request.before = log.iter().filter(same).count();
            log.push(Passed {
                request: request.clone(),
                up: 0,
                down: 0,
            });
            log.len() - 1
        };
        let fault = rule(&request);
        // The numbers are there before pycull has all of the answer.
        let note = |up, down| {
            if let Some(passed) = log.lock().unwrap().get_mut(entry) {
                (passed.up, passed.down) = (up, down);
            }
        };
        let expects = request.header("expect").is_some();
        if let Fault::Text(text) = fault {
            request.copy_body(&mut reader, u64::MAX, &mut io::sink())?;
            write_head(&mut writer, 200, &[], text.len() as u64)?;
            writer.write_all(text.as_bytes())?;
            continue;
        }
        if let Fault::Answer(status, headers) = fault {
            if !expects {
                request.copy_body(&mut reader, u64::MAX, &mut io::sink())?;
            }
            let close = ("Connection", "close".to_owned());
            let end = expects.then_some(close);
            let headers: Vec<_> = headers.into_iter().chain(end).collect();
            write_head(&mut writer, status, &headers, 0)?;
            if expects {
                // A client that did not wait sends a body now, which is no request.
                return Ok(());
            }
            continue;
        }
        if expects {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if let Fault::Drop(bytes) = fault {
            let up = request.copy_body(&mut reader, bytes, &mut io::sink())?;
            note(up, 0);
            return Ok(());
        }
        if matches!(fault, Fault::WithoutRange) {
            request
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case("range"));
        }
        if matches!(fault, Fault::WithoutQuery) {
            request
                .path
                .truncate(request.path.find('?').unwrap_or(request.path.len()));
        }
        let mut registry = TcpStream::connect(upstream)?;
        registry.write_all(head_of(&request).as_bytes())?;
        let up = request.copy_body(&mut reader, u64::MAX, &mut registry)?;
        let mut answer = Answer::read(registry, &request.method)?;
        if let Fault::Status(status, headers) = &fault {
            answer.status = *status;
            for (name, value) in headers {
                answer
                    .headers
                    .retain(|(it, _)| !it.eq_ignore_ascii_case(name));
                answer.headers.push(((*name).to_owned(), value.clone()));
            }
        }
        let is_head = request.method == "HEAD";
        let most = if let Fault::Cut(bytes) = fault {
            bytes
        } else {
            u64::MAX
        };
        let length = if is_head { 0 } else { answer.length() };
        note(up, length.min(most));
        if !pass(answer, &fault, &mut writer, is_head)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Passes an answer on. Returns whether the connection goes on.
fn pass(answer: Answer, fault: &Fault, writer: &mut TcpStream, is_head: bool) -> io::Result<bool> {
    let mut body = answer.body;
    if let Fault::Body(change) = fault {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        let bytes = change(bytes);
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        write_head(writer, answer.status, &headers, bytes.len() as u64)?;
        writer.write_all(&bytes)?;
        return Ok(true);
    }
    write!(writer, "HTTP/1.1 {} x\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(writer, "{name}: {value}\r\n")?;
    }
    writer.write_all(b"\r\n")?;
    if is_head {
        return Ok(true);
    }
    match fault {
        Fault::Cut(bytes) => {
            io::copy(&mut body.take(*bytes), writer)?;
            return Ok(false);
        }
        Fault::Trickle => {
            for byte in BufReader::new(body).bytes() {
                writer.write_all(&[byte?])?;
                writer.flush()?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        _ => {
            io::copy(&mut body, writer)?;
        }
    }
    Ok(true)
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Read>,
}

impl Answer {
    /// Bytes of the body.
    fn length(&self) -> u64 {
        let mut headers = self.headers.iter();
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        found.map_or(0, |(_, length)| length.parse().unwrap())
    }

    fn read(registry: TcpStream, method: &str) -> io::Result<Self> {
        let mut reader = BufReader::new(registry);
        let first = line(&mut reader)?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        let mut headers = headers(&mut reader)?;
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
        let find = |wanted: &str| {
            headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let is_empty = method == "HEAD" || status == 204 || status == 304;
        let body: Box<dyn Read> = match find("content-length") {
            _ if is_empty => Box::new(io::empty()),
            Some((_, length)) => Box::new(reader.take(length.parse().unwrap())),
            None => {
                // docker-registry sends short answers in chunks.
                let mut bytes = Vec::new();
                loop {
                    let size = line(&mut reader)?;
                    let size = u64::from_str_radix(size.split(';').next().unwrap().trim(), 16);
                    let size = size.map_err(io::Error::other)?;
                    (&mut reader).take(size).read_to_end(&mut bytes)?;
                    line(&mut reader)?;
                    if size == 0 {
                        break;
                    }
                }
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("transfer-encoding"));
                headers.push(("Content-Length".to_owned(), bytes.len().to_string()));
                Box::new(io::Cursor::new(bytes))
            }
        };
        Ok(Self {
            status,
            headers,
            body,
        })
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    reader.read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

fn headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        let text = line(reader)?;
        let Some((name, value)) = text.split_once(':') else {
            return Ok(found);
        };
        found.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Passing>> {
    let first = line(reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    Ok(Some(Passing {
        method,
        path,
        headers: headers(reader)?,
        before: 0,
    }))
}

fn head_of(request: &Passing) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        let is_own = ["connection", "expect"].contains(&name.to_ascii_lowercase().as_str());
        if !is_own {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head + "Connection: close\r\n\r\n"
}

fn write_head(
    writer: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    length: u64,
) -> io::Result<()> {
    write!(writer, "HTTP/1.1 {status} x\r\n")?;
    for (name, value) in headers {
        write!(writer, "{name}: {value}\r\n")?;
    }
    write!(writer, "Content-Length: {length}\r\n\r\n")
}
