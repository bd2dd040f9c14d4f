//! Versions of the format, and removing for good.

use serde_json::{Value, json};
use yrs::Transact;

use super::people::{Person, line, set, shown, square};
use super::{doc, put, update_of, view};
use crate::model::{EditError, PURGE_AFTER_S};

#[test]
fn later_versions_are_refused_and_a_missing_one_is_the_first() {
    let map = |version: Option<Value>| {
        let doc = doc(1);
        if let Some(version) = version {
            put(&doc, &[("meta", "version", version)]);
        }
        view(&doc)
    };
    assert!(map(None).plan_migration().unwrap().is_empty());
    assert!(map(Some(json!(1))).plan_migration().unwrap().is_empty());
    assert_eq!(map(None).version(), 1.0);
    let error = map(Some(json!(2))).plan_migration().unwrap_err();
    assert_eq!(error, EditError::NewerVersion { found: 2.0 });
    let mut alice = Person::new("alice", 2);
    put(&alice.doc, &[("meta", "version", json!(2))]);
    assert_eq!(alice.error(line()), "newer_version");
    put(&alice.doc, &[("meta", "format", json!("board"))]);
    assert_eq!(alice.error(line()), "not_a_map");
}

#[test]
fn what_was_deleted_long_ago_is_purged_and_what_still_arrives_is_an_orphan() {
    let mut alice = Person::new("alice", 1);
    let mut bobby = Person::new("bobby", 2);
    alice.act(1000, square());
    alice.act(1000, json!({"op": "edit_text", "fid": "f", "name": "note", "index": 0, "delete": 0, "insert": "hi"}));
    alice.act(1000, json!({"op": "create", "fid": "g", "geometry": null}));
    bobby.receive(&update_of(&alice.doc));
    alice.act(2000, json!({"op": "delete", "fids": ["f"]}));
    let due = 2000 + PURGE_AFTER_S;
    assert!(alice.view().plan_purge(due - 1, 100).is_empty());
    assert!(alice.view().plan_purge(due, 0).is_empty());
    let plan = alice.view().plan_purge(due, 100);
    assert!(plan.features().into_iter().eq(["f"]));
    plan.write(&mut alice.doc.transact_mut());
    for root in ["feat", "vert", "prop", "attr", "gone", "text"] {
        assert!(
            super::keys(&alice.doc, root)
                .iter()
                .all(|key| !key.starts_with('f')),
            "{root}"
        );
    }
    assert_eq!(alice.view().feature_count(), 1);
    bobby.act(3000, set("crop", json!("rye")));
    alice.receive(&update_of(&bobby.doc));
    let problems = shown(&alice.view()).1;
    assert_eq!(problems, [r#"["orphan","prop","f","crop"]"#]);
    alice.act(4000, json!({"op": "dismiss_orphans", "fid": "f"}));
    assert_eq!(shown(&alice.view()).1, Vec::<String>::new());
}
