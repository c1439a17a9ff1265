//! What a process of a fleet does with messages, requests and commands, and what it decides as supervisor.

use std::sync::Arc;
use std::time::Duration;

use bellwether::{Command, Entry, Error, Group, Instance, InstanceId, Operation, Request, Verdict};
use crossbeam::channel::{Receiver, Sender, bounded};

use super::values::tell_bytes;
use super::{Desk, lock, millis, option};

/// How long an observer waits, which always says how long.
const LONG: Duration = Duration::from_secs(20);

/// Something that blocks until this process is told to go on.
pub(super) struct Gate {
    /// Dropped to let everybody go on.
    _closed: Sender<()>,
    passed: Receiver<()>,
}

impl Default for Gate {
    fn default() -> Self {
        let (_closed, passed) = bounded(0);
        Self { _closed, passed }
    }
}

impl Desk {
    /// The options `policy=RULE+RULE…` and `handler=HOW` of a process that joins.
    ///
    /// A rule is `ACTION:OPERATION[:NAME[:LABEL]]`, and each of the last three may be `any`. Operations: acquire, arrive,
    /// write, send, broadcast, request, command; NAME: of the lock or the key, or what a message says; LABEL: of whoever
    /// asks. Actions: `deny`, `panic`, `block` (until `unblock KEY`), `call` (tries to take a lock itself, and denies with
    /// what comes of it). What was asked is reported.
    ///
    /// HOW: `echo` answers with the pid and what was asked. What begins with `slow` blocks until `unblock KEY`, what
    /// begins with `panic` panics, `large` is answered with too much, `call` tries to take a lock itself, and `leave` leaves.
    pub(super) fn control(self: &Arc<Self>, mut group: Group, key: &str, rest: &[String]) -> Group {
        if let Some(rules) = option(rest, "policy") {
            let rules: Vec<Vec<String>> =
                rules.split('+').map(|rule| rule.split(':').map(str::to_owned).collect()).collect();
            let (desk, key) = (self.clone(), key.to_owned());
            group = group.policy(move |entry, operation| desk.judge(&key, &rules, entry, operation));
        }
        if option(rest, "handler").is_some() {
            let (desk, key) = (self.clone(), key.to_owned());
            group = group.on_request(move |request| desk.handle(&key, request));
        }
        group
    }

    fn judge(&self, key: &str, rules: &[Vec<String>], entry: &Entry, operation: &Operation) -> Verdict {
        let (what, name) = words(operation);
        let (who, role) = (entry.id, entry.role);
        let rule = rules.iter().find(|rule| {
            let fits = |at: usize, what: &str| rule.get(at).is_none_or(|word| word == what || word == "any");
            fits(1, &what) && fits(2, &name) && fits(3, &entry.label)
        });
        // Whoever hears of it may open the gate at once.
        let gate = self.gate(key);
        self.report(&format!("event {key} judged who={who} role={role:?} what={what} name={name}"));
        match rule.and_then(|rule| rule.first()).map(String::as_str) {
            None => Verdict::Allow,
            Some("panic") => panic("a policy that panics"),
            Some("block") => {
                let _ = gate.recv();
                Verdict::Allow
            }
            Some("call") => Verdict::Deny(self.call(key)),
            Some(_) => Verdict::Deny(format!("no-{what}")),
        }
    }

    fn handle(&self, key: &str, request: &Request) -> Vec<u8> {
        let text = tell_bytes(Some(&request.bytes));
        let gate = self.gate(key);
        self.report(&format!("event {key} handled from={} bytes={text}", request.from.id));
        match text.as_str() {
            text if text.starts_with("slow") => drop(gate.recv()),
            text if text.starts_with("panic") => panic("a handler that panics"),
            "large" => return vec![0; 1024 * 1024 + 1],
            "call" => return self.call(key).into_bytes(),
            "leave" => self.instance(key).iter().for_each(Instance::leave),
            _ => {}
        }
        [format!("{}:", std::process::id()).as_bytes(), &request.bytes].concat()
    }

