//! A supervisor and what it sends to everybody, of which the test says when it is written.

use super::*;

pub(in crate::coordinator::supervisor) const ME: LinkId = LinkId::LOCAL;

/// One whose number is that of its connection; the supervisor's own is 100.
pub(in crate::coordinator::supervisor) const fn id(link: LinkId) -> InstanceId {
    InstanceId::new(if link.0 == 0 { 100 } else { link.0 })
}

pub(in crate::coordinator::supervisor) const fn request(number: u64) -> Request {
    Request::new(number)
}

pub(in crate::coordinator::supervisor) struct Office {
    pub(in crate::coordinator::supervisor) supervisor: Supervisor,
    /// What was sent on each connection and not written.
    pub(in crate::coordinator::supervisor) unwritten: BTreeMap<LinkId, VecDeque<ToMember>>,
    /// What was written to each connection, and all of it is.
    pub(in crate::coordinator::supervisor) written: BTreeMap<LinkId, Vec<ToMember>>,
    counts: BTreeMap<LinkId, u64>,
    /// Outputs that are for no connection.
    pub(in crate::coordinator::supervisor) asides: Vec<Output>,
    /// To how many each frame went at once.
    pub(super) casts: Vec<usize>,
    /// Nothing is reported of notices.
    pub(in crate::coordinator::supervisor) keeps_notices: bool,
}

impl Office {
    /// A window of the supervisor's own instance, and of those connections that come back.
    pub(super) fn closed(control: Control, rules: Rules, survivors: &[LinkId]) -> Self {
        let settings = Settings {
            group: group(),
            me: id(ME),
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 99,
            control,
        };
        let mut supervisor = Supervisor::with_rules(settings, rules);
        supervisor.called(RollCall::Everyone(BTreeSet::from([(id(ME), Tag::new(1))])));
        let mut office = Self {
            supervisor,
            unwritten: BTreeMap::new(),
            written: BTreeMap::from([(ME, Vec::new())]),
            counts: BTreeMap::new(),
            asides: Vec::new(),
            casts: Vec::new(),
            keeps_notices: false,
        };
        let known: Vec<_> = survivors.iter().map(|link| id(*link).number()).chain([100]).collect();
        for link in survivors {
            office.open_link(*link);
            say_hello(&mut office.supervisor, *link, id(*link).number(), &known);
        }
        say_hello(&mut office.supervisor, ME, 100, &known);
        office.supervisor.close(1);
        office.take();
        office
    }

    /// An open reign of the supervisor's own instance and so many members, who have read all that there was.
    pub(in crate::coordinator::supervisor) fn with(control: Control, rules: Rules, members: u64) -> Self {
        let mut office = Self::closed(control, rules, &[]);
        for number in 1..=members {
            office.join(LinkId(number));
        }
        assert!(office.supervisor.is_open());
        office.forget();
        office
    }

    pub(super) fn of(members: u64) -> Self {
        Self::with(Control::default(), Rules::ALL, members)
    }

    pub(in crate::coordinator::supervisor) fn open_link(&mut self, link: LinkId) {
        self.unwritten.insert(link, VecDeque::new());
        self.written.insert(link, Vec::new());
        self.counts.insert(link, 0);
        self.supervisor.connected(link);
    }

    pub(in crate::coordinator::supervisor) fn join(&mut self, link: LinkId) {
        self.open_link(link);
        begin_hello(&mut self.supervisor, link, id(link).number(), &[]);
        self.say(link, ToSupervisor::ClaimsEnd);
        self.write_all();
        self.forget();
    }

    pub(in crate::coordinator::supervisor) fn observe(&mut self, link: LinkId) {
        self.open_link(link);
        greet(&mut self.supervisor, link, (id(link), 1), Purpose::Observer, Stamp::default());
        self.say(link, ToSupervisor::ClaimsEnd);
        self.write_all();
        self.forget();
    }

    /// A member whose connection has ended comes back on another.
    pub(in crate::coordinator::supervisor) fn come_back(&mut self, link: LinkId, id: InstanceId) {
        self.open_link(link);
        let stamp = self.supervisor.registry().stamp();
        greet(&mut self.supervisor, link, (id, 1 + link.0), Purpose::Member, stamp);
        self.say(link, ToSupervisor::ClaimsEnd);
    }

