//! Writes the generated part of the corpus. Equal programs write equal files.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mapweave_fuzz::folder;
use mapweave_proto::hocuspocus::{self, Address};
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, Message, yws};
use mapweave_sim::updates;

fn put(law: &str, name: &str, bytes: &[u8]) {
    let folder = folder("corpus", law);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// Pieces as `Script::piece` reads them.
fn pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend((piece.len() as u16).to_le_bytes());
        out.extend(piece);
    }
    out
}

#[test]
fn write_the_corpus() {
    // Only when asked to: it writes into the repository.
    if std::env::var_os("WRITE_FIXTURES").is_none() {
        return;
    }
    write_updates();
    write_frames();
    write_sessions();
    write_hocuspocus();
    write_awareness();
    write_websocket();
    write_geojson();
    write_maps();
    put("canary", "near", b"Map\x7f");
    put("journal_reader", "as-it-is", &[0]);
    put("journal_reader", "one-byte", &[0, 100, 0, 1, 0]);
    put("journal_reader", "cut", &[1, 0, 1, 0]);
    put("journal_reader", "without-a-piece", &[200, 80, 0, 200]);
    put("journal_reader", "twice", &[0, 64, 0, 60]);
}

fn write_updates() {
    for seed in 0..6 {
        let made = updates(seed, 8);
        put(
            "update_path",
            &format!("in-order-{seed}"),
            &pieces(made.iter().map(|u| &u[..])),
        );
        put(
            "update_path",
            &format!("reversed-{seed}"),
            &pieces(made.iter().rev().map(|u| &u[..])),
        );
        put(
            "update_path",
            &format!("with-a-gap-{seed}"),
            &pieces(made.iter().skip(2).map(|u| &u[..])),
        );
    }
    let vectors =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/map-document/examples.json");
    let vectors: serde_json::Value = serde_json::from_slice(&fs::read(vectors).unwrap()).unwrap();
    for (index, vector) in vectors.as_array().unwrap().iter().enumerate().step_by(3) {
        let update = BASE64_STANDARD
            .decode(vector["update"].as_str().unwrap())
            .unwrap();
        put(
            "update_path",
            &format!("example-{index:02}"),
            &pieces([&update[..]]),
        );
    }
}

fn messages() -> Vec<(&'static str, Message)> {
    let update = updates(1, 2).remove(0);
    vec![
        ("step1", Message::SyncStep1(vec![1, 5, 9].into())),
        ("step2", Message::SyncStep2(vec![0, 0].into())),
        ("update", Message::Update(update)),
        (
            "awareness",
            Message::Awareness(presence(1, "{\"a\":1}").into()),
        ),
        ("denied", Message::AuthDenied("no".to_owned())),
        ("query", Message::QueryAwareness),
        ("token", Message::DurableAck(vec![7; 8].into())),
        (
            "custom",
            Message::Custom {
                tag: 300,
                body: vec![1].into(),
            },
        ),
    ]
}

fn write_frames() {
    let all: Vec<u8> = messages()
        .iter()
        .flat_map(|(_, message)| yws::encode(message))
        .collect();
    put("frame_decoder", "packed", &all);
    for (name, message) in messages() {
        put("frame_decoder", name, &yws::encode(&message));
    }
}

fn write_sessions() {
    let frame = |message: &Message| {
        let mut out = vec![5];
        out.extend(pieces([&yws::encode(message)[..]]));
        out
    };
    let [step2, token] = [
        Message::SyncStep2(vec![0, 0].into()),
        Message::DurableAck(vec![7].into()),
    ];
    for access in [0, 1] {
        let mut script = vec![access, 0];
        for (_, message) in messages() {
            script.extend(frame(&message));
        }
        script.extend([1, 9]);
        put("session", &format!("everything-{access}"), &script);
        let mut script = vec![access, 0];
        script.extend([frame(&token), frame(&step2)].concat());
        script.extend([1, 1]);
        script.extend([frame(&messages()[2].1), frame(&token)].concat());
        script.extend([1, 2, 2, 2, 3, 4]);
        put("session", &format!("acknowledged-{access}"), &script);
    }
}

/// A token, as providers from 4.0 on send it.
fn token(address: &str) -> Vec<u8> {
    let mut frame = vec![address.len() as u8];
    frame.extend(address.as_bytes());
    frame.extend([2, 0, 2]);
    frame.extend(b"ok");
    frame.extend([5]);
    frame.extend(b"4.8.0");
    frame
}