    /// What comes of it when a callback uses its own instance.
    fn call(&self, key: &str) -> String {
        let instance = match self.instance(key) {
            Ok(instance) => instance,
            Err(error) => return format!("{error:?}"),
        };
        let lock = instance.mutex("callback").lock().map(drop);
        let put = instance.state().put("callback", *b"x").map(drop);
        let sent = instance.broadcast(*b"callback").map(drop);
        let asked = instance.request(*b"callback").map(drop);
        let calls =
            [lock, put, sent, asked].map(|call| call.map_or_else(|error| format!("{error:?}"), |()| "ok".into()));
        calls.join("/")
    }

    /// Is closed, so that whoever receives on it goes on, when this process is told `unblock KEY`.
    pub(super) fn gate(&self, key: &str) -> Receiver<()> {
        lock(&self.gates).entry(key.to_owned()).or_default().passed.clone()
    }

    /// `send KEY TO TEXT`, `broadcast KEY TEXT`, `request KEY TEXT`, each `[size=N] [try|within=MS]`;
    /// `command KEY TO|all pause|resume|stop|TEXT`; `chatter KEY TO|all COUNT WORD [pad=N]` (says `WORD-1`, `WORD-2`, …,
    /// each with so many bytes more, and reports what became of each), `inquire KEY COUNT WORD` (asks the handler so often, the same way); `unblock KEY`.
    pub(super) fn obey_control(self: &Arc<Self>, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        match verb {
            "unblock" => {
                lock(&self.gates).remove(key);
                Ok(String::new())
            }
            "send" => self.send(key, to(&rest[0]), bytes(rest, 1), rest).map(|()| String::new()),
            "broadcast" => self.broadcast(key, bytes(rest, 0), rest).map(|count| format!("count={count}")),
            "request" => {
                let reply = self.request(key, bytes(rest, 0), rest)?;
                Ok(format!("reply={}", tell_bytes(Some(&reply))))
            }
            "command" => {
                let command = match rest[1].as_str() {
                    "pause" => Command::Pause,
                    "resume" => Command::Resume,
                    "stop" => Command::Stop,
                    _ => Command::Custom(bytes(rest, 1).into()),
                };
                self.command(key, &rest[0], command).map(|count| format!("count={count}"))
            }
            "chatter" => {
                let count: u64 = rest[1].parse().expect("a count");
                for n in 1..=count {
                    let word = format!("{}-{n}", rest[2]);
                    let padding = option(rest, "pad").map_or(0, |size| size.parse().expect("a size"));
                    let bytes = if padding > 0 { format!("{word} {}", "x".repeat(padding)) } else { word.clone() };
                    let said = match rest[0].as_str() {
                        "all" => self.broadcast(key, bytes.into_bytes(), rest).map(drop),
                        id => self.send(key, to(id), bytes.into_bytes(), rest),
                    };
                    self.tell_outcome(key, "said", &word, said.map(|()| String::new()));
                }
                Ok(String::new())
            }
            _ => {
                let count: u64 = rest[0].parse().expect("a count");
                for n in 1..=count {
                    let word = format!("{}-{n}", rest[1]);
                    let asked = self.request(key, word.clone().into_bytes(), rest);
                    self.tell_outcome(key, "asked", &word, asked.map(|reply| tell_bytes(Some(&reply))));
                }
                Ok(String::new())
            }
        }
    }

    fn tell_outcome(&self, key: &str, verb: &str, word: &str, outcome: Result<String, Error>) {
        let outcome = match outcome {
            Ok(reply) => format!("ok reply={reply}"),
            Err(error) => format!("error={}", format!("{error:?}").split([' ', '(']).next().unwrap_or_default()),
        };
        self.report(&format!("event {key} {verb} word={word} {outcome}"));
    }

