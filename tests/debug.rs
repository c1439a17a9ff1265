//! What `{:?}` shows: who and how many, never what the application has stored or sent.

mod fleet;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bellwether::sync::Mode;
use bellwether::{
    Abandoned, Command, EndReason, Epoch, Error, Event, Group, Instance, InstanceId, Kind, Lack, Name, Operation,
    PortReason, Refusal, Role, Verdict,
};
use crossbeam::channel::Receiver;

const SECRET: &str = "correct horse battery staple";

/// The longest that anything may be, with the short names of this test.
const LONGEST: usize = 700;

/// What was shown of which types.
#[derive(Default)]
struct Shown(BTreeSet<String>);

impl Shown {
    /// Looks at the two forms of a value.
    fn look<T: Debug>(&mut self, value: &T) {
        let path = std::any::type_name::<T>();
        let path = path.split('<').next().unwrap_or_default();
        self.0.insert(path.rsplit("::").next().unwrap_or_default().to_owned());
        let bytes = format!("{:?}", SECRET.as_bytes());
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!flat.contains(SECRET), "{path}: {text}");
            assert!(!flat.contains(bytes.trim_matches(['[', ']'])), "{path}: {text}");
            assert!(text.len() <= LONGEST, "{} bytes of {path}: {text}", text.len());
        }
    }
}

/// The types that the application can name, as the crate exports them.
fn exported() -> BTreeSet<String> {
    let mut exported = BTreeSet::new();
    for file in ["src/lib.rs", "src/sync/mod.rs"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a source file");
        for list in text.split("\npub use ").skip(1) {
            let list = list.split(';').next().unwrap_or_default();
            let words = list.split(|c: char| !c.is_alphanumeric() && c != '_');
            exported.extend(words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned));
        }
    }
    assert!(exported.len() > 25, "the test has read the exports: {exported:?}");
    exported
}

/// The first event that is wanted.
fn await_event(events: &Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> Event {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match events.recv_deadline(until) {
            Ok(event) if wanted(&event) => return event,
            Ok(_) => {}
            Err(_) => panic!("no such event"),
        }
    }
}

/// What happens at a group in whose every corner the secret lies.
fn show_live(shown: &mut Shown) -> Result<(), Error> {
    let group = Group::new("shown")?.port(fleet::free_port()).label("worker").payload(SECRET);
    let (operations, judged) = mpsc::channel();
    let (requests, asked) = mpsc::channel();
    let group = group.policy(move |_, operation| operations.send(operation.clone()).map_or_else(refuse, allow));
    let group = group.on_request(move |request| requests.send(request.clone()).map_or_else(gone, |()| SECRET.into()));
    shown.look(&group);
    let one = group.clone().join()?;
    let two = group.clone().join()?;
    let observer = group.clone().observe()?;
    let events = two.events();
    one.state().put("password", SECRET)?;
    one.once("migrate").run(|| Ok(SECRET.into()))?;
    one.broadcast(SECRET.as_bytes())?;
    one.command_all(Command::Custom(SECRET.as_bytes().into()))?;
    two.request(SECRET.as_bytes())?;

    for instance in [&one, &two] {
        shown.look(instance);
        shown.look(&instance.state());
        show_sync(shown, instance)?;
    }
    shown.look(&one.office()?);
    shown.look(&observer);
    shown.look(&observer.state());
    let value = observer.state().get("password").expect("it was written");
    shown.look(&value);
    shown.look(&value.version);
    one.registry().iter().for_each(|entry| {
        shown.look(entry);
        shown.look(&entry.standing);
    });
    shown.look(&await_event(&events, |event| matches!(event, Event::State { .. })));
    shown.look(&await_event(&events, |event| matches!(event, Event::Message { .. })));
    let custom = await_event(&events, |event| matches!(event, Event::Command(_)));
    shown.look(&custom);
    let visitor = group.join()?;
    shown.look(&await_event(&events, |event| matches!(event, Event::Joined(_))));
    visitor.leave();
    shown.look(&await_event(&events, |event| matches!(event, Event::Ended { .. })));
    // The handler and the policy see what the others send.
    shown.look(&asked.try_recv().expect("the handler was asked"));
    let operations: Vec<_> = judged.try_iter().collect();
    assert!(operations.iter().any(|operation| matches!(operation, Operation::Write { .. })), "{operations:?}");
    assert!(operations.iter().any(|operation| matches!(operation, Operation::Broadcast { .. })), "{operations:?}");
    operations.iter().for_each(|operation| shown.look(operation));
    Ok(())
}

fn allow((): ()) -> Verdict {
    Verdict::Allow
}

fn refuse<E>(_: E) -> Verdict {
    Verdict::Deny("the test has ended".to_owned())
}

fn gone<E>(_: E) -> Vec<u8> {
    Vec::new()
}

