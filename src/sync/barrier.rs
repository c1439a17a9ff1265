//! Where several wait for each other.

use std::fmt;
use std::time::Duration;

use crate::coordinator::barriers::Barriers;
use crate::error::Error;
use crate::ident::{Name, NameError};
use crate::instance::Instance;
use crate::runtime::calls::Patience;

/// Where so many wait for each other, of all threads of all copies of the program; from [`Instance::barrier`].
///
/// When as many have arrived as it was made for, all of them pass, and it can be used again. It survives the supervisor.
/// All users of a name must name the same number.
///
/// All pass or none does: if one of them passes, so do all that live. A call whose time runs out as the last one arrives
/// either passes with the others or has been taken back before, so that nobody passes. Those that die or leave before it is
/// complete do not count any more. There are two exceptions: [`Error::Interrupted`], see [`Barrier::wait_timeout`], and a
/// process that was stopped for longer than [`Group::window_limit`](crate::Group::window_limit) while the supervisor ended: if
/// it had received that all are there, it passes, even if calls of others have timed out since.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
/// let phase = instance.barrier("phase-1", 2);
/// let other = std::thread::spawn({
///     let phase = phase.clone();
///     move || phase.wait()
/// });
/// let here = phase.wait()?;
/// let there = other.join().expect("the other one")?;
/// assert!(here.is_leader() != there.is_leader());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Barrier {
    instance: Instance,
    name: Result<Name, NameError>,
    parties: u32,
}

/// That a barrier let this caller pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    leader: bool,
}

impl BarrierWait {
    /// Whether this caller is the one of those that passed together who may do what has to be done once. If that one dies,
    /// nobody else is told.
    pub const fn is_leader(&self) -> bool {
        self.leader
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Barrier");
        match &self.name {
            Ok(name) => shown.field("name", name),
            Err(error) => shown.field("name", error),
        };
        shown.field("instance", &self.instance.id()).field("parties", &self.parties).finish()
    }
}

impl Barrier {
    pub(crate) fn new(instance: &Instance, name: &str, parties: u32) -> Self {
        Self { instance: instance.clone(), name: Name::new(name), parties }
    }

    /// Blocks until so many have arrived, this caller included.
    ///
    /// If the supervisor ends meanwhile the call goes on waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Option`] if the number is not 1 to 4096. [`Error::Denied`] by the policy, if others wait for
    /// another number, or if this instance waits at barriers 4096 times already. [`Error::Left`], [`Error::Forked`],
    /// [`Error::InCallback`].
    pub fn wait(&self) -> Result<BarrierWait, Error> {
        self.wait_within(Patience::Forever)
    }

    /// Blocks until so many have arrived, for at most this long, and then for one round trip in which the arrival is taken
    /// back, up to a second if the supervisor does not answer.
    ///
    /// If all have arrived by the time the supervisor hears that the time has passed, the call passes with the others. It
    /// then waits to be let go, whatever the time. So a barrier of one lets its caller pass with no time at all, and a barrier
    /// that lacks only this caller does: with [`Duration::ZERO`] the call asks whether it is the last. (A
    /// [policy](crate::Group::policy) takes time: with one, a call with no time mostly fails with [`Error::TimedOut`], since its
    /// arrival is taken back before the verdict.)
    ///
    /// A caller whose instance is paused or not connected counts when it is back.
    ///
    /// # Errors
    ///
    /// - Those of [`Barrier::wait`].
    /// - [`Error::TimedOut`]: this caller does not count any more, and no call passes because of it. The barrier can be used
    ///   again at once.
    /// - [`Error::Interrupted`]: no supervisor has answered for a second, and it is unknown whether this caller counts. The
    ///   others may pass, and if this one was to lead, then without a leader. The arrival is taken back as soon as a
    ///   supervisor answers, unless it was counted before; until then it counts beside that of another call.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWait, Error> {
        self.wait_within(Patience::For(timeout))
    }

    fn wait_within(&self, patience: Patience) -> Result<BarrierWait, Error> {
        let limit = Self::PARTIES_LIMIT;
        if self.parties == 0 || self.parties > limit {
            return Err(Error::Option { option: "parties", value: self.parties.into(), limit: limit.into() });
        }
        let name = self.name.as_ref().map_err(|error| Error::Name(*error))?;
        let leader = self.instance.callable()?.meet(name, self.parties, patience)?;
        Ok(BarrierWait { leader })
    }

    /// The most that can wait for each other.
    const PARTIES_LIMIT: u32 = Barriers::PARTIES_LIMIT;
}
