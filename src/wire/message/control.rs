//! What the application says over the supervisor, and what the supervisor commands.

use std::sync::Arc;

use super::ToSupervisor;
use crate::ident::{InstanceId, Request};

/// A message of the application, on its way to the supervisor.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    /// The sender's number for it.
    pub request: Request,
    /// Whom it is for; `None`: everybody else.
    pub to: Option<InstanceId>,
    /// What it says.
    pub bytes: Arc<[u8]>,
}

/// A question of the application to the handler at the supervisor.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// The asker's number for it.
    pub request: Request,
    /// What it says.
    pub bytes: Arc<[u8]>,
}

/// A command, on its way from an observer, or from the supervisor's own instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The number for it.
    pub request: Request,
    /// Whom it is for; `None`: everybody else.
    pub to: Option<InstanceId>,
    /// What to do.
    pub order: Order,
}

/// What an instance is told to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Order {
    /// What it asks for from now on stays queued. It keeps what it holds.
    Pause,
    /// The end of the pause.
    Resume,
    /// Leave the group, or be evicted.
    Stop,
    /// Something that the application knows.
    Custom(Arc<[u8]>),
}

impl ToSupervisor {
    /// What of it the application has said, if it says something for the application.
    pub fn said(&self) -> &[u8] {
        let bytes = match self {
            Self::Put(put) => put.bytes.as_ref(),
            Self::Post(post) => Some(&post.bytes),
            Self::Ask(ask) => Some(&ask.bytes),
            Self::Command(command) => match &command.order {
                Order::Custom(bytes) => Some(bytes),
                Order::Pause | Order::Resume | Order::Stop => None,
            },
            _ => None,
        };
        bytes.map_or(&[], |bytes| bytes)
    }
}
