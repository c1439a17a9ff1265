//! Long lists in as many frames as the bound asks for.

use super::codec::{Part, Writer};
use super::frame::{LIMIT_AFTER_TRUST, LIMIT_BEFORE_ACCEPTANCE};
use super::message::{BarrierRow, Entry, Forfeit, HolderRow, LockRow, Named, WaiterRow};
use crate::ident::InstanceId;

/// Splits the rows of a view into lists that each fit one [`Entries`](super::message::ToMember::Entries) frame, or a
/// [`Delta`](super::message::Delta) in which nobody ended. No rows are no frames.
pub fn chunk_entries(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    chunk(entries)
}

/// Splits locks into lists that each fit one `Locks` frame, a lock with very many holders or waiters into several rows.
/// No locks are no frames.
pub fn chunk_rows(rows: Vec<LockRow>) -> Vec<Vec<LockRow>> {
    chunk(rows.into_iter().flat_map(split_row).collect())
}

/// Splits barriers into lists that each fit one `Barriers` frame. No barriers are no frames.
pub fn chunk_barriers(rows: Vec<BarrierRow>) -> Vec<Vec<BarrierRow>> {
    chunk(rows)
}

fn split_row(row: LockRow) -> Vec<LockRow> {
    if row.holders.len() + row.waiters.len() <= ROW {
        return vec![row];
    }
    let part = |holders: &[HolderRow], waiters: &[WaiterRow]| LockRow {
        name: row.name.clone(),
        limit: row.limit,
        holders: holders.to_vec(),
        waiters: waiters.to_vec(),
    };
    let holders = row.holders.chunks(ROW).map(|holders| part(holders, &[]));
    holders.chain(row.waiters.chunks(ROW).map(|waiters| part(&[], waiters))).collect()
}

