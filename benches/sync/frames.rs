//! Frames of the sizes that the library's have, for the floor.

use bellwether::ident::{InstanceId, Kind, Name, Request, Resource, Stamp, Token};
use bellwether::wire::frame::Message;
use bellwether::wire::message::{Abandoned, Grant, Mode, Put, ToMember, ToSupervisor, Value, Want};

/// The name of everything that is measured.
pub(crate) const NAME: &str = "bench";

/// What is written: a value whose frame has 100 bytes.
pub(crate) const VALUE: [u8; 50] = [7; 50];

/// Which byte of a frame says what it is.
const KIND: usize = 4;

/// One of each kind, encoded.
pub(crate) struct Frames {
    pub(crate) acquire: Vec<u8>,
    pub(crate) release: Vec<u8>,
    pub(crate) grant: Vec<u8>,
    pub(crate) ping: Vec<u8>,
    pub(crate) pong: Vec<u8>,
    pub(crate) put: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) stored: Vec<u8>,
}

impl Frames {
    pub(crate) fn new() -> Self {
        let request = Request::new(1);
        let resource = |kind| Resource::new(kind, Name::new(NAME).expect("a literal name"));
        let want = Want { request, name: resource(Kind::Mutex), mode: Mode::Exclusive };
        let grant = Grant { request, token: Token::new(1), since: 0, abandoned: Abandoned::Clean };
        let bytes = Some(VALUE.into());
        let put = Put { request, key: resource(Kind::Value), expected: None, again: None, bytes };
        let value = Value {
            key: resource(Kind::Value),
            version: Stamp::default(),
            writer: InstanceId::new(1),
            request,
            bytes: Some(VALUE.into()),
        };
        Self {
            acquire: encoded(&ToSupervisor::Acquire(want)),
            release: encoded(&ToSupervisor::Release(request)),
            grant: encoded(&ToMember::Grant(grant)),
            ping: encoded(&ToSupervisor::Ping(1)),
            pong: encoded(&ToMember::Pong(1)),
            put: encoded(&ToSupervisor::Put(put)),
            value: encoded(&ToMember::Value(value)),
            stored: encoded(&ToMember::Stored(request, Stamp::default())),
        }
    }
}

fn encoded(message: &impl Message) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    frame
}

/// What kind of frame this is.
pub(crate) fn kind(frame: &[u8]) -> u8 {
    frame[KIND]
}

/// How long the first frame of these bytes is, if it is there in full.
pub(crate) fn first(bytes: &[u8]) -> Option<usize> {
    let length: [u8; KIND] = bytes.get(..KIND)?.try_into().ok()?;
    let whole = KIND + usize::try_from(u32::from_be_bytes(length)).ok()?;
    (bytes.len() >= whole).then_some(whole)
}
