//! Edits of texts, counted in UTF-16 code units as Yjs and the page count.

/// Deletes and inserts characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    /// UTF-16 code units before the place.
    pub(super) index: usize,
    /// UTF-16 code units that go.
    pub(super) delete: usize,
    /// What comes in their place.
    pub(super) insert: String,
}

impl Splice {
    /// The range of bytes that goes. Beyond the end it is cut off, and it never cuts a character in two.
    pub(super) fn bytes(&self, text: &str) -> (usize, usize) {
        let to = self.index.saturating_add(self.delete);
        let mut unit = 0_usize;
        let (mut start, mut end) = (text.len(), text.len());
        for (byte, character) in text.char_indices() {
            let next = unit + character.len_utf16();
            if start == text.len() && next > self.index {
                start = byte;
            }
            if end == text.len() && next > to {
                end = byte;
            }
            unit = next;
        }
        (start, end)
    }

    /// The text afterwards.
    pub(super) fn apply(&self, text: &str) -> String {
        let (from, to) = self.bytes(text);
        let (head, tail) = (text.get(..from), text.get(to..));
        [
            head.unwrap_or_default(),
            &self.insert,
            tail.unwrap_or_default(),
        ]
        .concat()
    }
}

/// UTF-16 code units of a text.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, index: usize, delete: usize, insert: &str, expected: &str) {
        let insert = insert.to_owned();
        let splice = Splice {
            index,
            delete,
            insert,
        };
        assert_eq!(splice.apply(text), expected);
    }

    #[test]
    fn places_are_counted_in_utf_16_and_characters_stay_whole() {
        check("", 0, 0, "x", "x");
        check("abc", 1, 1, "x", "axc");
        check("abc", 3, 0, "x", "abcx");
        check("abc", 9, 9, "x", "abcx");
        check("a😀b", 3, 1, "", "a😀");
        check("a😀b", 1, 2, "x", "axb");
        check("a😀b", 2, 1, "x", "axb");
        check("é😀é", 3, 0, "|", "é😀|é");
    }
}
