//! Notes and attachments. Each is one entry that its session writes; removing leaves `[t, sid]`.

use yrs::Any;

use super::super::edit::Edit;
use super::super::edit_error::EditError;
use super::super::id::Fid;
use super::super::json::number_any;
use super::super::note::{Attachment, Note};
use super::super::operation::Operation;
use super::super::planning::Planning;
use super::super::schema::{FILE, NOTE, Raw, time};
use super::check_position;
use super::values::check_length;

impl Planning<'_, '_> {
    pub(in crate::model) fn add_note(&mut self, operation: &Operation) -> Result<(), EditError> {
        let Operation::AddNote {
            nid,
            body,
            fid,
            answers,
            at,
        } = operation
        else {
            return Ok(());
        };
        check_id(nid, "a note's id: 1 to 64 letters, digits, _ or -")?;
        if self.view.notes.contains_key(nid.as_str()) {
            return Err(EditError::Exists { id: nid.clone() });
        }
        check_length("the note", body.len())?;
        if let Some(fid) = fid {
            self.any(fid)?;
        }
        if let Some(answered) = answers {
            self.note(answered)?;
        }
        if let Some(at) = at {
            check_position(at)?;
        }
        let text = |text: &Option<String>| {
            let text = text.as_deref();
            text.map_or(Any::Null, Any::from)
        };
        let place = at.iter().flat_map(|at| at.iter().take(2));
        let place: Vec<Any> = place.map(|number| number_any(*number)).collect();
        let place = at.as_ref().map_or(Any::Null, |_| Any::from(place));
        let payload = vec![Any::from(body.as_str()), text(fid), text(answers), place];
        self.put(NOTE, nid, None, payload);
        Ok(())
    }

    pub(in crate::model) fn remove_note(&mut self, nid: &str) -> Result<(), EditError> {
        self.note(nid)?;
        self.put(NOTE, nid, self.view.notes.get(nid), Vec::new());
        Ok(())
    }

    /// Checks that there is such a note.
    fn note(&self, nid: &str) -> Result<(), EditError> {
        let raw = self.view.notes.get(nid);
        match raw.and_then(|raw| Note::read(nid, raw)) {
            Some(_) => Ok(()),
            None => Err(EditError::UnknownNote {
                nid: nid.to_owned(),
            }),
        }
    }

    pub(in crate::model) fn add_file(&mut self, operation: &Operation) -> Result<(), EditError> {
        let Operation::AddFile {
            aid,
            fid,
            name,
            media_type,
            bytes,
            sha256,
        } = operation
        else {
            return Ok(());
        };
        check_id(aid, "an attachment's id: 1 to 64 letters, digits, _ or -")?;
        if self.view.files.contains_key(aid.as_str()) {
            return Err(EditError::Exists { id: aid.clone() });
        }
        self.known(fid)?;
        check_length("the file's name", name.len())?;
        check_length("the media type", media_type.len())?;
        let digits = sha256
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if sha256.len() != 64 || !digits {
            return Err(EditError::name(sha256, "a SHA-256: 64 hexadecimal digits"));
        }
        let payload = vec![
            Any::from(fid.as_str()),
            Any::from(name.as_str()),
            Any::from(media_type.as_str()),
            number_any(*bytes as f64),
            Any::from(sha256.as_str()),
        ];
        self.put(FILE, aid, None, payload);
        Ok(())
    }

    pub(in crate::model) fn remove_file(&mut self, aid: &str) -> Result<(), EditError> {
        let raw = self.view.files.get(aid);
        if raw.and_then(|raw| Attachment::read(aid, raw)).is_none() {
            return Err(EditError::UnknownEntry {
                entry: aid.to_owned(),
            });
        }
        self.put(FILE, aid, raw, Vec::new());
        Ok(())
    }

    fn put(&mut self, root: &'static str, id: &str, before: Option<&Raw>, payload: Vec<Any>) {
        let replaced = before
            .and_then(Raw::array)
            .and_then(|items| time(items.first()?));
        let t = number_any(self.writer.t_after(replaced) as f64);
        let mut items = vec![t, Any::from(self.writer.sid.as_str())];
        items.extend(payload);
        self.edits.push(Edit::Put {
            root,
            key: id.to_owned(),
            value: Any::from(items),
        });
    }
}

fn check_id(id: &str, form: &'static str) -> Result<(), EditError> {
    match Fid::parse(id) {
        Some(_) => Ok(()),
        None => Err(EditError::name(id, form)),
    }
}