fn show_sync(shown: &mut Shown, instance: &Instance) -> Result<(), Error> {
    let mutex = instance.mutex("catalog");
    shown.look(&mutex);
    shown.look(&instance.mutex(""));
    let guard = mutex.lock()?;
    shown.look(&guard);
    shown.look(&guard.token());
    let rwlock = instance.rwlock("index");
    shown.look(&rwlock);
    shown.look(&instance.semaphore("licences", 3));
    shown.look(&instance.once("migrate"));
    let barrier = instance.barrier("phase", 1);
    shown.look(&barrier);
    shown.look(&barrier.wait()?);

    let waiting = std::thread::spawn({
        let mutex = mutex.clone();
        move || mutex.lock().map(drop)
    });
    let row = loop {
        let rows = instance.locks()?;
        let row = rows.into_iter().find(|row| row.name.as_str() == "catalog").expect("it is held");
        if !row.waiters.is_empty() {
            break row;
        }
    };
    shown.look(&row);
    shown.look(&row.holders[0]);
    shown.look(&row.holders[0].holder);
    shown.look(&row.waiters[0]);
    drop(guard);
    waiting.join().expect("the one that waited")
}

/// What needs no group: a value of each kind, with the secret wherever it has bytes.
fn show_values(shown: &mut Shown) {
    let (name, to) = (Name::new("catalog").expect("a short name"), InstanceId::new(1));
    let bytes = || SECRET.as_bytes().into();
    let operations = [
        Operation::Acquire { kind: Kind::Mutex, name: name.clone(), mode: Mode::Permits(3) },
        Operation::Arrive { name: name.clone(), parties: 2 },
        Operation::Write { kind: Kind::Once, name: name.clone(), bytes: Some(bytes()) },
        Operation::Send { to, bytes: bytes() },
        Operation::Broadcast { bytes: bytes() },
        Operation::Request { bytes: bytes() },
        Operation::Command { to: Some(to), command: Command::Custom(bytes()) },
    ];
    operations.iter().for_each(|operation| shown.look(operation));
    [Command::Pause, Command::Custom(bytes())].iter().for_each(|command| shown.look(command));
    [Verdict::Allow, Verdict::Deny("not today".to_owned())].iter().for_each(|verdict| shown.look(verdict));
    let reason = PortReason::SourcePort { range: Some((32_768, 60_999)) };
    shown.look(&Event::PortUnusable { port: 20_000, reason: reason.clone(), listener: None });
    shown.look(&Event::Command(Command::Custom(bytes())));
    shown.look(&Event::Message { from: to, bytes: bytes() });
    shown.look(&Error::PortUnusable { port: 20_000, reason: reason.clone(), listener: None });
    shown.look(&reason);
    shown.look(&Refusal::Full { limit: 8192 });
    shown.look(&Abandoned::Died { who: to });
    shown.look(&Mode::Exclusive);
    shown.look(&Kind::Value);
    shown.look(&Role::Supervisor);
    shown.look(&EndReason::Evicted);
    shown.look(&Name::new("").expect_err("no name"));
    shown.look(&"x".parse::<InstanceId>().expect_err("no id"));
    shown.look(&Epoch::new(7));
    shown.look(&name);
    shown.look(&to);
}

/// What names the process that has the port.
fn show_listener(shown: &mut Shown) {
    let service = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = service.local_addr().expect("its address").port();
    std::thread::spawn(move || service.incoming().flatten().for_each(|mut stream| drop(stream.write_all(&[0xff; 64]))));
    let error = Group::new("foreign").expect("a short name").port(port).join().expect_err("a foreign service");
    let Error::PortUnusable { listener: Some(listener), .. } = &error else { panic!("{error:?}") };
    shown.look(listener);
    shown.look(&error);
    shown.look(&Event::Starved { lacks: Lack::Threads });
    shown.look(&Lack::Descriptors);
}

#[test]
fn no_public_type_shows_what_the_application_has_stored_or_sent() {
    let mut shown = Shown::default();
    show_values(&mut shown);
    show_listener(&mut shown);
    show_live(&mut shown).expect("a group in which everything works");
    let mut missing = exported();
    // A trait object; what it shows is the application's own.
    assert!(missing.remove("Failure"));
    missing.retain(|name| !shown.0.contains(name));
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn bytes_are_shown_as_their_number() {
    let message = Event::Message { from: InstanceId::new(1), bytes: SECRET.as_bytes().into() };
    assert_eq!(format!("{message:?}"), "Message { from: 0000000000000001, bytes: 28 bytes }");
    let write = Operation::Write { kind: Kind::Value, name: Name::new("k").expect("a short name"), bytes: None };
    assert_eq!(format!("{write:?}"), r#"Write { kind: Value, name: Name("k"), bytes: None }"#);
}
