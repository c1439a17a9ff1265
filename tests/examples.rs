//! The example programs, as somebody would use them: real processes that are told something and say something.

mod fleet;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};
use fleet::free_port;

/// A running example, ended with the test.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// After so long without a word the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where `cargo test` puts the examples: beside the directory of this test.
fn built(example: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let path = own.ancestors().nth(2).expect("the directory of the build").join("examples").join(example);
    assert!(path.exists(), "build it first: cargo build --example {example}");
    path
}

impl Program {
    fn start(example: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(built(example));
        let mut child = command
            .args(arguments)
            .env("USER", "tester")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let (sender, lines) = unbounded();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { input: child.stdin.take(), child, lines }
    }

    /// What it says next.
    fn says(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the example says something")
    }

    fn is_silent(&self) -> bool {
        self.lines.is_empty()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input.as_ref().expect("it listens"), "{line}").expect("it listens");
    }

    /// Ends its input.
    fn end_of_input(&mut self) {
        self.input = None;
    }

    fn kill(&mut self) {
        self.child.kill().expect("own children can be killed");
        self.child.wait().expect("own children can be waited for");
    }

    /// Waits until it has ended, and says whether that went well.
    fn ends(&mut self) -> bool {
        assert!(self.lines.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()), "it has more to say");
        self.child.wait().expect("own children can be waited for").success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The token that somebody works with.
fn seat(program: &Program) -> u64 {
    let line = program.says();
    let token = line.strip_prefix("working with seat token ").unwrap_or_else(|| panic!("it has no seat: {line}"));
    token.parse().expect("a token")
}

#[test]
fn c10_as_many_copies_work_as_there_are_seats_and_the_next_has_the_seat_of_one_that_is_killed() {
    let port = free_port().to_string();
    let start = |seats: &str| Program::start("licences", &[seats.to_owned(), port.clone()]);
    let mut first = start("2");
    let first_token = seat(&first);
    // What a later copy believes to have paid for does not count.
    let mut second = start("50");
    assert!(seat(&second) > first_token);
    let waits = |program: &Program, holder: &Program| {
        let line = program.says();
        let known = format!("held for longest by process {} (started by tester) for ", holder.child.id());
        assert!(line.starts_with("every seat is taken; ") && line.contains(&known), "{line}");
    };
    let third = start("50");
    waits(&third, &first);
    // The first one is also the supervisor. The third has its seat, and nobody else does.
    first.kill();
    let third_token = seat(&third);
    assert!(third_token > first_token);
    let mut fourth = start("2");
    waits(&fourth, &second);
    assert!(fourth.is_silent() && second.is_silent() && third.is_silent());
    // One that is done gives its seat back.
    second.end_of_input();
    assert_eq!(second.says(), "done");
    assert!(second.ends());
    assert!(seat(&fourth) > third_token);
    fourth.end_of_input();
    assert_eq!(fourth.says(), "done");
    assert!(fourth.ends());
}

#[test]
fn c9_what_one_copy_is_told_all_others_use_whoever_leads_them() {
    let port = free_port().to_string();
    let start = || Program::start("configuration", std::slice::from_ref(&port));
    let mut programs: Vec<_> = (0..3).map(|_| start()).collect();
    for program in &programs {
        assert_eq!(program.says(), "using 10 MB/s");
    }
    for (n, number) in [(1, 25), (0, 7), (2, 300)] {
        programs[n].tell(&number.to_string());
        for program in &programs {
            assert_eq!(program.says(), format!("using {number} MB/s"));
        }
    }
    // Nonsense is nobody's configuration.
    programs[1].tell("fast");
    programs[1].tell("8");
    for program in &programs {
        assert_eq!(program.says(), "using 8 MB/s");
    }
    // A copy that comes later knows it at once.
    programs.push(start());
    assert_eq!(programs[3].says(), "using 8 MB/s");
    // Whoever leads is killed, one after the other, and what was said stays said.
    for number in [11, 12, 13] {
        programs.remove(0).kill();
        programs.push(start());
        assert_eq!(programs[3].says(), format!("using {} MB/s", if number == 11 { 8 } else { number - 1 }));
        programs[1].tell(&number.to_string());
        for program in &programs {
            assert_eq!(program.says(), format!("using {number} MB/s"));
        }
    }
    for mut program in programs {
        program.end_of_input();
        assert!(program.ends());
    }
}