fn write_hocuspocus() {
    let at = |name: &str, message: &Message| {
        hocuspocus::encode(&Address::new(name), message).map(|frame| frame.to_vec())
    };
    let said = |name: &str| -> Vec<Vec<u8>> {
        let all = messages();
        all.iter()
            .filter_map(|(_, message)| at(name, message))
            .collect()
    };
    for (index, frame) in said("a").iter().enumerate() {
        put("hocuspocus_frames", &format!("message-{index}"), frame);
    }
    put("hocuspocus_frames", "token", &token("a"));
    put("hocuspocus_frames", "leave", &[1, b'a', 7]);
    put("hocuspocus_frames", "ping", &[9]);
    let frame = |frame: &[u8]| [vec![0], pieces([frame])].concat();
    // Let in at once; then a second session of the same map that is let in late.
    let mut script = [frame(&token("a")), vec![9, 0, 1]].concat();
    script.extend(said("a").iter().flat_map(|message| frame(message)));
    script.extend([15, 0, 1, 15, 0, 9, 13, 0, 2]);
    script.extend(frame(&token("a\0s")));
    script.extend(said("a\0s").iter().flat_map(|message| frame(message)));
    script.extend([9, 1, 2, 15, 1, 5]);
    put("switchboard", "two-sessions", &script);
    // A token that is not good enough and one that is, a new one, its end.
    let mut script = [frame(&token("a")), frame(&token("a"))].concat();
    script.extend([11, 0, 0, 9, 1, 4]);
    script.extend(
        [
            frame(&token("a")),
            frame(&token("a")),
            vec![9, 1, 3, 10, 1, 3],
        ]
        .concat(),
    );
    script.extend(said("a").iter().flat_map(|message| frame(message)));
    script.extend([12, 1, 0, 8, 255, 8, 255]);
    put("switchboard", "tokens", &script);
    let mut script = frame(&[1, b'a', 0, 0, 1, 0]);
    script.extend([frame(&[1, b'a', 7]), vec![9, 0, 1, 7, 14, 0, 200, 8, 40]].concat());
    put("switchboard", "without-a-token", &script);
}

fn presence(clock: u64, state: &str) -> Vec<u8> {
    let entry = |client| AwarenessEntry {
        client: ClientId(client),
        clock,
        state: state.to_owned().into(),
    };
    AwarenessUpdate {
        entries: vec![entry(1), entry(300)],
    }
    .encode()
    .to_vec()
}

fn write_awareness() {
    let mut script = Vec::new();
    for (choice, clock, state) in [
        (0, 1, "{}"),
        (1, 2, "null"),
        (2, 3, "null"),
        (203, 1, "{\"x\":[1]}"),
        (0, 9, "{oops"),
    ] {
        script.push(choice);
        script.extend(pieces([&presence(clock, state)[..]]));
    }
    put("awareness", "come-and-go", &script);
}

fn write_websocket() {
    let masked = |head: u8, payload: &[u8]| {
        let mut out = vec![head, 0x80 | payload.len() as u8, 1, 2, 3, 4];
        out.extend(
            payload
                .iter()
                .zip([1u8, 2, 3, 4].iter().cycle())
                .map(|(b, k)| b ^ k),
        );
        out
    };
    let mut all = vec![3];
    all.extend(masked(0x82, b"binary"));
    all.extend(masked(0x02, b"first "));
    all.extend(masked(0x89, b"ping"));
    all.extend(masked(0x80, b"second"));
    all.extend(masked(0x81, "täxt".as_bytes()));
    all.extend(masked(0x88, &[0x03, 0xe8, b'b']));
    put("websocket_frames", "everything", &all);
    let mut long = vec![7, 0x82, 0x80 | 126, 0, 200, 0, 0, 0, 0];
    long.extend([9; 200]);
    put("websocket_frames", "longer", &long);
}

fn write_geojson() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/geojson");
    for kind in ["valid", "invalid"] {
        for entry in fs::read_dir(fixtures.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if bytes.len() <= 4_000 && name != "expected.json" {
                put("geojson_import", &name, &bytes);
            }
        }
    }
}

/// A point, a moved vertex, a property, a deletion; then a square under the same id.
fn write_maps() {
    let point = [3, 0, 96, 12, 1, 29, 5, 20, 3, 108, 3, 120];
    put("map_reading", "point", &point);
    let mut edited = point.to_vec();
    edited.extend([0, 3, 103, 45, 9, 3, 101, 3, 99]);
    edited.extend([0, 4, 107, 29, 9, 3, 50, 2, 6, 98, 13, 4]);
    put("map_reading", "point-edited-and-deleted", &edited);
    put(
        "map_reading",
        "square",
        &[0, 0, 96, 12, 3, 10, 0, 0, 6, 96, 29, 5],
    );
    put(
        "map_reading",
        "texts-and-maps",
        &[2, 8, 43, 0, 75, 5, 32, 7, 14, 96, 11, 1],
    );
}