fn chunk<T: Part>(parts: Vec<T>) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut size = 0;
    let mut scratch = Vec::new();
    for part in parts {
        scratch.clear();
        part.put(&mut Writer::new(&mut scratch));
        if size + scratch.len() > ROOM && !chunk.is_empty() {
            chunks.push(std::mem::take(&mut chunk));
            size = 0;
        }
        size += scratch.len();
        chunk.push(part);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// Splits ids into lists that each fit one `Names` frame, also of a handshake. No ids are no frames.
pub fn chunk_ids(ids: &[InstanceId]) -> Vec<Vec<InstanceId>> {
    ids.chunks(HANDSHAKE_ROOM / InstanceId::MIN).map(<[_]>::to_vec).collect()
}

/// Splits ids with their nonces into lists that each fit one `Names` frame of a handshake. No ids are no frames.
pub fn chunk_names(names: &[Named]) -> Vec<Vec<Named>> {
    names.chunks(HANDSHAKE_ROOM / Named::MIN).map(<[_]>::to_vec).collect()
}

/// Splits a list of who forfeited into lists that each fit one `Forfeits` frame, also of a handshake. Nobody is no frame.
pub fn chunk_forfeits(forfeits: &[Forfeit]) -> Vec<Vec<Forfeit>> {
    forfeits.chunks(HANDSHAKE_ROOM / Forfeit::MIN).map(<[_]>::to_vec).collect()
}

/// What a list may take of a frame: the rest is for the kind, the count, and the fields beside the list.
const ROOM: usize = LIMIT_AFTER_TRUST - 64;

/// The same before the handshake is accepted.
const HANDSHAKE_ROOM: usize = LIMIT_BEFORE_ACCEPTANCE - 64;

/// How many holders and waiters one row has at most. A holder takes 33 bytes at most, so that such a row takes a quarter
/// of a frame, and frames of large rows are not left half empty by the next one.
const ROW: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{Epoch, Kind, Name, Nonce, Request, Resource, Stamp, Tag, Token};
    use crate::wire::frame::Message;
    use crate::wire::message::{Delta, Generation, Join, Mode, NameSort, Profile, Standing, ToMember, ToSupervisor};

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
        Entry { id: InstanceId::new(number), profile, standing: Standing::Active, nonce: Nonce::UNKNOWN }
    }

    fn len(message: &impl Message) -> usize {
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
    fn locks_are_split_into_frames_within_the_bound_also_a_single_one() {
        let mode = Mode::Permits { count: 1, limit: 1 };
        let row = |n: u64, holders: u64, waiters: u64| LockRow {
            name: Resource::new(Kind::Semaphore, Name::new(format!("{n}{}", "x".repeat(120))).expect("a name")),
            limit: Some(7),
            holders: (0..holders)
                .map(|who| HolderRow { who: InstanceId::new(who), mode, token: Token::new(who), since: who })
                .collect(),
            waiters: (0..waiters).map(|who| WaiterRow { who: InstanceId::new(who), mode }).collect(),
        };
        let mut rows = vec![row(0, 40_000, 100_000), row(1, 1, 0), row(2, 0, 60_000)];
        rows.extend((3..10_000).map(|n| row(n, 1, 1)));
        let chunks = chunk_rows(rows.clone());
        for chunk in &chunks {
            assert!(len(&ToMember::Locks(chunk.clone())) <= LIMIT_AFTER_TRUST);
        }
        let whole = len(&ToMember::Locks(rows.clone()));
        assert!(chunks.len() <= whole.div_ceil(LIMIT_AFTER_TRUST / 2), "{} frames for {whole} bytes", chunks.len());
        let mut joined: Vec<LockRow> = Vec::new();
        for row in chunks.concat() {
            match joined.last_mut() {
                Some(before) if before.name == row.name => {
                    before.holders.extend(row.holders);
                    before.waiters.extend(row.waiters);
                }
                _ => joined.push(row),
            }
        }
        assert_eq!(joined, rows);
        assert!(chunk_rows(Vec::new()).is_empty());
    }

    #[test]
    fn the_largest_things_that_a_member_brings_fit_the_frames_of_a_handshake() {
        let name = || Name::new("x".repeat(Name::LIMIT)).expect("a name");
        let waiters = (0..4096).map(|n| (InstanceId::new(n), Request::new(n))).collect();
        let generation = Generation { name: name(), number: Stamp::default(), waiters };
        let mut join = entry(1, Profile::PAYLOAD_LIMIT).profile;
        join.label = "x".repeat(Profile::LABEL_LIMIT).into();
        let join = Join {
            group: name(),
            stamp: Stamp::default(),
            epoch: Epoch::default(),
            base: Token::default(),
            state: Stamp::default(),
            stopping: false,
            profile: join,
        };
        for frame in [ToSupervisor::Completed(generation), ToSupervisor::Join(join)] {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            assert!(bytes.len() - 4 <= LIMIT_BEFORE_ACCEPTANCE, "{}", bytes.len());
        }
    }

    #[test]
    fn ids_are_split_into_few_frames_within_the_bound() {
        let ids: Vec<_> = (0..300_000).map(InstanceId::new).collect();
        let chunks = chunk_ids(&ids);
        assert_eq!(chunks.len(), (300_000 * 8_usize).div_ceil(LIMIT_BEFORE_ACCEPTANCE));
        for chunk in &chunks {
            assert!(len(&ToMember::Names(NameSort::Heard, chunk.clone())) <= LIMIT_BEFORE_ACCEPTANCE);
        }
        assert_eq!(chunks.concat(), ids);
        assert!(chunk_ids(&[]).is_empty());
        let names: Vec<_> = ids.iter().map(|id| (*id, Nonce::new(id.number()))).collect();
        let chunks = chunk_names(&names);
        assert_eq!(chunks.len(), (300_000 * 16_usize).div_ceil(LIMIT_BEFORE_ACCEPTANCE));
        for chunk in &chunks {
            assert!(len(&ToSupervisor::Names(NameSort::Known, chunk.clone())) <= LIMIT_BEFORE_ACCEPTANCE);
        }
        assert_eq!(chunks.concat(), names);
        assert!(chunk_names(&[]).is_empty());
        let forfeits: Vec<_> = ids.iter().map(|id| (*id, Tag::new(id.number()))).collect();
        let chunks = chunk_forfeits(&forfeits);
        assert_eq!(chunks.len(), (300_000 * 16_usize).div_ceil(LIMIT_BEFORE_ACCEPTANCE));
        for chunk in &chunks {
            assert!(len(&ToMember::Forfeits(chunk.clone())) <= LIMIT_BEFORE_ACCEPTANCE);
        }
        assert_eq!(chunks.concat(), forfeits);
        assert!(chunk_forfeits(&[]).is_empty());
    }
}
