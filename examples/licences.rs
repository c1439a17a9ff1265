//! Licence counting: however many copies of this program are started, only as many work at a time as were paid for.
//!
//! Start it in several terminals; each works until its standard input ends (Ctrl-D), or it is killed.
//!
//! ```text
//! cargo run --example licences -- 2
//! ```

use std::env;
use std::io::{self, Write};

use bellwether::{Error, Group};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let seats = arguments.next().unwrap_or_else(|| "2".to_owned()).parse()?;
    let mut group = Group::new("licences-example")?
        // A copy that is stopped keeps its seat, however long: never are more in use than were paid for.
        .window_limit(None)
        .label(format!("started by {}", env::var("USER").unwrap_or_default()));
    if let Some(port) = arguments.next() {
        group = group.port(port.parse()?);
    }

    let program = group.join()?;
    let licences = program.semaphore("seats", seats);
    let seat = match licences.try_acquire(1) {
        Err(Error::WouldBlock { holder: Some(holder) }) => {
            say(&format!("every seat is taken; held for longest by {holder}"))?;
            licences.acquire(1)?
        }
        tried => tried?,
    };
    say(&format!("working with seat token {}", seat.token()))?;

    io::copy(&mut io::stdin().lock(), &mut io::sink())?; // the work
    drop(seat); // the next in line has it from here on, as it would if this process were killed
    say("done")?;
    Ok(())
}

/// A line that is out at once, also into a pipe.
fn say(line: &str) -> io::Result<()> {
    println!("{line}");
    io::stdout().flush()
}
