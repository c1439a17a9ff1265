use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use super::super::testing::eventually;
use super::*;

const THREADS: usize = Pool::<Work>::THREADS;
const KEPT: usize = Pool::<Work>::KEPT;

/// What a test wants to be done, and what it wants to know of it.
struct Work {
    run: Box<dyn Fn() + Send>,
    failed: Box<dyn FnOnce(Failure) + Send>,
}

impl Job for Work {
    fn run(&self) {
        (self.run)();
    }

    fn failed(self, why: Failure) {
        (self.failed)(why);
    }

    fn cost(&self) -> usize {
        1
    }

    fn sift(_: &mut VecDeque<Self>) {
        panic!("so little is not looked at");
    }
}

fn work(run: impl Fn() + Send + 'static) -> Work {
    Work { run: Box::new(run), failed: Box::new(|why| panic!("{why:?}")) }
}

/// A pool whose threads a test can count and wait for, and of which it can say that none starts.
struct Bench {
    pool: Arc<Pool<Work>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    broken: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Self {
        let (threads, broken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let start = {
            let (threads, broken) = (threads.clone(), broken.clone());
            move |_: &str, body: Box<dyn FnOnce() + Send>| {
                if broken.load(Ordering::SeqCst) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                lock(&threads).push(spawn(body));
                Ok(())
            }
        };
        Self { pool: Pool::starting_with("a test", Box::new(start)), threads, broken }
    }

    fn started(&self) -> usize {
        lock(&self.threads).len()
    }

    /// Ends the pool and waits for its threads.
    fn end(self) {
        self.pool.end();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            thread.join().expect("no job harms a thread");
        }
    }
}

/// Work that says that it has begun and goes on when it is told to.
struct Gate {
    begun: (Sender<usize>, Receiver<usize>),
    running: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self { begun: channel(), running: Arc::default() }
    }

    fn work(&self, number: usize) -> (Work, Sender<()>) {
        let (begun, running) = (self.begun.0.clone(), self.running.clone());
        let (go, went) = channel();
        let run = move || {
            assert!(running.fetch_add(1, Ordering::SeqCst) < THREADS, "no more at one time than there are threads");
            begun.send(number).expect("the test listens");
            let _ = went.recv();
            running.fetch_sub(1, Ordering::SeqCst);
        };
        (work(run), go)
    }

    /// Who has begun next. The limit only ends a test that has failed.
    fn next(&self) -> usize {
        self.begun.1.recv_timeout(Duration::from_secs(20)).expect("somebody begins")
    }
}

#[test]
fn a_panic_is_told_and_the_next_job_is_done() {
    let bench = Bench::new();
    let (tell, told) = channel();
    let (failed, after) = (tell.clone(), tell);
    bench.pool.submit(Work {
        run: Box::new(|| panic!("of {}", "a test")),
        failed: Box::new(move |why| failed.send(Some(why)).expect("the test listens")),
    });
    assert_eq!(told.recv(), Ok(Some(Failure::Panicked)));
    bench.pool.submit(work(move || after.send(None).expect("the test listens")));
    assert_eq!(told.recv(), Ok(None));
    bench.end();
}

#[test]
fn a_panic_that_throws_what_panics_again_costs_no_thread() {
    struct Twice;
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let bench = Bench::new();
    let (tell, told) = channel();
    bench.pool.submit(Work {
        run: Box::new(|| std::panic::panic_any(Twice)),
        failed: Box::new(move |why| tell.send(why).expect("the test listens")),
    });
    assert_eq!(told.recv(), Ok(Failure::Panicked));
    bench.end();
}

#[test]
fn the_words_of_a_panic_are_found() {
    let words = |panic: fn()| catch_unwind(panic).expect_err("it panics");
    assert_eq!(message(&*words(|| panic!("plain"))), "plain");
    assert_eq!(message(&*words(|| panic!("made of {}", 2))), "made of 2");
    assert_eq!(message(&*words(|| std::panic::panic_any(7))), "no message");
}

#[test]
fn a_job_that_takes_long_keeps_no_other_waiting() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let (slow, go) = gate.work(1);
    bench.pool.submit(slow);
    assert_eq!(gate.next(), 1);
    let (quick, quick_goes) = gate.work(2);
    quick_goes.send(()).expect("it is not done yet");
    bench.pool.submit(quick);
    assert_eq!(gate.next(), 2, "while the first is at it");
    drop(go);
    bench.end();
}

#[test]
fn more_work_than_threads_waits_in_its_order() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let mut go = BTreeMap::new();
    for number in 0..THREADS + 3 {
        let (job, goes) = gate.work(number);
        go.insert(number, goes);
        bench.pool.submit(job);
    }
    let mut running: Vec<_> = (0..THREADS).map(|_| gate.next()).collect();
    running.sort_unstable();
    assert_eq!(running, (0..THREADS).collect::<Vec<_>>());
    assert_eq!(bench.started(), THREADS);
    for (done, next) in (THREADS..THREADS + 3).enumerate() {
        go.remove(&done);
        assert_eq!(gate.next(), next);
    }
    drop(go);
    bench.end();
}

