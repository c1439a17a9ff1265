//! What the runtime reports to an election, and why one can end without a supervisor.

/// How binding and listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// It listens. Only this is victory: with `SO_REUSEADDR` two sockets can both bind.
    Won,
    /// Somebody has the port.
    InUse,
    /// It was bound, but another that had bound it too was first to listen, or both got in each other's way.
    ListenFailed,
    /// This process may not use the port.
    Denied,
    /// Something else went wrong, for instance no descriptor was left.
    Failed,
}

/// How connecting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connected {
    /// There is a connection. It proves little: it can lead to a listener that is about to close.
    Made,
    /// Nobody listens.
    Refused,
    /// The listener closed meanwhile.
    Reset,
    /// No answer.
    TimedOut,
    /// The kernel picked the port itself as the source port, and the socket was connected to itself.
    SelfConnected,
    /// Something else went wrong.
    Failed,
}

/// How the greeting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Greeted {
    /// The supervisor welcomed this instance.
    Welcomed,
    /// The connection ended first: end of file or reset.
    Ended,
    /// The answer was not of this wire.
    Foreign,
    /// A supervisor of another group answered.
    OtherGroup,
    /// A supervisor of this group refused this instance for good; the runtime has its reason.
    Refused,
    /// A supervisor of this group refused this instance for now; the runtime has its reason.
    PutOff,
    /// This process has too little of something for a seat, and has not said hello.
    Starved,
}

/// Why an election ended without a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// The port is in use, but nobody listened on it for [`super::PATIENCE`]: it is the source port of a stranger's outgoing
    /// connection.
    SourcePort,
    /// Another service has the port.
    Foreign,
    /// Connections are taken and end without a word, for [`super::LIMIT`].
    HangsUp,
    /// The port is listened on and no request to connect is answered, for [`super::PATIENCE`].
    Unresponsive,
    /// Nobody listens, for [`super::LIMIT`], and this instance may not lead.
    Nobody,
    /// A group of another name has the port.
    OtherGroup,
    /// The supervisor of the group refused this instance, for good or for [`super::LIMIT`].
    Refused,
    /// This process may not use the port.
    Reserved,
    /// Nothing worked for [`super::PATIENCE`], for reasons that have nothing to do with other instances.
    Failing,
}
