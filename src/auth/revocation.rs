//! Tokens and persons that are not let in any more. Pure: [`super::Gate`] keeps them in the store's log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::claims::{ID_BYTES_MAX, TOKEN_ID_BYTES_MAX};

/// What is taken back. Its text is what the log keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `jti`.
        id: String,
    },
    /// All tokens of a person that were issued before a moment; later ones are good.
    Person {
        /// Their `sub`.
        id: String,
        /// Seconds since 1970 (UTC). A token that does not say when it was issued counts as older.
        before_s: u64,
    },
}

/// All that was revoked.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    tokens: BTreeSet<String>,
    persons: BTreeMap<String, u64>,
}

impl Revocation {
    /// Whether it names somebody, within the bounds of names.
    pub fn is_sound(&self) -> bool {
        let (id, bytes_max) = match self {
            Self::Token { id } => (id, TOKEN_ID_BYTES_MAX),
            Self::Person { id, .. } => (id, ID_BYTES_MAX),
        };
        !id.is_empty() && id.len() <= bytes_max && !id.chars().any(char::is_control)
    }

    /// As the log keeps it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the log; `None` for what a later version wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Revocations {
    /// Adds one; whether it says anything new. Of two moments for one person the later counts.
    pub fn add(&mut self, revocation: Revocation) -> bool {
        match revocation {
            Revocation::Token { id } => self.tokens.insert(id),
            Revocation::Person { id, before_s } => {
                let known = self.persons.entry(id).or_insert(0);
                let is_new = before_s > *known;
                *known = before_s.max(*known);
                is_new
            }
        }
    }

    /// Whether a token of `person` is revoked.
    pub fn revokes(&self, person: &str, token: Option<&str>, issued_at_s: Option<u64>) -> bool {
        let of_person = self.persons.get(person);
        self.revokes_token(token)
            || of_person.is_some_and(|before| issued_at_s.is_none_or(|at| at < *before))
    }

    /// Whether this one token is revoked, as one that was lost is, whoever's it was.
    pub fn revokes_token(&self, token: Option<&str>) -> bool {
        token.is_some_and(|id| self.tokens.contains(id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len() + self.persons.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them: tokens by id, then persons by id.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|id| Revocation::Token { id: id.clone() });
        let persons = self.persons.iter();
        tokens.chain(persons.map(|(id, before_s)| Revocation::Person {
            id: id.clone(),
            before_s: *before_s,
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_person_s_older_tokens_are_revoked_and_later_ones_are_good() {
        let mut all = Revocations::default();
        let before = |before_s| Revocation::Person {
            id: "eva".to_owned(),
            before_s,
        };
        assert!(all.add(before(100)));
        assert!(!all.add(before(50)), "an earlier moment changes nothing");
        assert!(all.revokes("eva", None, Some(99)));
        assert!(!all.revokes("eva", None, Some(100)));
        assert!(all.revokes("eva", None, None));
        assert!(!all.revokes("ida", None, None));
    }

    #[test]
    fn one_token_is_revoked_alone() {
        let mut all = Revocations::default();
        all.add(Revocation::Token {
            id: "t1".to_owned(),
        });
        assert!(all.revokes("eva", Some("t1"), Some(9)));
        assert!(!all.revokes("eva", Some("t2"), Some(9)));
        assert!(!all.revokes("eva", None, None));
    }

    proptest! {
        #[test]
        fn texts_read_as_they_were_written(id in ".{1,40}", before_s: u64, person: bool) {
            let revocation = if person {
                Revocation::Person { id, before_s }
            } else {
                Revocation::Token { id }
            };
            prop_assert_eq!(Revocation::from_text(&revocation.to_text()), Some(revocation));
        }

        #[test]
        fn the_order_of_revocations_does_not_matter(
            of in proptest::collection::vec(("[ab]", 0_u64..9), 0..8),
            at in 0_u64..9,
        ) {
            let all = |of: &[(String, u64)]| {
                let mut all = Revocations::default();
                for (id, before_s) in of {
                    all.add(Revocation::Person { id: id.clone(), before_s: *before_s });
                }
                all
            };
            let reversed: Vec<_> = of.iter().rev().cloned().collect();
            for id in ["a", "b"] {
                prop_assert_eq!(
                    all(&of).revokes(id, None, Some(at)),
                    all(&reversed).revokes(id, None, Some(at))
                );
            }
        }
    }
}
