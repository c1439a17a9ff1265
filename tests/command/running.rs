//! Runs the command as a child process, never longer than [`PATIENCE`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A developer's own setting must not add lines to what is compared.
    command.env_remove("RUST_LOG");
    command
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    /// The standard output as it came.
    pub(crate) bytes: Vec<u8>,
    /// The same as text.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command to its end, with an input that has ended.
pub(crate) fn bellwether(arguments: &[&str]) -> Output {
    run(command(arguments), b"")
}

/// The same with this input.
pub(crate) fn bellwether_reading(input: &[u8], arguments: &[&str]) -> Output {
    run(command(arguments), input)
}

/// The same with a place of its own for temporary files.
pub(crate) fn bellwether_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command.env("TMPDIR", directory);
    run(command, b"")
}

fn run(mut command: Command, input: &[u8]) -> Output {
    let child = command.spawn().expect("the command can be started");
    let mut running = Running(child);
    let (stdout, stderr) = (whole(running.0.stdout.take()), whole(running.0.stderr.take()));
    // It may end without having read everything.
    let _ = running.0.stdin.take().expect("the pipe is asked for once").write_all(input);
    let deadline = Instant::now() + PATIENCE;
    let read = |pipe: Receiver<Vec<u8>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        pipe.recv_timeout(left).unwrap_or_else(|_| panic!("{command:?} has not ended after {PATIENCE:?}"))
    };
    let (bytes, stderr) = (read(stdout), read(stderr));
    // Its pipes are closed, so it has ended or is about to.
    let status = running.0.wait().expect("a child can be waited for");
    let [stdout, stderr] = [&bytes, &stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Output { code: status.code(), bytes, stdout, stderr }
}

/// Ends the process it holds.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn whole(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.expect("the pipe is asked for once").read_to_end(&mut text);
        let _ = sender.send(text);
    });
    receiver
}

/// A process whose lines are read as they come.
pub(crate) struct Talker {
    running: Running,
    lines: Receiver<String>,
    /// Everything it has printed, as far as it was waited for.
    seen: Vec<String>,
    looked: usize,
}

impl Talker {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().expect("the command can be started");
        let (sender, lines) = channel();
        each_line(child.stdout.take(), sender.clone());
        // In one stream, so that a test that fails shows both.
        each_line(child.stderr.take(), sender);
        Self { running: Running(child), lines, seen: Vec::new(), looked: 0 }
    }

    /// Waits for the next line that has all these parts.
    pub(crate) fn wait_for(&mut self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
            if let Some(line) = self.seen[self.looked..].iter().find(fits).cloned() {
                return line;
            }
            self.looked = self.seen.len();
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("no line with {parts:?}: {error}; so far: {:#?}", self.seen),
            }
        }
    }

    /// Ends its input and returns everything that it has printed until its end.
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.running.0.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        assert!(Instant::now() < deadline, "it has not ended after {PATIENCE:?}: {:#?}", self.seen);
        let status = self.running.0.wait().expect("a child can be waited for");
        assert!(status.success(), "{status}: {:#?}", self.seen);
        self.seen
    }
}

/// A process that runs `join`.
pub(crate) struct Member {
    talker: Talker,
    id: String,
}

impl Member {
    /// Starts it and waits until it has joined.
    pub(crate) fn join(arguments: &[&str]) -> Self {
        let mut talker = Talker::start(&[&["join"], arguments].concat());
        let first = talker.wait_for(&["joined ", "id "]);
        let words = first.split_once("id ").and_then(|(_, rest)| rest.split_once(','));
        let id = words.expect("an id in the first line").0.to_owned();
        Self { talker, id }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.talker.running.0.id()
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the next line that has all these parts.
    pub(crate) fn wait_for(&mut self, parts: &[&str]) -> String {
        self.talker.wait_for(parts)
    }

    /// Ends its input and returns everything that it has printed until its end.
    pub(crate) fn leave(self) -> Vec<String> {
        self.talker.finish()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(self) {
        drop(self.talker);
    }
}

fn each_line(pipe: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    thread::spawn(move || {
        let pipe = BufReader::new(pipe.expect("the pipe is asked for once"));
        pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
    });
}

/// The name of a group that nobody else uses, and whose default port nobody else uses either.
pub(crate) fn fresh_group() -> String {
    let mut n = 0;
    loop {
        let name = format!("command test {} {} {n}", process::id(), serial());
        let group = bellwether::Group::new(name.as_str()).expect("a valid name");
        if is_free(group.supervisor_port()) {
            return name;
        }
        n += 1;
    }
}

/// A port that nobody uses, in the range of the default ports. No two calls in this process return the same one.
pub(crate) fn fresh_port() -> u16 {
    const FIRST: u32 = 10_240;
    const SPAN: u32 = 32_767 - FIRST + 1;
    loop {
        // Test processes that run at the same time start in different places.
        let port = FIRST + (process::id().wrapping_mul(101) + u32::from(serial())) % SPAN;
        let port = u16::try_from(port).expect("below the end of the range");
        if is_free(port) {
            return port;
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn serial() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed)
}
