//! Invitation codes: what each voter in a poll with the policy `code` is given.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{NAME_PATTERN, is_name};

/// The digits of Crockford's base 32 (<https://www.crockford.com/base32.html>).
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The digits of a code, of 5 bits each.
const CODE_DIGITS: usize = 16;

/// The digits after which a hyphen is written.
const GROUP_DIGITS: usize = 4;

/// The longest text that is read as a code, in bytes.
pub const CODE_BYTES_MAX: usize = 64;

/// An invitation code: 80 random bits, written as `ABCD-EFGH-JKMN-PQRS`. Who has it is one voter of one poll.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u128);

impl Code {
    /// The code of the lowest 80 of these bits, which have to be random and secret.
    pub fn of_random(bits: u128) -> Self {
        Self(bits & ((1 << (5 * CODE_DIGITS)) - 1))
    }
}

/// In groups of four digits. There is one such text for each code.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for position in 0..CODE_DIGITS {
            if position > 0 && position.is_multiple_of(GROUP_DIGITS) {
                f.write_char('-')?;
            }
            let digit = (self.0 >> (5 * (CODE_DIGITS - 1 - position))) & 31;
            f.write_char(char::from(DIGITS[digit as usize]))?;
        }
        Ok(())
    }
}

/// Without the code, which is as good as its voter's ballot: it belongs in no log.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// As a voter types it: in any case, with any spaces and hyphens, with `O` for 0, and with `I` or `L` for 1.
impl std::str::FromStr for Code {
    type Err = NotACode;

    fn from_str(typed: &str) -> Result<Self, NotACode> {
        if typed.len() > CODE_BYTES_MAX {
            return Err(NotACode);
        }
        let (mut bits, mut digits) = (0, 0);
        for character in typed.chars().filter(|character| !character.is_whitespace() && *character != '-') {
            bits = bits << 5 | digit(character).ok_or(NotACode)?;
            digits += 1;
        }
        if digits == CODE_DIGITS { Ok(Self(bits)) } else { Err(NotACode) }
    }
}

fn digit(character: char) -> Option<u128> {
    let digit = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    (0..).zip(DIGITS).find(|(_, known)| char::from(**known) == digit).map(|(value, _)| value)
}

/// A text that isn't a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has 16 letters and digits, such as ABCD-EFGH-JKMN-PQRS")]
pub struct NotACode;

/// A name for a batch of codes, unique in its poll: of the same characters as a poll's slug.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(!into, !try_from, transparent)]
pub struct BatchName(#[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 64))] String);

impl BatchName {
    /// The name that the batch with this number has where none is given.
    pub fn of_number(number: u32) -> Self {
        Self(format!("batch-{number}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for BatchName {
    type Err = InvalidBatchName;

    fn from_str(text: &str) -> Result<Self, InvalidBatchName> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(InvalidBatchName(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for BatchName {
    type Error = InvalidBatchName;

    fn try_from(text: String) -> Result<Self, InvalidBatchName> {
        text.parse()
    }
}

impl From<BatchName> for String {
    fn from(name: BatchName) -> Self {
        name.0
    }
}

/// A string that isn't a valid name of a batch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be a batch's name: use 1 to 64 of a-z, 0-9 and -, such as `members-2026`")]
pub struct InvalidBatchName(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "0123-4567-89AB-CDEF";

    #[test]
    fn code_is_read_as_people_type_it() {
        let code: Code = CODE.parse().unwrap();
        assert_eq!(code.to_string(), CODE);
        for typed in [
            "0123456789ABCDEF",
            "0123 4567 89ab cdef",
            "  0123-4567-89AB-CDEF\r\n",
            "O123-4567-89AB-CDEF",
            "oI23-4567-89AB-CDEF",
            "ol23-4567-89AB-CDEF",
            "0-1-2-3-4-5-6-7-8-9-a-b-c-d-e-f",
            "0123\u{a0}4567\u{a0}89AB\u{a0}CDEF",
        ] {
            assert_eq!(typed.parse(), Ok(code), "{typed}");
        }
    }

    #[test]
    fn text_that_is_no_code_is_rejected() {
        for typed in [
            "",
            "-",
            "0123-4567-89AB-CDE",
            "0123-4567-89AB-CDEF0",
            "0123-4567-89AB-CDEU",
            "0123-4567-89AB-CDE\u{c9}",
            "0123_4567_89AB_CDEF",
            "\u{ff10}123-4567-89AB-CDEF",
            &format!("{CODE}{}", " ".repeat(CODE_BYTES_MAX)),
            &"0".repeat(10_000),
        ] {
            assert_eq!(typed.parse::<Code>(), Err(NotACode), "{typed:.40}");
        }
    }

    /// S28: a code is in no log.
    #[test]
    fn code_is_not_shown_for_debugging() {
        assert_eq!(format!("{:?}", CODE.parse::<Code>()), "Ok(Code(…))");
    }

    #[test]
    fn name_of_a_batch_has_a_fixed_alphabet() {
        assert_eq!("members-2026".parse::<BatchName>().unwrap().as_str(), "members-2026");
        assert!(BatchName::of_number(12).as_str().parse::<BatchName>().is_ok());
        for bad in ["", "A", "a b", "-a", &"x".repeat(65)] {
            assert!(bad.parse::<BatchName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_code_has_one_text_that_is_read_back(bits: u128) {
            let code = Code::of_random(bits);
            prop_assert_eq!(code.to_string().len(), 19);
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn no_text_breaks_the_parser(typed: String) {
            if let Ok(code) = typed.parse::<Code>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}
