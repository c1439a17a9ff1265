//! Schedules written by hand: each call does something if it is possible, and nothing if it is not, so that the same
//! schedule runs with a rule in force and without it.

use super::Config;
use super::world::{Action, World};

pub(super) struct Script {
    pub(super) world: World,
}

impl Script {
    pub(super) fn new(config: Config) -> Self {
        let world = World::at_rest(config);
        assert_eq!(world.bad, None, "the start");
        Self { world }
    }

    /// Does this if it is possible, and says whether it was. The notices that a slice of time makes the supervisor send are
    /// lost: most schedules are about what holds without them.
    pub(super) fn act(&mut self, action: Action) -> bool {
        let was_possible = self.alone(action);
        if let Action::Slice(i) = action {
            while self.alone(Action::Undelivered(i)) || self.alone(Action::Notified(i)) {}
        }
        was_possible
    }

    /// Does this and nothing else.
    pub(super) fn alone(&mut self, action: Action) -> bool {
        let mut possible = Vec::new();
        self.world.actions(&mut possible);
        let is_possible = possible.contains(&action) && self.world.bad.is_none();
        if is_possible {
            self.world.step(action);
        }
        is_possible
    }

    pub(super) fn all(&mut self, actions: &[Action]) -> &mut Self {
        for action in actions {
            self.act(*action);
        }
        self
    }

    /// The supervisor takes all that a connection holds, but not its end.
    pub(super) fn read(&mut self, client: u8, attempt: u16) -> &mut Self {
        while self.world.pipe(client, attempt).is_some_and(|k| !self.world.pipes[k].up.is_empty())
            && self.act(Action::Read(client, attempt))
        {}
        self
    }

    /// Everything that was sent to a client is written to it, and it takes all that, but not the end.
    pub(super) fn deliver(&mut self, client: u8) -> &mut Self {
        let attempt = self.world.instances[usize::from(client)].attempt;
        while self.act(Action::Write(client, attempt)) {}
        while self.world.current(client).is_some_and(|k| !self.world.pipes[k].down.is_empty())
            && self.act(Action::Receive(client))
        {}
        self
    }

    /// What these do of their own accord and among themselves, until nothing is left to do.
    pub(super) fn among(&mut self, these: &[u8]) -> &mut Self {
        for _ in 0..2000 {
            let mut work = Vec::new();
            self.world.work(&mut work);
            let server =
                |client: u8, attempt: u16| self.world.pipe(client, attempt).map(|k| self.world.pipes[k].server);
            let ours = |action: &&Action| match **action {
                Action::Read(client, attempt) | Action::Write(client, attempt) => {
                    these.contains(&client) && server(client, attempt).is_some_and(|server| these.contains(&server))
                }
                Action::Elect(i)
                | Action::Greet(i)
                | Action::ReadMailbox(i)
                | Action::Look(i)
                | Action::Notify(i)
                | Action::Notified(i)
                | Action::Receive(i)
                | Action::GoOn(i)
                | Action::Call(i)
                | Action::Probe(i)
                | Action::Finish(i) => these.contains(&i),
                _ => false,
            };
            let Some(action) = work.iter().find(ours).copied() else { return self };
            self.act(action);
        }
        self
    }

    /// Everybody runs until nothing is left to do; then all must have come to rest.
    pub(super) fn rest(&mut self) -> &mut Self {
        for i in 0..self.world.instances.len() as u8 {
            self.act(Action::Continue(i));
        }
        self.world.settle();
        self.world.check_at_rest();
        self
    }
}