    fn send(&self, key: &str, to: InstanceId, bytes: Vec<u8>, rest: &[String]) -> Result<(), Error> {
        let observer = lock(&self.observers).get(key).cloned();
        if let Some(observer) = observer {
            return observer.send_timeout(to, bytes, within(rest).unwrap_or(LONG));
        }
        let instance = self.instance(key)?;
        match within(rest) {
            Some(time) => instance.send_timeout(to, bytes, time),
            None if is_try(rest) => instance.try_send(to, bytes),
            None => instance.send(to, bytes),
        }
    }

    fn broadcast(&self, key: &str, bytes: Vec<u8>, rest: &[String]) -> Result<usize, Error> {
        let observer = lock(&self.observers).get(key).cloned();
        if let Some(observer) = observer {
            return observer.broadcast_timeout(bytes, within(rest).unwrap_or(LONG));
        }
        let instance = self.instance(key)?;
        match within(rest) {
            Some(time) => instance.broadcast_timeout(bytes, time),
            None if is_try(rest) => instance.try_broadcast(bytes),
            None => instance.broadcast(bytes),
        }
    }

    fn request(&self, key: &str, bytes: Vec<u8>, rest: &[String]) -> Result<Arc<[u8]>, Error> {
        let observer = lock(&self.observers).get(key).cloned();
        if let Some(observer) = observer {
            return observer.request_timeout(bytes, within(rest).unwrap_or(LONG));
        }
        let instance = self.instance(key)?;
        match within(rest) {
            Some(time) => instance.request_timeout(bytes, time),
            None if is_try(rest) => instance.try_request(bytes),
            None => instance.request(bytes),
        }
    }

    fn command(&self, key: &str, whom: &str, command: Command) -> Result<usize, Error> {
        let observer = lock(&self.observers).get(key).cloned();
        match (observer, whom) {
            (Some(observer), "all") => observer.command_all_timeout(command, LONG),
            (Some(observer), id) => observer.command_timeout(to(id), command, LONG).map(|()| 1),
            (None, "all") => self.instance(key)?.command_all(command),
            (None, id) => self.instance(key)?.command(to(id), command).map(|()| 1),
        }
    }
}

/// Panics, as an application's code may, without a word on standard error: there are many.
fn panic(why: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(why))
}

fn to(id: &str) -> InstanceId {
    id.parse().expect("an instance id")
}

fn bytes(rest: &[String], at: usize) -> Vec<u8> {
    match option(rest, "size") {
        Some(size) => vec![b'x'; size.parse().expect("a size")],
        None => rest[at].clone().into_bytes(),
    }
}

fn within(rest: &[String]) -> Option<Duration> {
    option(rest, "within").map(millis)
}

fn is_try(rest: &[String]) -> bool {
    rest.iter().any(|word| word == "try")
}

/// What a message says; of one that was padded the word before.
pub(super) fn tell_message(bytes: &[u8]) -> String {
    let word = bytes.iter().take(64).position(|byte| *byte == b' ').map(|end| &bytes[..end]);
    tell_bytes(Some(word.unwrap_or(bytes)))
}

/// What is asked for, in one word, and what it is about.
fn words(operation: &Operation) -> (String, String) {
    let (what, name) = match operation {
        Operation::Acquire { name, .. } => ("acquire", name.to_string()),
        Operation::Arrive { name, .. } => ("arrive", name.to_string()),
        Operation::Write { name, .. } => ("write", name.to_string()),
        Operation::Send { bytes, .. } => ("send", tell_bytes(Some(bytes))),
        Operation::Broadcast { bytes } => ("broadcast", tell_bytes(Some(bytes))),
        Operation::Request { bytes } => ("request", tell_bytes(Some(bytes))),
        Operation::Command { command, .. } => ("command", command.to_string()),
        other => panic!("an operation that nobody knows: {other:?}"),
    };
    (what.to_owned(), name.replace(' ', "_"))
}
