//! The policy of the demonstration, and whether it was heeded.

use bellwether::{Operation, Verdict};

use super::fleet::Number;
use crate::failure::Failure;

/// The lock that nobody may have.
pub(crate) const FORBIDDEN: &str = "forbidden";

/// What the process of this number says as supervisor. A refusal names who refuses.
pub(crate) fn policy(number: Number, operation: &Operation) -> Verdict {
    match operation {
        Operation::Acquire { name, .. } if name.as_str() == FORBIDDEN => Verdict::Deny(label(number)),
        _ => Verdict::Allow,
    }
}

/// What the process of this number is called.
pub(crate) fn label(number: Number) -> String {
    format!("instance {number}")
}

/// How a process was refused the forbidden lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Who asked.
    pub(crate) number: Number,
    /// Whose policy refused it: the supervisor's.
    pub(crate) supervisor: Number,
}

impl Refused {
    /// Judges what came of it when somebody asked for the forbidden lock: nothing was in the way, or these words. It is
    /// to be refused, by who is the supervisor at the time.
    pub(crate) fn new(number: Number, supervisor: Number, answer: Result<(), String>) -> Result<Self, Failure> {
        match answer {
            Err(why) if why == label(supervisor) => Ok(Self { number, supervisor }),
            Err(why) => Err(Failure::Instance(format!("not instance {supervisor}, the supervisor, denies: {why:?}"))),
            Ok(()) => Err(Failure::LetThrough { number, supervisor }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwether::Name;

    use super::*;

    #[test]
    fn one_lock_is_forbidden_and_everything_else_allowed() {
        let acquire = |name: &str| Operation::Acquire {
            kind: bellwether::Kind::Mutex,
            name: Name::new(name).unwrap(),
            mode: bellwether::sync::Mode::Exclusive,
        };
        assert_eq!(policy(3, &acquire("forbidden")), Verdict::Deny("instance 3".to_owned()));
        assert_eq!(policy(3, &acquire("journal")), Verdict::Allow);
        let write =
            Operation::Write { kind: bellwether::Kind::Value, name: Name::new("forbidden").unwrap(), bytes: None };
        assert_eq!(policy(3, &write), Verdict::Allow);
    }

    #[test]
    fn only_a_refusal_by_the_supervisor_will_do() {
        let denied = |number| Err(label(number));
        assert!(matches!(Refused::new(4, 3, denied(3)), Ok(Refused { number: 4, supervisor: 3 })));
        assert!(matches!(Refused::new(4, 3, denied(1)), Err(Failure::Instance(why)) if why.contains("instance 1")));
        let through = Refused::new(4, 3, Ok(())).unwrap_err();
        assert_eq!(through.to_string(), "instance 4 was given what the policy of instance 3 forbids");
    }
}
