//! Histories of a correct server, made up.
//!
//! A small lock server with several client processes, in one thread, with a made-up clock and a seed for everything that
//! is left to chance: how long a message is on its way, how late a client comes to read it, who is killed or stopped when.
//! Its journals are what the storm's would be if the library were right, the unpleasant coincidences included.

mod clients;
mod mail;
mod parent;
mod server;

use std::collections::{BTreeMap, VecDeque};

use super::chance::Chance;
use super::check::Rules;
use super::history::PARENT;
use super::journal::{Abandoned, Expected, Found, Label, Line, Mode, Patience, Version, What, Why};

pub type Journals = BTreeMap<String, Vec<Line>>;

/// What the names are used for; the last number is the limit of the semaphore.
const NAMES: [(&str, u32); 4] = [("m0", 0), ("m1", 0), ("rw", 0), ("sem", 5)];
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
const THREADS: usize = 3;
/// How many nanoseconds a made-up storm lasts before everybody comes to an end.
const TIME: u64 = 60_000_000;

pub fn rules() -> Rules {
    Rules { limits: BTreeMap::from([("sem".to_owned(), 5)]), ..Rules::default() }
}

/// What a server may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It sometimes grants a mutex that is held.
    GrantsTwice,
    /// It sometimes grants a writer what readers hold.
    LetsWritersIn,
    /// It has one permit more than it should.
    LendsMore,
    /// A new supervisor forgets some of those who hold.
    ForgetsHolders,
    /// A new supervisor begins with tokens that were used.
    RepeatsTokens,
    /// It serves the last that came first.
    Overtakes,
    /// A new supervisor forgets some of those who wait.
    ForgetsWaiters,
    /// It says of every lock that all is well.
    SaysNothing,
    /// A new supervisor counts the writes from the beginning.
    RepeatsVersions,
    /// A new supervisor forgets some of the values.
    ForgetsValues,
    /// It sometimes does not tell somebody of a write.
    SkipsCopies,
    /// It writes under every condition.
    IgnoresConditions,
    /// What was asked and not answered is asked again in the next reign.
    AsksAgain,
    /// It asks the handler what it refuses.
    HearsTheRefused,
    /// It sometimes answers with what was said to another.
    MixesAnswers,
    /// It sometimes answers without having asked the handler.
    MakesUpAnswers,
    /// It sometimes forgets what it was asked.
    ForgetsRequests,
    /// It sometimes takes a message to somebody else.
    Misdelivers,
    /// It sometimes delivers a message again.
    RepeatsMessages,
    /// It sometimes lets a message lie until others have overtaken it.
    MixesMessages,
    /// It sometimes says of a message that has arrived nowhere that it has.
    LosesMessages,
}

/// The journals of one made-up storm, of a server that is correct, or that has a fault.
pub fn journals(seed: u64, fault: Option<Fault>) -> Journals {
    let mut world = World::new(seed, fault);
    while world.step() {}
    world.finish()
}

/// A request of the whole group.
type Key = (usize, u64);
/// The place that it was promised, if it was.
type Waiter = (Option<(u64, u64)>, Key, Mode);
type Copy = BTreeMap<String, (Version, Option<String>)>;

