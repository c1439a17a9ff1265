//! What the wire costs: a message into bytes, bytes into a message, and the way through the incremental decoder.

use std::hint::black_box;

use bellwether::ident::{Epoch, InstanceId, Kind, Name, Nonce, Request, Resource, Stamp, Token};
use bellwether::wire::frame::{Decoder, LIMIT_AFTER_TRUST, Message};
use bellwether::wire::message::{Entry, Join, Mode, NameSort, Profile, Standing, ToMember, ToSupervisor, Want};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn name(text: &str) -> Name {
    Name::new(text).expect("a literal name")
}

fn profile() -> Profile {
    Profile {
        pid: 4242,
        version: 2,
        since: 1_700_000_000_000,
        presence: 0,
        paused: false,
        label: "worker 3".into(),
        payload: [7; 64].into(),
    }
}

/// The frame of every round trip.
fn acquire() -> Vec<ToSupervisor> {
    vec![ToSupervisor::Acquire(Want {
        request: Request::new(1),
        name: Resource::new(Kind::Mutex, name("catalog")),
        mode: Mode::Exclusive,
    })]
}

/// What a survivor of a group of 64 brings to a window.
fn join() -> Vec<ToSupervisor> {
    let stamp = Stamp { epoch: Epoch::new(1), n: 9 };
    let join = Join {
        group: name("photo-sync"),
        stamp,
        epoch: stamp.epoch,
        base: Token::new(1),
        state: stamp,
        stopping: false,
        profile: profile(),
    };
    let ids = (0..64).map(|n| (InstanceId::new(n), Nonce::new(n))).collect();
    vec![ToSupervisor::Join(join), ToSupervisor::Names(NameSort::Known, ids)]
}

/// What a newcomer to a group of 64 is sent.
fn entries() -> Vec<ToMember> {
    let entry =
        |n| Entry { id: InstanceId::new(n), profile: profile(), standing: Standing::Active, nonce: Nonce::new(n) };
    vec![ToMember::Entries((0..64).map(entry).collect())]
}

fn bench<M: Message>(criterion: &mut Criterion, name: &str, messages: &[M]) {
    let frames: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| {
            let mut frame = Vec::new();
            message.encode(&mut frame);
            frame
        })
        .collect();
    let stream = frames.concat();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(stream.len() as u64));

    let mut out = Vec::with_capacity(stream.len());
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            for message in messages {
                black_box(message).encode(&mut out);
            }
            black_box(out.len())
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for frame in &frames {
                black_box(M::decode(frame[4], black_box(&frame[5..])).is_ok());
            }
        });
    });
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    group.bench_function("incremental", |bencher| {
        bencher.iter(|| {
            decoder.feed(black_box(&stream));
            while let Ok(Some(message)) = decoder.next::<M>() {
                black_box(message);
            }
        });
    });
    group.finish();
}

fn wire(criterion: &mut Criterion) {
    bench(criterion, "acquire", &acquire());
    bench(criterion, "join with 64 ids", &join());
    bench(criterion, "64 entries", &entries());
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = wire
}
criterion_main!(benches);
