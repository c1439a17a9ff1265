//! Long lists in as many frames as the bound asks for.

use super::codec::{Part, Writer};
use super::frame::LIMIT_AFTER_TRUST;
use super::message::{Entry, Forfeit};
use crate::ident::InstanceId;

/// Splits the rows of a view into lists that each fit one [`Entries`](super::message::ToMember::Entries) frame, or a
/// [`Delta`](super::message::Delta) in which nobody ended. No rows are no frames.
pub fn chunk_entries(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut size = 0;
    let mut scratch = Vec::new();
    for entry in entries {
        scratch.clear();
        entry.put(&mut Writer::new(&mut scratch));
        if size + scratch.len() > ROOM && !chunk.is_empty() {
            chunks.push(std::mem::take(&mut chunk));
            size = 0;
        }
        size += scratch.len();
        chunk.push(entry);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// Splits ids into lists that each fit one `Names` frame. No ids are no frames.
pub fn chunk_ids(ids: &[InstanceId]) -> Vec<Vec<InstanceId>> {
    ids.chunks(ROOM / InstanceId::MIN).map(<[_]>::to_vec).collect()
}

/// Splits a list of who forfeited into lists that each fit one `Forfeits` frame. Nobody is no frame.
pub fn chunk_forfeits(forfeits: &[Forfeit]) -> Vec<Vec<Forfeit>> {
    forfeits.chunks(ROOM / Forfeit::MIN).map(<[_]>::to_vec).collect()
}

/// What a list may take of a frame: the rest is for the kind, the count, and the fields beside the list.
const ROOM: usize = LIMIT_AFTER_TRUST - 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Tag;
    use crate::wire::frame::Message;
    use crate::wire::message::{Delta, NameSort, Profile, Standing, ToMember};

    fn entry(number: u64, payload: usize) -> Entry {
        let profile = Profile {
            pid: 1,
            version: 0,
            since: 0,
            presence: 0,
            paused: false,
            label: "x".repeat(Profile::LABEL_LIMIT).into(),
            payload: vec![0; payload].into(),
        };
        Entry { id: InstanceId::new(number), profile, standing: Standing::Active }
    }

    fn len(message: &ToMember) -> usize {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        frame.len() - 4
    }

    #[test]
    fn entries_are_split_into_few_frames_within_the_bound() {
        let entries: Vec<_> = (0..1000).map(|n| entry(n, (n as usize * 7919) % 4097)).collect();
        let chunks = chunk_entries(entries.clone());
        let whole = len(&ToMember::Entries(entries.clone()));
        assert_eq!(chunks.len(), whole.div_ceil(LIMIT_AFTER_TRUST));
        for chunk in &chunks {
            assert!(len(&ToMember::Entries(chunk.clone())) <= LIMIT_AFTER_TRUST);
            assert!(len(&ToMember::Delta(Delta { entries: chunk.clone(), ..Delta::default() })) <= LIMIT_AFTER_TRUST);
        }
        assert_eq!(chunks.concat(), entries);
        assert!(chunk_entries(Vec::new()).is_empty());
    }

    #[test]
    fn ids_are_split_into_few_frames_within_the_bound() {
        let ids: Vec<_> = (0..300_000).map(InstanceId::new).collect();
        let chunks = chunk_ids(&ids);
        assert_eq!(chunks.len(), 3);
        for chunk in &chunks {
            assert!(len(&ToMember::Names(NameSort::Heard, chunk.clone())) <= LIMIT_AFTER_TRUST);
        }
        assert_eq!(chunks.concat(), ids);
        assert!(chunk_ids(&[]).is_empty());
        let forfeits: Vec<_> = ids.iter().map(|id| (*id, Tag::new(id.number()))).collect();
        let chunks = chunk_forfeits(&forfeits);
        assert_eq!(chunks.len(), 5);
        for chunk in &chunks {
            assert!(len(&ToMember::Forfeits(chunk.clone())) <= LIMIT_AFTER_TRUST);
        }
        assert_eq!(chunks.concat(), forfeits);
        assert!(chunk_forfeits(&[]).is_empty());
    }
}