#[test]
fn few_threads_stay_and_they_do_what_comes_next() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let going: Vec<_> = (0..KEPT + 6)
        .map(|number| {
            let (job, goes) = gate.work(number);
            bench.pool.submit(job);
            gate.next();
            goes
        })
        .collect();
    assert_eq!(bench.started(), KEPT + 6);
    drop(going);
    let rest = || {
        let staff = lock(&bench.pool.staff);
        (staff.threads, staff.looking)
    };
    assert!(eventually(|| rest() == (KEPT, KEPT)), "{:?}", rest());
    let held: Vec<_> = (0..KEPT)
        .map(|number| {
            let (job, goes) = gate.work(number);
            bench.pool.submit(job);
            gate.next();
            goes
        })
        .collect();
    assert_eq!(bench.started(), KEPT + 6, "no thread was started for it");
    drop(held);
    bench.end();
}

#[test]
fn nothing_is_begun_after_the_end_and_every_thread_ends() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let mut going = Vec::new();
    for number in 0..THREADS {
        let (job, goes) = gate.work(number);
        going.push(goes);
        bench.pool.submit(job);
        gate.next();
    }
    let begun = Arc::new(AtomicBool::new(false));
    let late = || {
        let begun = begun.clone();
        work(move || begun.store(true, Ordering::SeqCst))
    };
    bench.pool.submit(late());
    bench.pool.end();
    bench.pool.submit(late());
    assert_eq!(Arc::strong_count(&begun), 1, "what waited is gone at once, and what comes later, too");
    drop(going);
    bench.end();
    assert!(!begun.load(Ordering::SeqCst));
}

#[test]
fn idle_threads_end_with_the_pool() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let (job, go) = gate.work(1);
    bench.pool.submit(job);
    drop(go);
    gate.next();
    assert!(eventually(|| lock(&bench.pool.staff).looking == 1));
    bench.end();
}

#[test]
fn without_any_thread_the_work_is_told_so() {
    let bench = Bench::new();
    bench.broken.store(true, Ordering::SeqCst);
    let (tell, told) = channel();
    bench.pool.submit(Work {
        run: Box::new(|| panic!("there is no thread")),
        failed: Box::new(move |why| tell.send(why).expect("the test listens")),
    });
    assert_eq!(told.try_recv(), Ok(Failure::NoThread), "before the call returns");
    bench.broken.store(false, Ordering::SeqCst);
    let (tell, told) = channel();
    bench.pool.submit(work(move || tell.send(()).expect("the test listens")));
    assert_eq!(told.recv(), Ok(()), "and what comes next has one");
    bench.end();
}

#[test]
fn a_chain_of_work_without_a_thread_does_not_fill_the_stack() {
    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }
    /// Work whose failure leads to the next.
    fn link(pool: Arc<Pool<Work>>, left: usize, done: Sender<usize>) -> Work {
        let failed = move |_| {
            DEPTH.set(DEPTH.get() + 1);
            done.send(DEPTH.get()).expect("the test listens");
            if left > 0 {
                pool.submit(link(pool.clone(), left - 1, done));
            }
            DEPTH.set(DEPTH.get() - 1);
        };
        Work { run: Box::new(|| panic!("there is no thread")), failed: Box::new(failed) }
    }
    let bench = Bench::new();
    bench.broken.store(true, Ordering::SeqCst);
    let (done, depths) = channel();
    bench.pool.submit(link(bench.pool.clone(), 99, done));
    assert_eq!(depths.iter().collect::<Vec<_>>(), [1; 100]);
    bench.end();
}

#[test]
fn work_that_gets_no_thread_of_its_own_waits_for_those_that_run() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let (slow, go) = gate.work(1);
    bench.pool.submit(slow);
    assert_eq!(gate.next(), 1);
    bench.broken.store(true, Ordering::SeqCst);
    for number in [2, 3] {
        let (job, goes) = gate.work(number);
        drop(goes);
        bench.pool.submit(job);
    }
    drop(go);
    assert_eq!([gate.next(), gate.next()], [2, 3]);
    assert_eq!(bench.started(), 1);
    bench.end();
}

/// Work that waits, and may be given up meanwhile.
struct Errand {
    number: usize,
    size: usize,
    given_up: Arc<AtomicBool>,
}

impl Job for Errand {
    fn run(&self) {}

    fn failed(self, why: Failure) {
        panic!("{why:?}");
    }

    fn cost(&self) -> usize {
        self.size
    }

    fn sift(jobs: &mut VecDeque<Self>) {
        jobs.retain(|job| !job.given_up.load(Ordering::SeqCst));
    }
}

#[test]
fn what_is_given_up_before_anybody_comes_to_it_does_not_pile_up() {
    const SIZE: usize = 1 << 20;
    // Nobody comes to anything.
    let pool = Pool::<Errand>::starting_with("a test", Box::new(|_, _| Ok(())));
    let fits = Pool::<Errand>::SLACK / SIZE;
    let mut wanted = Vec::new();
    for number in 0..fits * 20 {
        let given_up = Arc::new(AtomicBool::new(false));
        pool.submit(Errand { number, size: SIZE, given_up: given_up.clone() });
        if number % 50 == 0 {
            wanted.push(number);
        } else {
            given_up.store(true, Ordering::SeqCst);
        }
        let staff = lock(&pool.staff);
        assert_eq!(staff.bytes, staff.waiting.len() * SIZE);
        assert!(staff.waiting.len() <= fits + 2 * wanted.len() + 2, "{} wait", staff.waiting.len());
    }
    let mut staff = lock(&pool.staff);
    let left = std::iter::from_fn(|| staff.pop()).filter(|job| !job.given_up.load(Ordering::SeqCst));
    assert_eq!(left.map(|job| job.number).collect::<Vec<_>>(), wanted, "what is wanted is there, in its order");
    assert_eq!(staff.bytes, 0);
}
