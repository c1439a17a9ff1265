//! Barriers, work that is done once and the state, from the outside: what a test says to members about them.

use super::{Line, Member};

/// A call that a member was told to make, and that may block.
pub struct Call {
    pub member: Member,
    command: u64,
    /// From where on the member's reports are later than it.
    mark: usize,
}

impl Call {
    /// How it ended.
    pub fn answer(&self) -> Result<Line, String> {
        self.member.process.answer(self.command)
    }

    /// What it returned.
    pub fn done(&self) -> Line {
        self.answer().unwrap_or_else(|error| panic!("{} has failed: {error}", self.member.id))
    }

    /// Returns when it has begun to wait at a barrier, and whatever it said has been heard. It can only be too early by
    /// the time between two instructions of a thread, and then the test is just milder.
    pub fn arrived(&self) {
        self.member.expect(self.mark, "meets", &[]);
        self.member.ask("held-permits none").expect("somebody reigns");
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.member.process.has_answered(self.command)
    }
}

impl Member {
    /// Makes a call without waiting for its end.
    pub fn call(&self, verb: &str) -> Call {
        let mark = self.process.mark();
        Call { command: self.say(verb), member: self.clone(), mark }
    }

    /// Arrives at a barrier: `NAME PARTIES [within=MS]`.
    pub fn meet(&self, what: &str) -> Call {
        self.call(&format!("meet {what}"))
    }

    /// Runs what is done once: `NAME [try|within=MS] [bytes=TEXT]`.
    pub fn once(&self, what: &str) -> Call {
        self.call(&format!("once {what}"))
    }

    /// Waits, from the given line on, until the work of this name runs here.
    pub fn runs(&self, from: usize, name: &str) {
        self.expect(from, "runs", &[("name", name)]);
    }

    /// Waits until the work of this name runs at one of these; says at whom.
    pub fn runner(members: &[Self], name: &str) -> Self {
        let mut found = None;
        super::eventually("one of them runs the work", || {
            let runs = |member: &&Self| member.events(0, "runs").iter().any(|event| event.get("name") == Some(name));
            found = members.iter().find(runs).cloned();
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Ends the work of this name, which runs here.
    pub fn finish(&self, name: &str, text: &str) {
        self.ask(&format!("finish {name} {text}")).expect("the work runs");
    }

    /// The text of a value, and its version.
    pub fn get(&self, name: &str) -> Option<(String, String)> {
        let value = self.ask(&format!("get {name}")).expect("a state");
        value.get("bytes").map(|bytes| (bytes.to_owned(), value.text("version")))
    }

    /// Writes a value and returns its version.
    pub fn put(&self, name: &str, text: &str) -> String {
        self.ask(&format!("put {name} {text}")).unwrap_or_else(|error| panic!("put {name}: {error}")).text("version")
    }

    /// All keys, with their versions and values, in one text.
    pub fn snapshot(&self) -> String {
        self.ask("snapshot").expect("a state").text("values")
    }
}

/// Some work, of a length that differs from call to call, in place of a moment that nobody can know.
pub fn dawdle(rounds: u32) {
    for n in 0..rounds * 200 {
        std::hint::black_box(n);
    }
}
