//! The floor: a server that answers questions and hands messages on, and its clients.
//!
//! One thread per connection, which reads and writes to whom it concerns, and for questions one more, which answers
//! them. What it leaves out: names and numbers, the order of messages that meet, who is asked for leave, writers that do
//! not wait for a stopped reader, and what becomes of a message whose reader ends. A message is delivered when it was
//! given to the kernel for each connection. Nothing is decoded but the length and the kind of a frame.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::contest::bare::{self, Client, Connections, WHOLE};
use crate::contest::children::{Crowd, crowd, serving};
use crate::contest::compare::{Runner, repeated};
use crate::contest::frames::kind;
use crate::frames::Frames;

/// Has a question answered by another thread of the server.
pub(crate) fn question() -> Runner {
    let (server, port) = serving("bare-server 0");
    let (frames, client) = (Frames::new(0), Client::connect(port));
    Box::new(move |count| {
        let _alive = &server;
        repeated(count, |_| {
            client.say(&frames.ask);
            client.hear(frames.reply.len());
        })
    })
}

/// The same within one process: one thread there, the same way back.
pub(crate) fn threads() -> Runner {
    let (ask, questions) = channel();
    let (answer, answers) = channel();
    // It ends when nobody can ask any more.
    thread::spawn(move || questions.into_iter().try_for_each(|question: Arc<[u8]>| answer.send(question)));
    let question = crate::frames::bytes(crate::frames::QUESTION);
    Box::new(move |count| {
        repeated(count, |_| {
            ask.send(question.clone()).expect("the other thread lives");
            answers.recv().expect("the other thread answers");
        })
    })
}

/// Has everybody else be written a message of this size, and waits until that is done.
pub(crate) fn message(to: Crowd, size: usize) -> Runner {
    let (server, port) = serving(&format!("bare-server {size}"));
    let members = crowd("bare-crowd", port, to);
    let (frames, client) = (Frames::new(size), Client::connect(port));
    Box::new(move |count| {
        let _alive = (&server, &members);
        repeated(count, |_| {
            client.say(&frames.post);
            client.hear(frames.delivered.len());
        })
    })
}

/// Serves whoever connects, in threads, from now on, with messages of this size.
pub(crate) fn serve(port: u16, size: usize) -> JoinHandle<()> {
    let frames = Frames::new(size);
    let handler = Mutex::new(handler(frames.reply.clone()));
    bare::serve(port, move |connections, from, frame| {
        if kind(frame) == kind(&frames.ask) {
            let question = (from.clone(), frame.to_vec());
            return handler.lock().expect(WHOLE).send(question).map_err(|_| io::ErrorKind::BrokenPipe.into());
        }
        hand_on(connections, from, &frames)
    })
}

/// The thread that answers questions.
fn handler(reply: Vec<u8>) -> Sender<(Arc<TcpStream>, Vec<u8>)> {
    let (ask, questions) = channel::<(Arc<TcpStream>, Vec<u8>)>();
    thread::spawn(move || questions.into_iter().try_for_each(|(from, _question)| (&*from).write_all(&reply)));
    ask
}

fn hand_on(connections: &Connections, from: &Arc<TcpStream>, frames: &Frames) -> io::Result<()> {
    for to in connections.lock().iter().filter(|to| !Arc::ptr_eq(to, from)) {
        (&**to).write_all(&frames.message)?;
    }
    (&**from).write_all(&frames.delivered)
}