    /// Forgets what was written and decided so far.
    pub(in crate::coordinator::supervisor) fn forget(&mut self) {
        self.written.values_mut().for_each(Vec::clear);
        self.asides.clear();
        self.casts.clear();
    }

    pub(in crate::coordinator::supervisor) fn say(&mut self, link: LinkId, frame: ToSupervisor) {
        self.supervisor.frame(link, frame);
        self.take();
    }

    pub(super) fn post(&mut self, link: LinkId, number: u64, to: Option<LinkId>, size: usize) {
        let post = Post { request: request(number), to: to.map(id), bytes: message(number, size) };
        self.say(link, ToSupervisor::Post(post));
    }

    pub(in crate::coordinator::supervisor) fn command(
        &mut self,
        link: LinkId,
        number: u64,
        to: Option<LinkId>,
        order: Order,
    ) {
        let to = to.map(id);
        self.say(link, ToSupervisor::Command(Command { request: request(number), to, order }));
    }

    pub(in crate::coordinator::supervisor) fn take(&mut self) {
        let mut outputs = VecDeque::from(self.supervisor.take_outputs());
        while let Some(output) = outputs.pop_front() {
            if let Output::Notify { id, .. } = output
                && !self.keeps_notices
            {
                self.supervisor.notified(id);
                outputs.extend(self.supervisor.take_outputs());
            }
            match output {
                Output::Send(link, frame) => self.put_out(link, frame),
                Output::Cast(links, frame) => {
                    self.casts.push(links.len());
                    links.into_iter().for_each(|link| self.put_out(link, frame.clone()));
                }
                Output::Watch(_) => {}
                other => self.asides.push(other),
            }
        }
        self.supervisor.check_invariants();
    }

    fn put_out(&mut self, link: LinkId, frame: ToMember) {
        if link == ME {
            self.written.entry(ME).or_default().push(frame);
        } else if let Some(unwritten) = self.unwritten.get_mut(&link) {
            unwritten.push_back(frame);
        }
    }

    /// The next frame of this connection reaches its kernel.
    pub(in crate::coordinator::supervisor) fn write(&mut self, link: LinkId) -> bool {
        let Some(frame) = self.unwritten.get_mut(&link).and_then(VecDeque::pop_front) else { return false };
        self.written.entry(link).or_default().push(frame);
        let count = self.counts.entry(link).or_default();
        *count += 1;
        self.supervisor.written(link, *count);
        self.take();
        true
    }

    pub(in crate::coordinator::supervisor) fn write_all(&mut self) {
        while self.unwritten.keys().copied().collect::<Vec<_>>().into_iter().any(|link| self.write(link)) {}
    }

    pub(in crate::coordinator::supervisor) fn end(&mut self, link: LinkId, gone: bool) {
        self.unwritten.remove(&link);
        self.supervisor.ended(link, gone);
        self.take();
    }

    /// What was written to this connection since the last look.
    pub(in crate::coordinator::supervisor) fn heard(&mut self, link: LinkId) -> Vec<ToMember> {
        self.written.get_mut(&link).map(std::mem::take).unwrap_or_default()
    }

    /// The same without views and their changes.
    pub(in crate::coordinator::supervisor) fn told(&mut self, link: LinkId) -> Vec<ToMember> {
        let views =
            |frame: &ToMember| matches!(frame, ToMember::Delta(_) | ToMember::Entries(_) | ToMember::Welcome(_));
        self.heard(link).into_iter().filter(|frame| !views(frame)).collect()
    }
}

/// What one says on a new connection, but for the end; `stamp` is that of its last view.
pub(super) fn greet(
    supervisor: &mut Supervisor,
    link: LinkId,
    (id, attempt): (InstanceId, u64),
    purpose: Purpose,
    stamp: Stamp,
) {
    let (attempt, nonce) = (Attempt::new(attempt), nonce_of(id.number()));
    let hello = Hello { wire: WIRE_VERSION, purpose, trust: Trust::Open, id, attempt, nonce };
    let profile =
        Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let (epoch, base, state) = (stamp.epoch, Token::default(), Stamp::default());
    let join = Join { group: group(), stamp, epoch, base, state, stopping: false, profile };
    for frame in [ToSupervisor::Hello(hello), ToSupervisor::Join(join)] {
        supervisor.frame(link, frame);
    }
}
