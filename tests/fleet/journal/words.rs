//! The words of a journal's lines.

use std::fmt;
use std::str::FromStr;

use super::{Abandoned, Expected, Found, Label, Line, Mode, Patience, Version, What, Why};

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, n) = text.split_once('.').ok_or(())?;
        Ok(Self(number(epoch)?, number(n)?))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process, self.number)
    }
}

impl FromStr for Label {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (process, n) = text.split_once('.').filter(|(process, _)| !process.is_empty()).ok_or(())?;
        Ok(Self { process: process.to_owned(), number: number(n)? })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed-out",
        })
    }
}

impl FromStr for Why {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Blocked, Self::Refused, Self::Failed, Self::Interrupted, Self::TimedOut];
        all.into_iter().find(|why| why.to_string() == text).ok_or(())
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endless => f.write_str("endless"),
            Self::None => f.write_str("none"),
            Self::For(time) => write!(f, "{time}"),
        }
    }
}

impl FromStr for Patience {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "endless" => Ok(Self::Endless),
            "none" => Ok(Self::None),
            time => number(time).map(Self::For),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Shared => f.write_str("shared"),
            Self::Permits(count) => write!(f, "permits:{count}"),
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "exclusive" => Ok(Self::Exclusive),
            "shared" => Ok(Self::Shared),
            other => other.strip_prefix("permits:").ok_or(())?.parse().map(Self::Permits).map_err(drop),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at)?;
        match &self.what {
            What::Joining => f.write_str("joining"),
            What::Joined { id } => write!(f, "joined {id}"),
            What::Reign { epoch, supervisor } => write!(f, "reign {epoch} {supervisor}"),
            What::Leaving => f.write_str("leaving"),
            What::Asked { ask, name, mode, patience } => {
                write!(f, "asked {ask} {name} {mode} {patience}")
            }
            What::Granted { ask, token, abandoned } => {
                let abandoned = match abandoned {
                    Abandoned::Clean => "clean",
                    Abandoned::Died => "died",
                    Abandoned::Unknown => "unknown",
                };
                write!(f, "granted {ask} {token} {abandoned}")
            }
            What::GaveUp { ask } => write!(f, "gave-up {ask}"),
            // Reasons are for people, and the last field of their line.
            What::Failed { ask, reason } => write!(f, "failed {ask} {}", reason.replace('\n', " ")),
            What::Releasing { ask } => write!(f, "releasing {ask}"),
            What::Lost { ask } => write!(f, "lost {ask}"),
            What::Putting { put, key, expected, value } => {
                write!(f, "putting {put} {key} ")?;
                match expected {
                    Expected::Anything => f.write_str("anything")?,
                    Expected::Nothing => f.write_str("nothing")?,
                    Expected::This(version) => write!(f, "{version}")?,
                }
                write!(f, " {}", value.as_deref().unwrap_or("-"))
            }
            What::Stored { put, version } => write!(f, "stored {put} {version}"),
            What::Conflict { put, version } => write!(f, "conflict {put} {version}"),
            What::Unsure { put } => write!(f, "unsure {put}"),
            What::Read { began, key, found } => write!(f, "read {began} {key} {}", show(found)),
            What::Requesting { request, patience } => write!(f, "requesting {request} {patience}"),
            What::Answered { request, run, asked } => write!(f, "answered {request} {run} {asked}"),
            What::Unanswered { request, why } => write!(f, "unanswered {request} {why}"),
            What::Ran { run, asked } => write!(f, "ran {run} {asked}"),
            What::Sending { message, to, patience } => {
                write!(f, "sending {message} {} {patience}", to.as_deref().unwrap_or("all"))
            }
            What::Sent { message, count } => write!(f, "sent {message} {count}"),
            What::Unsent { message, why } => write!(f, "unsent {message} {why}"),
            What::Received { from, message } => write!(f, "received {from} {message}"),
            What::Missed { count } => write!(f, "missed {count}"),
            What::Final { key, found } => write!(f, "final {key} {}", show(found)),
            What::End => f.write_str("end"),
            What::Killing { process } => write!(f, "killing {process}"),
            What::Dead { process } => write!(f, "dead {process}"),
            What::Stopping { process } => write!(f, "stopping {process}"),
            What::Resumed { process } => write!(f, "resumed {process}"),
            What::Yielding { process } => write!(f, "yielding {process}"),
            What::Waiters { began, epoch, name, waiters } => {
                write!(f, "waiters {began} {epoch} {name}")?;
                waiters.iter().try_for_each(|(id, mode)| write!(f, " {id}/{mode}"))
            }
        }
    }
}

