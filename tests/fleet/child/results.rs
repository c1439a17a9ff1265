//! What a process of a fleet does once.

use bellwether::Error;
use bellwether::sync::Failure;
use crossbeam::channel::bounded;

use super::{Desk, lock, millis, option};

impl Desk {
    /// `once KEY NAME [try|within=MS] [bytes=TEXT|size=N]`: with bytes they are the result at once; otherwise the work tells by an
    /// event that it runs, and waits for `finish KEY NAME TEXT`, of which `fail` is a failure.
    pub(super) fn obey_once(&self, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        let name = (key.to_owned(), rest[0].clone());
        if verb == "finish" {
            let end = lock(&self.works).remove(&name).expect("work of this name");
            end.send(rest[1].clone()).expect("the work waits");
            return Ok(String::new());
        }
        let once = self.instance(key)?.once(&rest[0]);
        let mut ran = false;
        let work = || {
            ran = true;
            match (option(rest, "bytes"), option(rest, "size")) {
                (Some(bytes), _) => Ok(bytes.into()),
                (None, Some(size)) => Ok(vec![7; size.parse().expect("a size")]),
                (None, None) => self.long_work(name),
            }
        };
        let result = match option(rest, "within").map(millis) {
            Some(time) => once.run_timeout(time, work)?,
            None if rest.iter().any(|word| word == "try") => once.try_run(work)?,
            None => once.run(work)?,
        };
        Ok(format!("result={} ran={ran}", String::from_utf8_lossy(&result)))
    }

    fn long_work(&self, name: (String, String)) -> Result<Vec<u8>, Failure> {
        let (end, ended) = bounded(1);
        let text = format!("event {} runs name={}", name.0, name.1);
        lock(&self.works).insert(name, end);
        self.report(&text);
        match ended.recv()?.as_str() {
            "fail" => Err("it was told to".into()),
            bytes => Ok(bytes.into()),
        }
    }
}
