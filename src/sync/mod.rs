//! What the application holds: locks and their like, named after their cousins in `std::sync` and behaving like them,
//! with a name that all copies of the program agree on in place of a memory address.
//!
//! A mutex, an rwlock, a semaphore, a barrier and a once of the same name are five different things: who holds the mutex
//! `"catalog"` does not hold the rwlock `"catalog"`.

mod barrier;
mod guard;
mod mutex;
mod once;
mod rwlock;
mod semaphore;
mod status;

pub use self::barrier::{Barrier, BarrierWait};
pub use self::guard::Guard;
pub use self::mutex::Mutex;
pub use self::once::{Failure, Once};
pub use self::rwlock::RwLock;
pub use self::semaphore::Semaphore;
pub use self::status::{Held, LockStatus, Mode, Waiter};

use std::fmt;

use crate::error::Error;
use crate::ident::{Kind, Name, NameError, Resource};
use crate::instance::Instance;
use crate::runtime::calls::Patience;
use crate::wire::message;

/// Something with a name, as one instance sees it. That the name is acceptable shows when it is used.
#[derive(Clone)]
struct Named {
    instance: Instance,
    name: Result<Resource, NameError>,
}

impl Named {
    fn new(instance: &Instance, kind: Kind, name: &str) -> Self {
        Self { instance: instance.clone(), name: Name::new(name).map(|name| Resource::new(kind, name)) }
    }

    fn resource(&self) -> Result<&Resource, Error> {
        self.name.as_ref().map_err(|error| Error::Name(*error))
    }

    /// Shows what has the name, without what the group holds.
    fn shown<'a, 'f>(&self, f: &'a mut fmt::Formatter<'f>, what: &str) -> fmt::DebugStruct<'a, 'f> {
        let mut shown = f.debug_struct(what);
        match &self.name {
            Ok(resource) => shown.field("name", &resource.name),
            Err(error) => shown.field("name", error),
        };
        shown.field("instance", &self.instance.id());
        shown
    }

    fn acquire(&self, mode: message::Mode, patience: Patience) -> Result<Guard, Error> {
        let (request, hold) = self.instance.callable()?.acquire(self.resource()?, mode, patience)?;
        Ok(Guard::new(self.instance.clone(), request, hold))
    }
}
