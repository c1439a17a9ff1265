//! Messages, requests, commands and policies, from the outside: what a test says to members about them.

use super::locks::refused;
use super::sync::Call;
use super::{Fleet, Line, Member, eventually};

/// One that reigns, because it came first, and so many others that joined with these options.
pub fn reigning(fleet: &Fleet, options: &str, count: usize, others: &str) -> (Member, Vec<Member>) {
    let supervisor = fleet.member(options);
    (supervisor, fleet.members(count, others))
}

/// Members with these labels, in this order.
pub fn labelled(fleet: &Fleet, labels: &[&str], options: &str) -> Vec<Member> {
    labels.iter().map(|label| fleet.member(&format!("label={label} {options}"))).collect()
}

/// That an answer is a refusal for a reason that says this.
pub fn denied(answer: Result<Line, String>, reason: &str) {
    let error = refused(answer, "Denied");
    assert!(error.contains(reason), "{reason} expected: {error:?}");
}

/// Waits until all of these see this one stand so.
pub fn expect_standing(members: &[&Member], of: &Member, standing: &str) {
    eventually(&format!("{} is seen as {standing}", of.id), || {
        members.iter().all(|member| standing_of(member, of).as_deref() == Some(standing))
    });
}

/// How a member sees another stand, if it sees it.
pub fn standing_of(member: &Member, of: &Member) -> Option<String> {
    member.status().registry.into_iter().find(|row| row.id == of.id).map(|row| row.standing)
}

impl Fleet {
    /// A process with an observer, which speaks like a member and has no id.
    pub fn observer(&self) -> Member {
        let process = self.process();
        process.ask(&format!("observe o group={} port={}", self.group, self.port)).expect("somebody reigns");
        Member { process, key: "o".to_owned(), id: String::new(), epoch: 0 }
    }
}

impl Member {
    /// Whatever its process has reported by now has been read, also what another one knows of already.
    pub fn caught_up(&self) -> &Self {
        let reply = format!("reply {} ", self.say("status"));
        self.process.wait(0, "what it knows, or its end", |line| {
            (line.0.starts_with(&reply) || line.0 == "end of output").then_some(())
        });
        self
    }

    /// Sends a text to one; `what` may go on with `try` or `within=MS`.
    pub fn send(&self, to: &Self, what: &str) -> Result<Line, String> {
        self.sending(to, what).answer()
    }

    pub fn sending(&self, to: &Self, what: &str) -> Call {
        self.call(&format!("send {} {what}", to.id))
    }

    /// Sends a text to all others, and says how many it reached.
    pub fn broadcast(&self, what: &str) -> Result<u64, String> {
        self.ask(&format!("broadcast {what}")).map(|answer| answer.number("count"))
    }

    /// Asks the supervisor's handler, and says what it answered.
    pub fn request(&self, what: &str) -> Result<String, String> {
        self.ask(&format!("request {what}")).map(|answer| answer.text("reply"))
    }

    pub fn requesting(&self, what: &str) -> Call {
        self.call(&format!("request {what}"))
    }

    /// Commands one: `pause`, `resume`, `stop`, or a text.
    pub fn command(&self, to: &Self, what: &str) -> Result<Line, String> {
        self.ask(&format!("command {} {what}", to.id))
    }

    /// Commands all, and says how many it reached.
    pub fn command_all(&self, what: &str) -> Result<u64, String> {
        self.ask(&format!("command all {what}")).map(|answer| answer.number("count"))
    }

    /// Waits until it has been told this command, from the given line on.
    pub fn obeys(&self, from: usize, what: &str) {
        self.expect(from, "command", &[("what", what)]);
    }

    /// Waits for a message that says this.
    pub fn hears(&self, text: &str) -> Line {
        self.expect(0, "message", &[("bytes", text)])
    }

    /// What all messages so far said, and who sent them, in their order.
    pub fn heard(&self) -> Vec<(String, String)> {
        let tell = |event: Line| (event.text("from"), event.text("bytes"));
        self.events(0, "message").into_iter().map(tell).collect()
    }

    /// What the messages of this sender said so far, in their order.
    pub fn heard_from(&self, sender: &Self) -> Vec<String> {
        let own = |(from, text): (String, String)| (from == sender.id).then_some(text);
        self.heard().into_iter().filter_map(own).collect()
    }

    /// Waits until its policy is asked about this, from the given line on.
    pub fn judges(&self, from: usize, what: &str, name: &str) -> Line {
        self.expect(from, "judged", &[("what", what), ("name", name)])
    }

    /// Lets everything go on that its policy or its handler keeps waiting.
    pub fn unblock(&self) {
        self.ask("unblock").expect("a process answers");
    }

    /// Whether anybody holds or waits for a lock of this name, as the supervisor sees it; what this one has asked for and
    /// was answered is in it.
    pub fn sees_lock(&self, name: &str) -> bool {
        self.ask(&format!("held-permits {name}")).expect("somebody reigns").get("limit").is_some()
    }
}
