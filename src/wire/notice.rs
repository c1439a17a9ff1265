//! The notice to a member that has lost everything, which the kernel keeps for it: one datagram, no frame.

use byteorder::{BigEndian, ByteOrder};

use super::WIRE_VERSION;
use crate::ident::InstanceId;

/// Says that a member has lost everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The member, by the id that it has lost.
    pub id: InstanceId,
    /// It was told to stop, did not in time, and is out of the group.
    pub evicted: bool,
}

impl Notice {
    /// How long a notice is.
    pub const LENGTH: usize = 15;

    /// "BELN"
    const MAGIC: u32 = 0x4245_4C4E;

    /// The datagram.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        BigEndian::write_u32(&mut bytes[..4], Self::MAGIC);
        BigEndian::write_u16(&mut bytes[4..6], WIRE_VERSION);
        bytes[6] = u8::from(self.evicted);
        BigEndian::write_u64(&mut bytes[7..], self.id.number());
        bytes
    }

    /// The notice that a datagram is, of whatever wire version; `None` if it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let evicted = match bytes[6] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let id = InstanceId::new(BigEndian::read_u64(&bytes[7..]));
        (BigEndian::read_u32(&bytes[..4]) == Self::MAGIC).then_some(Self { id, evicted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: InstanceId = InstanceId::new(0x0102_0304_0506_0708);

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        for evicted in [false, true] {
            let notice = Notice { id: ID, evicted };
            assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }
        let bytes = *b"BELN\x00\x01\x00\x01\x02\x03\x04\x05\x06\x07\x08";
        assert_eq!(Notice { id: ID, evicted: false }.encode(), bytes);
    }

    #[test]
    fn a_notice_of_another_wire_version_counts() {
        let mut bytes = Notice { id: ID, evicted: false }.encode();
        bytes[4..6].fill(0xff);
        assert_eq!(Notice::decode(&bytes), Some(Notice { id: ID, evicted: false }));
    }

    #[test]
    fn what_is_not_exactly_a_notice_is_none() {
        let right = Notice { id: ID, evicted: true }.encode();
        assert_eq!(Notice::decode(&right[..14]), None);
        assert_eq!(Notice::decode(&[&right[..], &[0]].concat()), None);
        assert_eq!(Notice::decode(&[]), None);
        for (at, byte) in [(0, 0), (3, b'L'), (6, 2), (6, 255)] {
            let mut wrong = right;
            wrong[at] = byte;
            assert_eq!(Notice::decode(&wrong), None, "byte {at}");
        }
    }
}
