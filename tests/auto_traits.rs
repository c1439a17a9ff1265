//! What is sent between threads, and used on after a panic: as with the cousins in `std::sync`.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};

use bellwether::sync::{Barrier, BarrierWait, Guard, LockStatus, Mutex, Once, RwLock, Semaphore};
use bellwether::{Entry, Error, Event, Group, Instance, Observer, Office, State, StateValue};

mod fleet;

const fn is_shared<T: Send + Sync>() {}

const fn survives_panics<T: UnwindSafe + RefUnwindSafe>() {}

/// Both, of each of these; that it compiles is the test.
macro_rules! assert_both {
    ($($name:ty),+ $(,)?) => {
        const _: () = {
            $(is_shared::<$name>(); survives_panics::<$name>();)+
        };
    };
}

assert_both!(
    Barrier,
    BarrierWait,
    Entry,
    Event,
    Guard,
    Instance,
    LockStatus,
    Mutex,
    Observer,
    Office,
    Once,
    RwLock,
    Semaphore,
    State<'_>,
    StateValue,
    crossbeam::channel::Receiver<Event>,
);

const _: () = {
    // With the application's callbacks, or with its errors: those are not made for being used after a panic.
    is_shared::<Group>();
    is_shared::<Error>();
};

#[test]
fn what_a_panic_goes_through_can_be_used_on() {
    let instance = Group::new("unwound").unwrap().port(fleet::free_port()).join().unwrap();
    let (mutex, once) = (instance.mutex("catalog"), instance.once("migrate"));
    let panicked = catch_unwind(|| {
        let _guard = mutex.lock().unwrap();
        once.run(|| panic!("in the middle of the work")).unwrap();
    });
    assert!(panicked.is_err());
    let guard = mutex.try_lock().unwrap();
    assert_eq!(guard.abandoned(), bellwether::Abandoned::Unknown);
    assert_eq!(once.run(|| Ok(vec![7])).unwrap(), [7]);
    instance.state().put("key", "value").unwrap();
}
