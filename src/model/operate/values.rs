//! Properties, attributes, texts, layers and the title.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yrs::Any;

use super::super::edit::Edit;
use super::super::edit_error::EditError;
use super::super::id::Lid;
use super::super::input::Content;
use super::super::json::to_any;
use super::super::key::is_key;
use super::super::operation::Operation;
use super::super::planning::Planning;
use super::super::schema::{Key, META, Root, VALUE_BYTES_MAX};
use super::super::text::{Splice, units};
use super::Known;
use super::features::check_layer;

/// What a value under a name of the system must be.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Layer,
    OrderKey,
    Bool,
    Any,
}

impl Planning<'_, '_> {
    pub(in crate::model) fn set_properties(
        &mut self,
        fid: &str,
        values: &BTreeMap<String, Option<Value>>,
    ) -> Result<(), EditError> {
        let overlays = self.known(fid)?.overlays;
        for (name, value) in values {
            check_value(name, value.as_ref())?;
            let edits = self
                .writer
                .set_property(fid, name, &overlays, value.as_ref());
            self.edits.extend(edits);
        }
        once(&mut self.edits);
        Ok(())
    }

    pub(in crate::model) fn set_attributes(
        &mut self,
        fid: &str,
        values: &BTreeMap<String, Option<Value>>,
    ) -> Result<(), EditError> {
        let overlays = self.known(fid)?.overlays;
        for (name, value) in values {
            let form = match name.as_str() {
                "layer" => Form::Layer,
                "order" => Form::OrderKey,
                "style" => Form::Any,
                _ => return Err(EditError::name(name, "an attribute: layer, order or style")),
            };
            let payload = payload(name, value.as_ref(), form)?;
            let edits = self
                .writer
                .set_target(Root::Attr, fid, name, &overlays, payload);
            self.edits.extend(edits);
        }
        Ok(())
    }

    pub(in crate::model) fn set_layer(
        &mut self,
        lid: &str,
        values: &BTreeMap<String, Option<Value>>,
    ) -> Result<(), EditError> {
        let form = "a layer's id: 1 to 64 letters, digits, _ or -";
        Lid::parse(lid).ok_or_else(|| EditError::name(lid, form))?;
        let targets = self.view.targets_of_layer(lid);
        for (name, value) in values {
            let form = match name.as_str() {
                "name" => Form::Text,
                "order" => Form::OrderKey,
                "visible" | "gone" => Form::Bool,
                "style" | "columns" => Form::Any,
                _ => {
                    let fields = "a field of a layer: name, order, visible, style, columns or gone";
                    return Err(EditError::name(name, fields));
                }
            };
            let payload = payload(name, value.as_ref(), form)?;
            let slot = targets.get(name.as_str());
            let edits = self.writer.set_layer(lid, name, slot, payload);
            self.edits.extend(edits);
        }
        Ok(())
    }

    pub(in crate::model) fn set_title(&mut self, title: &str) -> Result<(), EditError> {
        check_length("the title", title.len())?;
        if self.view.title() != Some(title) {
            self.edits.push(Edit::Put {
                root: META,
                key: "title".to_owned(),
                value: Any::from(title),
            });
        }
        Ok(())
    }

    pub(in crate::model) fn edit_text(&mut self, operation: &Operation) -> Result<(), EditError> {
        let Operation::EditText {
            fid,
            name,
            index,
            delete,
            insert,
        } = operation
        else {
            return Ok(());
        };
        let Known { overlays, .. } = self.known(fid)?;
        check_value(name, None)?;
        let mut texts: Vec<(&str, &str)> = overlays
            .texts()
            .get(name.as_str())
            .into_iter()
            .flatten()
            .map(|(sid, text)| (*sid, &**text))
            .collect();
        // Those that are not empty first, then by session.
        texts.sort_unstable_by_key(|(sid, text)| (text.is_empty(), *sid));
        let (sid, text) = texts.first().copied().unzip();
        let length = units(text.unwrap_or_default());
        if index.checked_add(*delete).is_none_or(|end| end > length) {
            return Err(EditError::BeyondText {
                units: length,
                index: *index,
                delete: *delete,
            });
        }
        let bytes = text.unwrap_or_default().len().saturating_add(insert.len());
        check_length("the text", bytes)?;
        if *delete == 0 && insert.is_empty() {
            return Ok(());
        }
        self.edits.push(match sid {
            Some(sid) => Edit::Type {
                key: Key::join(fid, sid, name),
                splice: Splice {
                    index: *index,
                    delete: *delete,
                    insert: insert.clone(),
                },
            },
            None => Edit::Begin {
                key: Key::join(fid, self.writer.sid.as_str(), name),
                content: insert.clone(),
            },
        });
        let named = vec![Any::from(name.as_str())];
        let edits = self
            .writer
            .set_target(Root::Attr, fid, "text", &overlays, named);
        self.edits.extend(edits);
        Ok(())
    }
}

/// Of several edits that set one key, the last is enough: each emptied text says so in the attribute `text`.
fn once(edits: &mut Vec<Edit>) {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = Vec::with_capacity(edits.len());
    while let Some(edit) = edits.pop() {
        if seen.insert((edit.root(), edit.key().to_owned())) {
            kept.push(edit);
        }
    }
    kept.reverse();
    *edits = kept;
}

/// Checks a property's name, nesting and length.
fn check_value(name: &str, value: Option<&Value>) -> Result<(), EditError> {
    let value = value.cloned().unwrap_or_default();
    let content = Content {
        properties: Map::from_iter([(name.to_owned(), value)]),
        ..Content::default()
    };
    content.checked()?;
    Ok(())
}

fn payload(name: &str, value: Option<&Value>, form: Form) -> Result<Vec<Any>, EditError> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let text = value.as_str();
    let wrong = |what| Err(EditError::name(value.to_string(), what));
    match form {
        Form::Text if text.is_none() => return wrong("a name, which is a text"),
        Form::Layer => match text {
            Some(layer) => check_layer(layer)?,
            None => return wrong("a layer's id, which is a text"),
        },
        Form::OrderKey if !text.is_some_and(is_key) => return wrong("an order key"),
        Form::Bool if !value.is_boolean() => return wrong("a yes or no: give true or false"),
        _ => {}
    }
    check_value(name, Some(value))?;
    Ok(vec![to_any(value)])
}

pub(super) fn check_length(what: &'static str, bytes: usize) -> Result<(), EditError> {
    if bytes > VALUE_BYTES_MAX {
        return Err(EditError::TooLarge {
            what,
            max: VALUE_BYTES_MAX as u64,
            hint: "shorten it, or keep it elsewhere and store a link",
        });
    }
    Ok(())
}