fn show(found: &Found) -> String {
    found.as_ref().map_or("- -".to_owned(), |(version, value)| format!("{version} {value}"))
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(());
        let at = number(word()?)?;
        let what = match word()? {
            "joining" => What::Joining,
            "joined" => What::Joined { id: word()?.to_owned() },
            "reign" => What::Reign { epoch: number(word()?)?, supervisor: word()?.to_owned() },
            "leaving" => What::Leaving,
            "asked" => What::Asked {
                ask: number(word()?)?,
                name: word()?.to_owned(),
                mode: word()?.parse()?,
                patience: word()?.parse()?,
            },
            "granted" => What::Granted {
                ask: number(word()?)?,
                token: number(word()?)?,
                abandoned: match word()? {
                    "clean" => Abandoned::Clean,
                    "died" => Abandoned::Died,
                    "unknown" => Abandoned::Unknown,
                    _ => return Err(()),
                },
            },
            "gave-up" => What::GaveUp { ask: number(word()?)? },
            "failed" => {
                let ask = number(word()?)?;
                return Ok(Self { at, what: What::Failed { ask, reason: words.collect::<Vec<_>>().join(" ") } });
            }
            "releasing" => What::Releasing { ask: number(word()?)? },
            "lost" => What::Lost { ask: number(word()?)? },
            "putting" => What::Putting {
                put: number(word()?)?,
                key: word()?.to_owned(),
                expected: match word()? {
                    "anything" => Expected::Anything,
                    "nothing" => Expected::Nothing,
                    version => Expected::This(version.parse()?),
                },
                value: Some(word()?.to_owned()).filter(|value| value != "-"),
            },
            "stored" => What::Stored { put: number(word()?)?, version: word()?.parse()? },
            "conflict" => What::Conflict { put: number(word()?)?, version: word()?.parse()? },
            "unsure" => What::Unsure { put: number(word()?)? },
            "read" => What::Read { began: number(word()?)?, key: word()?.to_owned(), found: found(word()?, word()?)? },
            "requesting" => What::Requesting { request: number(word()?)?, patience: word()?.parse()? },
            "answered" => What::Answered { request: number(word()?)?, run: word()?.parse()?, asked: word()?.parse()? },
            "unanswered" => What::Unanswered { request: number(word()?)?, why: word()?.parse()? },
            "ran" => What::Ran { run: number(word()?)?, asked: word()?.parse()? },
            "sending" => What::Sending {
                message: number(word()?)?,
                to: Some(word()?.to_owned()).filter(|to| to != "all"),
                patience: word()?.parse()?,
            },
            "sent" => What::Sent { message: number(word()?)?, count: number(word()?)? },
            "unsent" => What::Unsent { message: number(word()?)?, why: word()?.parse()? },
            "received" => What::Received { from: word()?.to_owned(), message: word()?.parse()? },
            "missed" => What::Missed { count: number(word()?)? },
            "final" => What::Final { key: word()?.to_owned(), found: found(word()?, word()?)? },
            "end" => What::End,
            "killing" => What::Killing { process: word()?.to_owned() },
            "dead" => What::Dead { process: word()?.to_owned() },
            "stopping" => What::Stopping { process: word()?.to_owned() },
            "resumed" => What::Resumed { process: word()?.to_owned() },
            "yielding" => What::Yielding { process: word()?.to_owned() },
            "waiters" => {
                let (began, epoch, name) = (number(word()?)?, number(word()?)?, word()?.to_owned());
                let waiter = |word: &str| {
                    let (id, mode) = word.split_once('/').ok_or(())?;
                    Ok((id.to_owned(), mode.parse()?))
                };
                let waiters = words.map(waiter).collect::<Result<_, ()>>()?;
                return Ok(Self { at, what: What::Waiters { began, epoch, name, waiters } });
            }
            _ => return Err(()),
        };
        if words.next().is_some() { Err(()) } else { Ok(Self { at, what }) }
    }
}

fn number(text: &str) -> Result<u64, ()> {
    text.parse().map_err(drop)
}

fn found(version: &str, value: &str) -> Result<Found, ()> {
    if version == "-" && value == "-" { Ok(None) } else { Ok(Some((version.parse()?, value.to_owned()))) }
}
