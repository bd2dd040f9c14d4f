//! Updates that must never reach a document.

use yrs::{Any, Array, ArrayPrelim, Doc, Map, MapPrelim, MapRef, Transact, TransactionMut};

/// Claims 139 million clients: a decoder that believes it reserves 264 MB.
pub const MANY_CLIENTS: &[u8] = &[0xcc, 0xf5, 0xa7, 0x42];

/// Accepted by yrs as pending; from then on it cannot encode its document any more.
const UNENCODABLE: &[u8] = &[1, 1, 7, 9, 2, 0, 0, 0, 0, 0, 0];

/// Levels of shared types, and of arrays and objects in one value, that are refused.
const TOO_DEEP: usize = 65;

/// Updates that are refused whatever the document holds, each with its name.
pub fn updates() -> Vec<(&'static str, Vec<u8>)> {
    let good = update(|feat, txn| {
        feat.insert(txn, "key", "value");
    });
    let trailing = [good.clone(), vec![0]].concat();
    let mut cut_off = good.clone();
    cut_off.truncate(good.len() - 3);
    vec![
        ("139 million clients", MANY_CLIENTS.to_vec()),
        ("a struct of an unknown kind, empty", UNENCODABLE.to_vec()),
        ("nothing at all", Vec::new()),
        ("bytes after the end", trailing),
        ("an early end", cut_off),
        ("update format v2", in_format_v2()),
        ("arrays nested too deep", nested_value()),
        ("shared types nested too deep", nested_types()),
        (
            "two sections of one client",
            vec![2, 1, 7, 0, 0, 1, 1, 7, 1, 0, 1, 0],
        ),
        ("an empty deletion", vec![0, 1, 7, 1, 0, 0]),
        (
            "a clock past the end",
            [vec![0, 1, 7, 1], vec![0xff; 7], vec![1, 1]].concat(),
        ),
    ]
}

/// Updates that nest one level each: none is deep by itself.
pub fn ladder(steps: usize) -> Vec<Vec<u8>> {
    let doc = Doc::new();
    let mut rung = doc.get_or_insert_map("feat");
    (0..steps)
        .map(|_| {
            let mut txn = doc.transact_mut();
            rung = rung.insert(&mut txn, "down", MapPrelim::default());
            txn.encode_update_v1()
        })
        .collect()
}

fn update(change: impl FnOnce(&MapRef, &mut TransactionMut<'_>)) -> Vec<u8> {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    change(&feat, &mut txn);
    txn.encode_update_v1()
}

fn in_format_v2() -> Vec<u8> {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    feat.insert(&mut txn, "key", "value");
    txn.encode_update_v2()
}

fn nested_value() -> Vec<u8> {
    let mut value = Any::from(1.0);
    for _ in 0..TOO_DEEP {
        value = Any::from(vec![value]);
    }
    update(|feat, txn| {
        feat.insert(txn, "deep", value);
    })
}

fn nested_types() -> Vec<u8> {
    update(|feat, txn| {
        let mut array = feat.insert(txn, "deep", ArrayPrelim::default());
        for _ in 0..TOO_DEEP {
            array = array.push_back(txn, ArrayPrelim::default());
        }
    })
}
