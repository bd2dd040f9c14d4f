//! A session between a peer and a room, both played here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acknowledging;
mod asking;
mod hearing;
mod provider;

use super::*;
use crate::message::Message;

fn session() -> Session {
    Session::new(SessionLimits::default(), Access::ReadWrite)
}

fn turn(session: &mut Session, now_ms: u64, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    session.handle(now_ms, event, &mut out);
    out
}

fn frame(session: &mut Session, message: &Message) -> Vec<Effect> {
    turn(session, 0, Event::Frame(yws::encode(message)))
}

fn attached() -> Session {
    let mut session = session();
    assert!(turn(&mut session, 0, Event::Attached).is_empty());
    session
}

/// An update of one struct, different for every clock.
fn update(clock: u8) -> Bytes {
    Bytes::copy_from_slice(&[1, 1, 9, clock, 0, 1, 0])
}

fn token(n: u8) -> Message {
    Message::DurableAck(Bytes::copy_from_slice(&[n]))
}

/// The messages that effects send to the peer.
fn sent(effects: &[Effect]) -> Vec<Message> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(frame.clone()),
        _ => None,
    });
    frames
        .flat_map(|frame| yws::decode(frame).map(Result::unwrap))
        .collect()
}

fn closed(effects: &[Effect]) -> Option<u16> {
    match effects.last() {
        Some(Effect::Close(reason)) => Some(reason.code()),
        _ => None,
    }
}

fn numbers(effects: &[Effect]) -> Vec<u64> {
    let numbers = effects.iter().filter_map(|effect| match effect {
        Effect::Room(ToRoom::Update { number, .. }) => Some(*number),
        _ => None,
    });
    numbers.collect()
}

fn keepalive() -> Message {
    Message::Awareness(Bytes::from_static(&[0]))
}
