//! The frames of locks and of values.

use bellwether::ident::{InstanceId, Kind, Name, Request, Resource, Stamp, Token};
use bellwether::wire::message::{Abandoned, Grant, Mode, Put, ToMember, ToSupervisor, Value, Want};

use crate::contest::frames::{NAME, encoded};

/// What is written: a value whose frame has 100 bytes.
pub(crate) const VALUE: [u8; 50] = [7; 50];

/// One of each kind, encoded.
pub(crate) struct Frames {
    pub(crate) acquire: Vec<u8>,
    pub(crate) release: Vec<u8>,
    pub(crate) grant: Vec<u8>,
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
            put: encoded(&ToSupervisor::Put(put)),
            value: encoded(&ToMember::Value(value)),
            stored: encoded(&ToMember::Stored(request, Stamp::default())),
        }
    }
}