#[derive(Clone, Debug)]
enum ToServer {
    Acquire(u64, &'static str, Mode),
    /// It is done with it, or does not want it any more; whether it had it and was done with it.
    Release(u64, bool),
    Put(u64),
    Ask(u64),
    /// To one, or to all others.
    Post(u64, Option<usize>),
    Gone,
}

#[derive(Clone, Debug)]
enum ToClient {
    Queued(u64, (u64, u64)),
    Grant(u64, u64, Abandoned),
    Value(String, (Version, Option<String>)),
    Stored(u64, Version),
    Conflict(u64, Version),
    Unsure(u64),
    /// Which run has answered, and what it was asked.
    Reply(u64, Label, Label),
    NoReply(u64, Why),
    /// A message, from whom.
    Message(usize, u64),
    Sent(u64, u64),
    NotSent(u64, Why),
}

#[derive(Clone, Debug)]
enum Event {
    AtServer {
        reign: u64,
        from: usize,
        message: ToServer,
    },
    /// The client reads what has arrived some time before.
    AtClient {
        reign: u64,
        to: usize,
        message: ToClient,
        arrived: u64,
    },
    Acknowledge {
        reign: u64,
        to: usize,
        put: u64,
        version: Version,
    },
    /// The handler has come to a request.
    Run {
        reign: u64,
        from: usize,
        request: u64,
    },
    /// A message has arrived wherever it could, after this time, at those.
    Delivered {
        reign: u64,
        from: usize,
        message: u64,
        to: Vec<usize>,
        alone: bool,
    },
    Wake {
        process: usize,
        thread: usize,
    },
    Rejoin {
        process: usize,
    },
    Open {
        reign: u64,
    },
    Kill,
    Stop,
    Resume {
        process: usize,
    },
    Look,
}

#[derive(Default)]
struct Client {
    alive: bool,
    stopped: bool,
    id: String,
    /// When its last message has arrived, when the last one to it has, and when it has read that one: a connection
    /// keeps the order.
    sent: u64,
    received: u64,
    read: u64,
    lines: Vec<Line>,
    threads: Vec<Thread>,
    numbers: u64,
    /// What waits, with the place that it was told, and what is held.
    table: BTreeMap<u64, Claim>,
    puts: BTreeMap<u64, Put>,
    /// What was asked and is not answered, and what is on its way.
    requests: BTreeMap<u64, Call>,
    messages: BTreeMap<u64, Call>,
    copy: Copy,
    highest: Version,
    /// What has come while it stood still.
    later: VecDeque<Event>,
    /// Whether it is connected to the present reign, and if not, whether it is back and waits for the opening.
    connected: bool,
    back: bool,
}

#[derive(Clone, Default)]
struct Thread {
    doing: Doing,
}

#[derive(Clone, Default)]
enum Doing {
    #[default]
    Nothing,
    Waits(u64),
    Holds(u64),
    Writes,
    Asks(u64),
    Sends(u64),
    Done,
}

#[derive(Clone)]
struct Claim {
    name: &'static str,
    mode: Mode,
    thread: usize,
    place: Option<(u64, u64)>,
    token: Option<u64>,
}

#[derive(Clone)]
struct Put {
    key: &'static str,
    value: Option<String>,
    expected: Expected,
    thread: usize,
    /// The version that the key had when it was said first.
    seen: Version,
    again: bool,
}

/// A request, or a message for somebody.
#[derive(Clone)]
struct Call {
    thread: usize,
    to: Option<usize>,
    /// In the present reign.
    said: bool,
}

#[derive(Default)]
struct Lock {
    holders: BTreeMap<Key, Mode>,
    queue: Vec<Waiter>,
    flag: Option<Abandoned>,
}

struct World {
    chance: Chance,
    now: u64,
    count: u64,
    agenda: BTreeMap<(u64, u64), Event>,
    clients: Vec<Client>,
    parent: Vec<Line>,
    // The server.
    supervisor: usize,
    reign: u64,
    /// When the reign before ended.
    died: u64,
    open: bool,
    locks: BTreeMap<&'static str, Lock>,
    token: u64,
    tickets: u64,
    copy: Copy,
    writer: BTreeMap<String, Key>,
    written: Version,
    ending: bool,
    fault: Option<Fault>,
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            now: 1_000_000,
            count: 0,
            agenda: BTreeMap::new(),
            clients: Vec::new(),
            parent: Vec::new(),
            supervisor: 0,
            reign: 0,
            died: 0,
            open: false,
            locks: BTreeMap::new(),
            token: 0,
            tickets: 0,
            copy: Copy::new(),
            writer: BTreeMap::new(),
            written: Version(0, 0),
            ending: false,
            fault,
        };
        for _ in 0..6 {
            world.start();
        }
        world.elect();
        for event in [Event::Kill, Event::Stop, Event::Look] {
            world.after(1_000_000, event);
        }
        world
    }

    // ---------------------------------------------------------------------------------------------------------- clockwork

    fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.agenda.insert((time.max(self.now), self.count), event);
    }

    fn after(&mut self, most: u64, event: Event) {
        let time = self.now + 1 + self.chance.below(most);
        self.at(time, event);
    }

    fn note(&mut self, process: usize, what: What) {
        // A line may be late, never early, and never later than what it says next.
        self.now += 1;
        self.clients[process].lines.push(Line { at: self.now, what });
    }

    fn tell(&mut self, what: What) {
        self.now += 1;
        self.parent.push(Line { at: self.now, what });
    }

    fn send(&mut self, from: usize, message: ToServer) {
        if self.clients[from].connected {
            let time = self.clients[from].sent.max(self.now) + 1 + self.chance.below(30_000);
            self.clients[from].sent = time;
            self.at(time, Event::AtServer { reign: self.reign, from, message });
        }
    }

    fn answer(&mut self, to: usize, message: ToClient) {
        if self.clients[to].alive && self.clients[to].connected {
            let arrived = self.clients[to].received.max(self.now) + 1 + self.chance.below(30_000);
            let read = self.clients[to].read.max(arrived) + 1 + self.chance.below(30_000);
            (self.clients[to].received, self.clients[to].read) = (arrived, read);
            self.at(read, Event::AtClient { reign: self.reign, to, message, arrived });
        }
    }

    fn has_joined(&self, process: usize) -> bool {
        self.clients[process].lines.len() > 1
    }

    fn living(&self) -> Vec<usize> {
        (0..self.clients.len()).filter(|n| self.clients[*n].alive).collect()
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), event)) = self.agenda.pop_first() else { return false };
        self.now = self.now.max(time);
        self.ending |= self.now > TIME;
        let held_up = match &event {
            Event::AtClient { to, .. } => Some(*to),
            Event::Wake { process, .. } | Event::Rejoin { process } => Some(*process),
            _ => None,
        };
        if let Some(process) = held_up {
            if !self.clients[process].alive {
                return true;
            }
            if self.clients[process].stopped {
                self.clients[process].later.push_back(event);
                return true;
            }
        }
        match event {
            // The dead connection's words are lost, and what had arrived from the dead server is read to the end.
            Event::AtServer { reign, from, message } if reign == self.reign && self.open => self.serve(from, message),
            Event::AtServer { .. } => {}
            Event::AtClient { reign, to, message, arrived } => {
                // A grant that is read when the reign is over is none until the next reign has confirmed it.
                let lost = reign != self.reign && (arrived > self.died || matches!(message, ToClient::Grant(..)));
                if !lost {
                    self.hear(to, message);
                }
            }
            Event::Acknowledge { reign, to, put, version } if reign == self.reign => {
                self.answer(to, ToClient::Stored(put, version));
            }
            Event::Acknowledge { .. } => {}
            Event::Run { reign, from, request } if reign == self.reign => self.run(from, request),
            Event::Run { .. } => {}
            Event::Delivered { reign, from, message, to, alone } if reign == self.reign => {
                self.delivered(from, message, &to, alone);
            }
            Event::Delivered { .. } => {}
            Event::Wake { process, thread } => self.act(process, thread),
            Event::Rejoin { process } => self.rejoin(process),
            Event::Open { reign } if reign == self.reign => self.open(),
            Event::Open { .. } => {}
            Event::Kill => self.kill(),
            Event::Stop => self.stop(),
            Event::Resume { process } => self.resume(process),
            Event::Look => self.look(),
        }
        true
    }
}
