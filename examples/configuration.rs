//! A configuration that reaches all running copies: what one of them is told, all of them know at once.
//!
//! Start it in several terminals and type numbers into any of them.
//!
//! ```text
//! cargo run --example configuration
//! ```

use std::io::{self, BufRead, Write};
use std::{env, process, thread};

use bellwether::{Event, Group, Instance};

const KEY: &str = "bandwidth in MB/s";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut group = Group::new("configuration-example")?;
    if let Some(port) = env::args().nth(1) {
        group = group.port(port.parse()?);
    }
    let program = group.join()?;

    // First the events, then the value: nothing can fall between the two.
    let events = program.events();
    let bandwidth = program.state().get(KEY).map_or_else(|| b"10".to_vec(), |value| value.bytes.to_vec());
    use_bandwidth(&bandwidth)?;

    let keyboard = program.clone();
    thread::spawn(move || {
        if let Err(error) = listen(&keyboard) {
            eprintln!("{error}");
        }
        process::exit(0);
    });
    for event in events {
        match event {
            Event::State { key, bytes: Some(bytes), .. } if key.as_str() == KEY => use_bandwidth(&bytes)?,
            // Too slow, or away: what there is now is what counts.
            Event::Missed(_) => {
                if let Some(value) = program.state().get(KEY) {
                    use_bandwidth(&value.bytes)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every line that is a number becomes everybody's configuration, until the input ends.
fn listen(program: &Instance) -> Result<(), Box<dyn std::error::Error>> {
    for line in io::stdin().lock().lines() {
        match line?.trim().parse::<u32>() {
            Ok(number) => drop(program.state().put(KEY, number.to_string())?), // returns when it is sure to reach every copy
            Err(error) => eprintln!("{error}"),
        }
    }
    program.leave();
    Ok(())
}

fn use_bandwidth(bytes: &[u8]) -> io::Result<()> {
    println!("using {} MB/s", String::from_utf8_lossy(bytes));
    io::stdout().flush()
}
