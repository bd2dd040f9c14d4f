//! Checks JSON text without recursion and without building it, as strictly as `serde_json` reads it for yrs:
//! what passes here is read there, and by `JSON.parse`.

use crate::limits::NESTING_MAX;

/// What is wrong with a text, and at which of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonFault {
    Syntax(usize),
    TooDeep(usize),
}

/// Whether `text` is one JSON value (RFC 8259) that nests at most [`NESTING_MAX`] deep, with numbers that a
/// double holds, integers within 64 bits signed if they fit 64 at all, and no lone surrogates.
pub(super) fn check(text: &str) -> Result<(), JsonFault> {
    Checker {
        bytes: text.as_bytes(),
        at: 0,
        objects: 0,
        depth: 0,
    }
    .document()
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
    /// One bit a level, the innermost lowest: set where it is an object.
    objects: u64,
    depth: usize,
}

const _: () = assert!(NESTING_MAX <= u64::BITS as usize);

impl Checker<'_> {
    fn document(mut self) -> Result<(), JsonFault> {
        loop {
            self.value_or_open()?;
            // A value is complete; close what it completes.
            loop {
                self.space();
                if self.depth == 0 {
                    return if self.at == self.bytes.len() {
                        Ok(())
                    } else {
                        self.wrong()
                    };
                }
                let in_object = self.objects & 1 == 1;
                match self.next() {
                    Some(b',') if in_object => break self.key()?,
                    Some(b',') => break,
                    Some(b'}') if in_object => self.close(),
                    Some(b']') if !in_object => self.close(),
                    _ => return self.wrong_before(),
                }
            }
        }
    }

    /// Goes down to the next value that is complete in itself.
    fn value_or_open(&mut self) -> Result<(), JsonFault> {
        loop {
            self.space();
            match self.next() {
                Some(b'{') => {
                    self.open(true)?;
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        self.close();
                        return Ok(());
                    }
                    self.key()?;
                }
                Some(b'[') => {
                    self.open(false)?;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        self.close();
                        return Ok(());
                    }
                }
                Some(b'"') => return self.string(),
                Some(b't') => return self.word(b"rue"),
                Some(b'f') => return self.word(b"alse"),
                Some(b'n') => return self.word(b"ull"),
                Some(b'-' | b'0'..=b'9') => {
                    self.at -= 1;
                    return self.number();
                }
                _ => return self.wrong_before(),
            }
        }
    }

    fn key(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.next() != Some(b'"') {
            return self.wrong_before();
        }
        self.string()?;
        self.space();
        if self.next() == Some(b':') {
            Ok(())
        } else {
            self.wrong_before()
        }
    }

    fn string(&mut self) -> Result<(), JsonFault> {
        loop {
            match self.next() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                Some(0..0x20) | None => return self.wrong_before(),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.hex()? {
                0xd800..0xdc00 => {
                    if self.next() != Some(b'\\') || self.next() != Some(b'u') {
                        return self.wrong_before();
                    }
                    if (0xdc00..0xe000).contains(&self.hex()?) {
                        Ok(())
                    } else {
                        self.wrong_before()
                    }
                }
                0xdc00..0xe000 => self.wrong_before(),
                _ => Ok(()),
            },
            _ => self.wrong_before(),
        }
    }

    fn hex(&mut self) -> Result<u32, JsonFault> {
        let mut value = 0;
        for _ in 0..4 {
            match self.next().and_then(|byte| char::from(byte).to_digit(16)) {
                Some(digit) => value = value * 16 + digit,
                None => return self.wrong_before(),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => _ = self.digits(),
            _ => return self.wrong(),
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            integer = false;
            if self.digits() == 0 {
                return self.wrong();
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            integer = false;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.wrong();
            }
        }
        let text = self
            .bytes
            .get(start..self.at)
            .and_then(|text| std::str::from_utf8(text).ok());
        let text = text.unwrap_or_default();
        let between_i64_and_u64 =
            integer && !negative && text.parse::<u64>().is_ok_and(|n| n > i64::MAX as u64);
        let finite = text.len() < 300 && !text.contains(['e', 'E']);
        if between_i64_and_u64 || !(finite || text.parse::<f64>().is_ok_and(f64::is_finite)) {
            return Err(JsonFault::Syntax(start));
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), JsonFault> {
        if !self
            .bytes
            .get(self.at..)
            .is_some_and(|left| left.starts_with(rest))
        {
            return self.wrong_before();
        }
        self.at += rest.len();
        Ok(())
    }

    fn open(&mut self, object: bool) -> Result<(), JsonFault> {
        if self.depth == NESTING_MAX {
            return Err(JsonFault::TooDeep(self.at.saturating_sub(1)));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    fn wrong<T>(&self) -> Result<T, JsonFault> {
        Err(JsonFault::Syntax(self.at.min(self.bytes.len())))
    }

    /// As [`Checker::wrong`], for the byte just read.
    fn wrong_before<T>(&self) -> Result<T, JsonFault> {
        Err(JsonFault::Syntax(
            self.at.saturating_sub(1).min(self.bytes.len()),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn yrs_reads(text: &str) -> bool {
        yrs::Any::from_json(text).is_ok()
    }

    #[test]
    fn texts_are_judged_as_yrs_judges_them() {
        for text in [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "-1.5e-3",
            "1E+2",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "-9223372036854775809",
            "1e308",
            "1e309",
            "-1e999",
            "0e999999999999",
            "1e-999999",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "\"\"",
            "\"a\\u0041\\n\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "\"",
            "\"\\",
            "[]",
            "[ ]",
            "[1,2]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{ }",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":[{}]}",
            "[}",
            "{]",
            "[",
            "{",
            "]",
            "",
            " ",
            "undefined",
            "nul",
            "nulll",
            "1 1",
            "[[]",
            "{\"a\":1,\"a\":2}",
            "\"ü\"",
            "NaN",
            "Infinity",
            "{\"a\" : [ 1 , { \"b\" : null } ] } ",
        ] {
            assert_eq!(check(text).is_ok(), yrs_reads(text), "{text:?}");
        }
    }

    #[test]
    fn long_numbers_are_judged_as_yrs_judges_them() {
        for digits in [299, 308, 309, 310, 400] {
            for text in [
                "1".repeat(digits),
                format!("0.{}", "1".repeat(digits)),
                format!("-{}", "9".repeat(digits)),
            ] {
                assert_eq!(check(&text).is_ok(), yrs_reads(&text), "{digits} digits");
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
        assert_eq!(
            check(&nested(NESTING_MAX + 1)),
            Err(JsonFault::TooDeep(NESTING_MAX))
        );
        let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert_eq!(check(&objects(NESTING_MAX)), Ok(()));
        assert!(matches!(
            check(&objects(NESTING_MAX + 1)),
            Err(JsonFault::TooDeep(_))
        ));
    }

    proptest! {
        #[test]
        fn what_passes_yrs_reads_and_nothing_else_is_refused(
            text in r#"[\[\]{}",:0-9eE.\-\\ untrlfasd8]{0,16}"#,
        ) {
            prop_assert_eq!(check(&text).is_ok(), yrs_reads(&text), "{:?}", text);
        }
    }
}
