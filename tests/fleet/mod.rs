//! A fleet of real processes for the tests.
//!
//! Every process is this test's own binary, started again to run nothing but [`child`]. The parent says one line per
//! command; the process reports one numbered line per answer and per event of its instances. Whatever is waited for is
//! waited for by a report or by something that the kernel shows, never by time; the only clock is the one that ends a
//! test which has failed.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

pub mod chance;
pub mod child;
pub mod control;
pub mod journal;
pub mod kernel;
pub mod locks;
pub mod schedules;
pub mod strangers;
pub mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const CHILD: &str = "BELLWETHER_TEST_CHILD";

/// After so long without what was awaited the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// In a process of a fleet this is the program; everywhere else it is a test that has nothing to do.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        child::run();
    }
}

/// Whether the long variants of the tests were asked for.
pub fn long() -> bool {
    std::env::var_os("BELLWETHER_LONG").is_some()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody uses, outside the range from which the kernel gives ports away by itself.
pub fn free_port() -> u16 {
    use std::hash::BuildHasher;
    for _ in 0..1000 {
        let chance = std::collections::hash_map::RandomState::new().hash_one(std::process::id());
        let port = 10_240 + (chance % (32_768 - 10_240)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// The processes of one test, and the port and the group that they share.
///
/// Fleets of one test binary take turns: several at once on a small machine would only slow each other down.
pub struct Fleet {
    pub port: u16,
    pub group: String,
    /// Given to every instance that joins.
    options: String,
    log: Arc<Log>,
    processes: Mutex<Vec<Arc<Process>>>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// Told whenever any process has reported something.
#[derive(Default)]
struct Log {
    count: Mutex<u64>,
    grown: Condvar,
}

/// One process. It lives until it is killed or the fleet ends.
pub struct Process {
    pub pid: u32,
    number: u32,
    inner: Mutex<std::process::Child>,
    input: Mutex<ChildStdin>,
    lines: Mutex<Vec<String>>,
    commands: AtomicU64,
    instances: AtomicU32,
    reaped: AtomicBool,
    log: Arc<Log>,
}

/// One instance in a process of the fleet.
#[derive(Clone)]
pub struct Member {
    pub process: Arc<Process>,
    pub key: String,
    /// What the answer to its join said.
    pub id: String,
    pub epoch: u64,
}

/// What a process said, split into its fields.
#[derive(Clone, Debug)]
pub struct Line(String);

/// What an instance says about itself and the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub id: String,
    pub role: String,
    pub epoch: u64,
    pub supervisor: String,
    pub registry: Vec<Row>,
}

/// One row of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub id: String,
    pub pid: u32,
    pub role: String,
    pub standing: String,
    pub label: String,
    pub version: u32,
    pub payload: usize,
}

/// A state on which all instances that were asked agree.
#[derive(Clone, Debug)]
pub struct Agreed {
    pub epoch: u64,
    /// Its index among those that were asked.
    pub supervisor: usize,
    pub registry: Vec<Row>,
}

impl Fleet {
    pub fn new() -> Self {
        Self::with("")
    }

    /// A fleet whose instances all join with these options.
    pub fn with(options: &str) -> Self {
        let turn = lock(&TURN);
        let port = free_port();
        Self {
            port,
            group: format!("fleet-{}-{port}", std::process::id()),
            options: options.to_owned(),
            log: Arc::default(),
            processes: Mutex::default(),
            _turn: turn,
        }
    }

    /// Starts a process that has not joined anything yet.
    pub fn process(&self) -> Arc<Process> {
        self.start(&mut Command::new(std::env::current_exe().expect("the path of this test")))
    }

    /// The same, with a command that was prepared; it must be, or end up as, this test's binary.
    pub fn start(&self, command: &mut Command) -> Arc<Process> {
        let mut started = command
            .args(["--exact", "fleet::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts again");
        let output = started.stdout.take().expect("a pipe");
        let mut processes = lock(&self.processes);
        let process = Arc::new(Process {
            pid: started.id(),
            number: processes.len() as u32,
            input: Mutex::new(started.stdin.take().expect("a pipe")),
            inner: Mutex::new(started),
            lines: Mutex::default(),
            commands: AtomicU64::new(0),
            instances: AtomicU32::new(0),
            reaped: AtomicBool::new(false),
            log: self.log.clone(),
        });
        processes.push(process.clone());
        let reader = process.clone();
        std::thread::spawn(move || reader.listen(BufReader::new(output)));
        process
    }

    /// Starts a process with one instance that has joined.
    pub fn member(&self, options: &str) -> Member {
        let joining = self.joining(options);
        self.joined(joining)
    }

    /// Starts so many processes at once, each with one instance, and waits until all have joined.
    pub fn members(&self, count: usize, options: &str) -> Vec<Member> {
        let joining: Vec<_> = (0..count).map(|_| self.joining(options)).collect();
        joining.into_iter().map(|joining| self.joined(joining)).collect()
    }

    /// Starts a process whose instance joins; how that ends is asked with [`Fleet::joined`] or [`Joining::answer`].
    pub fn joining(&self, options: &str) -> Joining {
        self.join_in(&self.process(), options)
    }

    /// Lets one more instance join in a process that runs.
    pub fn join_in(&self, process: &Arc<Process>, options: &str) -> Joining {
        self.begin("join", process, options)
    }

    /// Lets an instance in a process begin with something that includes its joining.
    pub fn begin(&self, verb: &str, process: &Arc<Process>, options: &str) -> Joining {
        let key = format!("i{}", process.instances.fetch_add(1, Ordering::Relaxed));
        // Of two options of one name the first counts for the group's name and the last for all others.
        let text = format!("{key} group={} port={} {} {options}", self.group, self.port, self.options);
        Joining { command: process.say(&format!("{verb} {}", text.trim_end())), process: process.clone(), key }
    }

    /// Lets a process that may not even get so far join and leave again, and says how that went; `None`: it ended.
    pub fn visit(&self, command: &mut Command) -> Option<Result<(), String>> {
        let process = self.start(command);
        process.say(&format!("visit v group={} port={} {}", self.group, self.port, self.options));
        process.wait(0, "how its visit went, or its own end", |line| match line.0.split_once(" 0 ") {
            Some(("reply", answer)) if answer.starts_with("ok") => Some(Some(Ok(()))),
            Some(("reply", answer)) => Some(Some(Err(answer.to_owned()))),
            _ => (line.0 == "end of output").then_some(None),
        })
    }

    pub fn joined(&self, joining: Joining) -> Member {
        let answer = joining.answer().unwrap_or_else(|error| panic!("join failed: {error}{}", self.tail()));
        Member {
            id: answer.text("id"),
            epoch: answer.number("epoch"),
            process: joining.process.clone(),
            key: joining.key.clone(),
        }
    }

    /// Asks these instances until they agree: one supervisor, one epoch, equal registries that name exactly them.
    pub fn agree(&self, members: &[Member]) -> Agreed {
        self.agree_among(members, members.len())
    }

    /// The same, when `total` instances are in the group and only some are asked.
    pub fn agree_among(&self, members: &[Member], total: usize) -> Agreed {
        let start = Instant::now();
        let mut last = Vec::new();
        while start.elapsed() < PATIENCE {
            let asked: Vec<_> =
                members.iter().map(|member| member.process.say(&format!("status {}", member.key))).collect();
            last = members
                .iter()
                .zip(asked)
                .map(|(member, command)| member.process.answer(command).map(|answer| answer.status()))
                .collect();
            if let Some(agreed) = agreement(&last, total) {
                return agreed;
            }
            std::thread::yield_now();
        }
        panic!("the instances do not agree: {last:#?}{}", self.tail());
    }

    /// The latest words of every process, for the message of a test that has failed.
    pub fn tail(&self) -> String {
        let mut text = String::new();
        for process in lock(&self.processes).iter() {
            let lines = lock(&process.lines);
            let _ = write!(text, "\nprocess {} (pid {}), {} lines:", process.number, process.pid, lines.len());
            for line in &lines[lines.len().saturating_sub(12)..] {
                let _ = write!(text, "\n    {}", line.chars().take(400).collect::<String>());
            }
        }
        text
    }
}

/// One supervisor that knows itself, one epoch, equal registries with one unique entry per instance.
fn agreement(states: &[Result<Status, String>], total: usize) -> Option<Agreed> {
    let states: Vec<_> = states.iter().map(|state| state.as_ref().ok()).collect::<Option<_>>()?;
    let first = states.first()?;
    let ids: BTreeSet<_> = first.registry.iter().map(|row| &row.id).collect();
    let agree = |state: &&&Status| {
        state.epoch == first.epoch
            && state.supervisor == first.supervisor
            && state.registry == first.registry
            && ids.contains(&state.id)
    };
    let supervisors: Vec<_> = (0..states.len()).filter(|n| states[*n].role == "Supervisor").collect();
    let own: BTreeSet<_> = states.iter().map(|state| &state.id).collect();
    let whole = ids.len() == total && first.registry.len() == total && own.len() == states.len();
    let [supervisor] = supervisors[..] else { return None };
    let right = states.iter().filter(agree).count() == states.len() && states[supervisor].id == first.supervisor;
    let active = first.registry.iter().all(|row| row.standing == "Active");
    (whole && right && active).then(|| Agreed { epoch: first.epoch, supervisor, registry: first.registry.clone() })
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in lock(&self.processes).iter() {
            process.kill();
        }
        for process in lock(&self.processes).iter() {
            process.reap();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}

/// A join that has been asked for.
pub struct Joining {
    pub process: Arc<Process>,
    key: String,
    command: u64,
}

impl Joining {
    /// How it ended.
    pub fn answer(&self) -> Result<Line, String> {
        self.process.answer(self.command)
    }

    /// The instance, whether it has joined already or not; its id is not known here.
    pub fn member(&self) -> Member {
        Member { process: self.process.clone(), key: self.key.clone(), id: String::new(), epoch: 0 }
    }
}

impl Process {
    fn listen(&self, output: impl BufRead) {
        for line in output.lines() {
            let Ok(line) = line else { break };
            let mut lines = lock(&self.lines);
            // The harness says a few words of its own, also on the line of the first report.
            let line = line.rsplit_once("... ").map_or(line.as_str(), |(_, report)| report);
            if let Some((number, report)) = line.split_once(' ')
                && number.parse() == Ok(lines.len())
            {
                lines.push(report.to_owned());
            }
            drop(lines);
            self.ring();
        }
        lock(&self.lines).push("end of output".to_owned());
        self.ring();
    }

    fn ring(&self) {
        *lock(&self.log.count) += 1;
        self.log.grown.notify_all();
    }

    /// Says a command without waiting for the answer.
    pub fn say(&self, command: &str) -> u64 {
        let mut input = lock(&self.input);
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        // A process that was killed does not listen any more; whoever waits for its answer is told.
        let _ = writeln!(input, "{number} {command}").and_then(|()| input.flush());
        number
    }

    /// Waits for the answer to a command.
    pub fn answer(&self, command: u64) -> Result<Line, String> {
        let prefix = format!("reply {command} ");
        let answer = self.wait(0, &format!("the answer to command {command}"), |line| {
            line.0.strip_prefix(&prefix).map(|rest| Line(rest.to_owned()))
        });
        match answer.0.split_once(' ') {
            Some(("ok", rest)) => Ok(Line(rest.to_owned())),
            Some((_, rest)) => Err(rest.to_owned()),
            None => Ok(Line(String::new())),
        }
    }

    /// Whether a command has been answered.
    pub fn has_answered(&self, command: u64) -> bool {
        let prefix = format!("reply {command} ");
        lock(&self.lines).iter().any(|line| line.starts_with(&prefix))
    }

    /// Says a command and waits for its answer.
    pub fn ask(&self, command: &str) -> Result<Line, String> {
        self.answer(self.say(command))
    }

    /// How many lines it has reported so far: what comes from now on begins there.
    pub fn mark(&self) -> usize {
        lock(&self.lines).len()
    }

    /// Waits for a line, from the given one on, with which `found` can do something.
    pub fn wait<T>(&self, from: usize, what: &str, found: impl Fn(&Line) -> Option<T>) -> T {
        let start = Instant::now();
        let mut next = from;
        loop {
            let count = *lock(&self.log.count);
            {
                let lines = lock(&self.lines);
                while let Some(line) = lines.get(next) {
                    if let Some(found) = found(&Line(line.clone())) {
                        return found;
                    }
                    next += 1;
                }
            }
            let seen = lock(&self.log.count);
            if *seen == count {
                let left = PATIENCE.saturating_sub(start.elapsed());
                if left.is_zero() {
                    drop(seen);
                    let lines = lock(&self.lines);
                    let last = &lines[lines.len().saturating_sub(20)..];
                    panic!(
                        "process {} (pid {}) did not report {what}; its last words: {last:#?}",
                        self.number, self.pid
                    );
                }
                drop(self.log.grown.wait_timeout(seen, left));
            }
        }
    }

    /// Everything it has reported from the given line on.
    pub fn lines(&self, from: usize) -> Vec<Line> {
        lock(&self.lines)[from..].iter().cloned().map(Line).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process id");
        // Nobody else can have this number: the process has not been reaped.
        if !self.reaped.load(Ordering::SeqCst) {
            kill_process(pid, signal).expect("own children can be signalled");
        }
    }

    /// Kills it at once; it stays a zombie until it is reaped.
    pub fn kill(&self) {
        let _inner = lock(&self.inner);
        self.signal(Signal::KILL);
    }

    /// Waits until it is gone.
    pub fn reap(&self) {
        let mut inner = lock(&self.inner);
        if !self.reaped.load(Ordering::SeqCst) {
            inner.wait().expect("own children can be waited for");
            self.reaped.store(true, Ordering::SeqCst);
        }
    }

    /// Stops it, and waits until every thread of it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        self.stopped();
    }

    /// Waits until every thread of it has stopped.
    pub fn stopped(&self) {
        eventually(&format!("process {} stands still", self.number), || kernel::is_stopped(self.pid));
    }

    /// Lets it run on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }
}

impl Member {
    pub fn ask(&self, verb: &str) -> Result<Line, String> {
        self.process.answer(self.say(verb))
    }

    /// A verb may be followed by arguments, which go behind the key of the instance.
    pub fn say(&self, verb: &str) -> u64 {
        let (verb, rest) = verb.split_once(' ').unwrap_or((verb, ""));
        self.process.say(format!("{verb} {} {rest}", self.key).trim_end())
    }

    pub fn status(&self) -> Status {
        self.ask("status").expect("an instance that has not left").status()
    }

    /// Waits for one of its events, from the given line on.
    pub fn event<T>(&self, from: usize, what: &str, found: impl Fn(&Line) -> Option<T>) -> T {
        self.process.wait(from, what, |line| line.event_of(&self.key).and_then(|event| found(&event)))
    }

    /// Waits for an event of this kind whose fields have these values.
    pub fn expect(&self, from: usize, kind: &str, fields: &[(&str, &str)]) -> Line {
        self.event(from, &format!("{kind} {fields:?}"), |event| {
            let right = event.kind() == kind && fields.iter().all(|(name, value)| event.get(name) == Some(value));
            right.then(|| event.clone())
        })
    }

    /// Waits until it is part of a reign after this epoch; returns epoch, supervisor, role.
    pub fn reign_after(&self, epoch: u64) -> (u64, String, String) {
        self.event(0, &format!("a reign after {epoch}"), |event| {
            let later = event.kind() == "reign" && event.number("epoch") > epoch;
            later.then(|| (event.number("epoch"), event.text("supervisor"), event.text("role")))
        })
    }

    /// Its events of one kind, from the given line on.
    pub fn events(&self, from: usize, kind: &str) -> Vec<Line> {
        let own = |line: Line| line.event_of(&self.key);
        self.process.lines(from).into_iter().filter_map(own).filter(|event| event.kind() == kind).collect()
    }
}

impl Line {
    /// The event, if the line reports one of this instance.
    fn event_of(&self, key: &str) -> Option<Self> {
        let rest = self.0.strip_prefix("event ")?.strip_prefix(key)?.strip_prefix(' ')?;
        Some(Self(rest.to_owned()))
    }

    /// Its first word.
    pub fn kind(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no number in {self:?}"))
    }

    pub fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    /// How often this is in it.
    pub fn count(&self, text: &str) -> usize {
        self.0.matches(text).count()
    }

    /// The registry that it reports.
    pub fn registry(&self) -> Vec<Row> {
        let row = |text: &str| {
            let fields: Vec<_> = text.split(':').collect();
            Row {
                id: fields[0].to_owned(),
                pid: fields[1].parse().expect("a process id"),
                role: fields[2].to_owned(),
                standing: fields[3].to_owned(),
                label: fields[4].to_owned(),
                version: fields[5].parse().expect("a version"),
                payload: fields[6].parse().expect("a size"),
            }
        };
        self.text("registry").split(',').filter(|text| !text.is_empty()).map(row).collect()
    }

    fn status(&self) -> Status {
        Status {
            id: self.text("id"),
            role: self.text("role"),
            epoch: self.number("epoch"),
            supervisor: self.text("supervisor"),
            registry: self.registry(),
        }
    }
}

/// Asks until it is so. Only for what no process can report.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "it never came about that {what}");
        std::thread::yield_now();
    }
}

/// Waits until an observer in this process has tried to connect several times and found nobody who listens.
pub fn in_vain(process: &Process, port: u16) {
    eventually("the observer has tried", || {
        // It sleeps between two tries, and its thread has little else to sleep for.
        let threads = kernel::switches(process.pid);
        threads.values().any(|(name, count)| name == "bw-observer" && *count > 5)
    });
    assert!(!kernel::is_listened_on(port));
}

/// All reigns that these instances have reported: every epoch has one supervisor, every instance saw them rise, and of
/// every reign at most one instance says that it was its own.
pub fn check_reigns(members: &[Member]) -> BTreeMap<u64, String> {
    let mut reigns = BTreeMap::new();
    let mut own = BTreeMap::new();
    for member in members {
        let mut last = member.epoch;
        for event in member.events(0, "reign") {
            let (epoch, supervisor) = (event.number("epoch"), event.text("supervisor"));
            // The first one can be the one that the answer to the join told already.
            assert!(epoch >= last, "{} went back from {last} to {epoch}", member.id);
            last = epoch;
            let known = reigns.entry(epoch).or_insert_with(|| supervisor.clone());
            assert_eq!(*known, supervisor, "two supervisors in epoch {epoch}");
            if event.text("role") == "Supervisor" {
                let holder = own.entry(epoch).or_insert_with(|| (member.process.pid, member.key.clone()));
                assert_eq!(*holder, (member.process.pid, member.key.clone()), "two held epoch {epoch}");
            }
        }
    }
    reigns
}

/// What network a test that wants one for itself has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The test has run in a network namespace of its own, and passed; there is nothing left to do.
    Elsewhere,
    /// This is that run: the kernel counts nobody else's packets, and its settings may be changed.
    Own,
    /// No namespace is to be had; the network is the machine's.
    Shared,
}

/// Runs the test of this name, of this binary, in a network namespace of its own, and says to each of the two runs which
/// one it is.
pub fn network(test: &str) -> Network {
    const ALONE: &str = "BELLWETHER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return Network::Own;
    }
    let script = "ip link set lo up || exit 77; exec \"$0\" --exact \"$1\" --nocapture";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().expect("the path of this test"))
        .arg(test)
        .env(ALONE, "1")
        .status();
    match status {
        Ok(status) if status.success() => Network::Elsewhere,
        // The test itself fails with 101; everything else is `unshare` or `ip` failing before it.
        Ok(status) if status.code() == Some(101) || status.signal().is_some() => panic!("failed in its namespace"),
        other => {
            println!("there is no namespace of its own to be had: {other:?}");
            Network::Shared
        }
    }
}

/// Two threads that do nothing but keep the processors busy, until dropped.
pub struct Load(Arc<AtomicBool>);

impl Load {
    pub fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box((0..10_000_u64).sum::<u64>());
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
