use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::super::lock;
use super::super::presence::Mechanism;
use super::super::shared::Settings;
use super::*;
use crate::coordinator::session::Session;
use crate::ident::{InstanceId, Name, Request as Number};
use crate::wire::message::{Ask, Profile, Purpose};

fn profile() -> Profile {
    Profile { pid: 7, version: 0, since: 0, presence: 0, paused: false, label: "l".into(), payload: [].into() }
}

fn instance(callbacks: Callbacks) -> Arc<Shared> {
    let group = Name::new("g").expect("a short name");
    let settings = Settings {
        group: group.clone(),
        port: 1,
        purpose: Purpose::Member,
        mechanism: Mechanism::Datagram,
        window_limit: None,
        member_limit: 1,
        stop_limit: None,
        succession: true,
        callbacks,
    };
    Arc::new(Shared::new(
        settings,
        Session::new(InstanceId::new(1), crate::ident::Nonce::new(1), group, profile()),
        None,
    ))
}

fn entry() -> Entry {
    let entry = message::Entry {
        id: InstanceId::new(7),
        profile: profile(),
        standing: message::Standing::Active,
        nonce: crate::ident::Nonce::new(7),
    };
    Entry::from_wire(&entry, None)
}

fn handler(handler: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Callbacks {
    Callbacks { policy: None, handler: Some(Arc::new(handler)) }
}

fn request() -> Request {
    Request { from: entry(), bytes: Arc::from(*b"what?") }
}

#[test]
fn a_policy_is_given_the_operation_and_its_reason_is_passed_on() {
    let policy = |who: &Entry, operation: &Operation| match operation {
        Operation::Request { bytes } if who.label == "l" => Verdict::Deny(String::from_utf8_lossy(bytes).into_owned()),
        _ => Verdict::Allow,
    };
    let shared = instance(Callbacks { policy: Some(Arc::new(policy)), handler: None });
    let ask = ToSupervisor::Ask(Ask { request: Number::new(1), bytes: Arc::from(*b"why?") });
    assert_eq!(judge(&shared, &entry(), &ask), Err("why?".into()));
    assert_eq!(judge(&shared, &Entry { label: String::new(), ..entry() }, &ask), Ok(()));
    assert!(judge(&shared, &entry(), &ToSupervisor::Leave).is_err(), "what is no operation is not allowed");
}

#[test]
fn without_a_policy_all_is_allowed_and_without_a_handler_nothing_answered() {
    let shared = instance(Callbacks::default());
    let ask = ToSupervisor::Ask(Ask { request: Number::new(1), bytes: Arc::from(*b"why?") });
    assert_eq!(judge(&shared, &entry(), &ask), Ok(()));
    assert!(answer(&shared, 1, &request()).is_err());
}

#[test]
fn only_while_a_callback_runs_its_own_instance_may_not_be_called() {
    // A callback that looks whether it may call the instances in this list.
    let called: Arc<Mutex<Vec<Arc<Shared>>>> = Arc::default();
    let looks = {
        let called = called.clone();
        move |_: &Request| {
            let callable = |shared: &Arc<Shared>| match shared.callable() {
                Ok(_) => b'y',
                Err(Error::InCallback) => b'n',
                Err(_) => b'?',
            };
            lock(&called).iter().map(callable).collect()
        }
    };
    let (own, other) = (instance(handler(looks)), instance(Callbacks::default()));
    lock(&called).extend([own.clone(), other]);
    assert!(own.callable().is_ok());
    assert_eq!(answer(&own, 1, &request()), Ok(Arc::from(*b"ny")));
    assert!(own.callable().is_ok(), "it is over");
    // The list holds the instance, which holds the callback, which holds the list.
    lock(&called).clear();
}

#[test]
fn a_callback_that_panicked_is_over() {
    let shared = instance(handler(|_| panic!("of a test")));
    assert!(catch_unwind(AssertUnwindSafe(|| answer(&shared, 1, &request()))).is_err());
    assert!(shared.callable().is_ok());
}
