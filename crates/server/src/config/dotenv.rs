//! The format of `.env` files.
//!
//! A line is `NAME=value`, with or without `export` before it. A value may be quoted: literally with `'`, or with `"` and the
//! escapes `\n`, `\"`, `\\` and `\$`. A quoted value may span several lines. Outside of single quotes `$NAME` and `${NAME}`
//! stand for a variable of the environment, or for a value defined further up.
//!
//! Programs differ in how they treat the rest: Docker's `--env-file` and systemd take a `$` literally, Symfony and Compose
//! replace an unset name with nothing, which silently shortens a password. Here that is an error. No error repeats the contents
//! of a line, which may be a password.

use std::iter::Peekable;
use std::str::Chars;

/// A name, its value, and the number of the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub name: String,
    pub value: String,
    pub number: usize,
}

/// Parses a file's text. `lookup` returns the value of an environment variable, which takes precedence over one further up.
///
/// Returns what could be parsed, and the faults of the rest, each with its line's number.
pub(super) fn parse(text: &str, lookup: impl Fn(&str) -> Option<String>) -> (Vec<Line>, Vec<String>) {
    let (mut lines, mut faults): (Vec<Line>, _) = (Vec::new(), Vec::new());
    let mut reader = Reader { rest: text.chars().peekable(), number: 1 };
    while reader.rest.peek().is_some() {
        let (start, number) = (reader.clone(), reader.number);
        let known = |name: &str| {
            let above = || lines.iter().rev().find(|line| line.name == name).map(|line| line.value.clone());
            lookup(name).or_else(above)
        };
        match reader.line(known) {
            Ok(Some((name, value))) => lines.push(Line { name, value, number }),
            Ok(None) => {}
            Err(fault) => {
                faults.push(format!("line {number} {fault}"));
                // The lines inside a quote that isn't closed are parsed too.
                reader = start;
                reader.skip_line();
            }
        }
    }
    (lines, faults)
}

const NO_ASSIGNMENT: &str = "isn't NAME=value";
const NOT_QUOTED: &str = "isn't NAME=value; put a value with spaces or # in quotes, and close them";
const NOT_CLOSED: &str = "has a quote that isn't closed";
const UNKNOWN_VARIABLE: &str =
    "has a $ that stands for a variable which isn't set; to have the $ itself, put the value in single quotes";
const NO_VARIABLE: &str = "has a ${ or $( that isn't ${NAME}; to have the $ itself, put the value in single quotes";

#[derive(Clone)]
struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    number: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.number += 1;
        }
        next
    }

    /// Skips blanks, but not the end of the line.
    fn skip_blanks(&mut self) {
        while self.rest.next_if(|next| next.is_whitespace() && *next != '\n').is_some() {}
    }

    fn skip_line(&mut self) {
        while self.rest.peek().is_some_and(|next| *next != '\n') {
            self.next();
        }
        self.next();
    }

    /// A name's letters, digits, `_` and `.`.
    fn name(&mut self) -> String {
        let is_part = |next: &char| next.is_ascii_alphanumeric() || matches!(next, '_' | '.');
        std::iter::from_fn(|| self.rest.next_if(is_part)).collect()
    }

    fn line(&mut self, known: impl Fn(&str) -> Option<String>) -> Result<Option<(String, String)>, &'static str> {
        self.skip_blanks();
        if self.rest.peek().is_none_or(|next| matches!(next, '#' | '\n')) {
            self.skip_line();
            return Ok(None);
        }
        let mut name = self.name();
        self.skip_blanks();
        if name == "export" && self.rest.peek() != Some(&'=') {
            name = self.name();
            self.skip_blanks();
        }
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || self.rest.peek() != Some(&'=') {
            return Err(NO_ASSIGNMENT);
        }
        self.next();
        self.skip_blanks();
        let value = self.value(known)?;
        self.skip_line();
        Ok(Some((name, value)))
    }

    fn value(&mut self, known: impl Fn(&str) -> Option<String>) -> Result<String, &'static str> {
        let mut value = String::new();
        while let Some(next) = self.rest.peek().copied().filter(|next| *next != '\n') {
            match next {
                '\'' => self.single_quoted(&mut value)?,
                '"' => self.double_quoted(&mut value, &known)?,
                '$' => value.push_str(&self.variable(&known)?),
                '\\' => {
                    self.next();
                    value.extend(self.rest.next_if(|escaped| *escaped != '\n'));
                }
                blank if blank.is_whitespace() => {
                    self.skip_blanks();
                    return match self.rest.peek() {
                        None | Some('\n' | '#') => Ok(value),
                        Some(_) => Err(NOT_QUOTED),
                    };
                }
                plain => {
                    self.next();
                    value.push(plain);
                }
            }
        }
        Ok(value)
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), &'static str> {
        self.next();
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(plain) => value.push(plain),
                None => return Err(NOT_CLOSED),
            }
        }
    }

    fn double_quoted(
        &mut self,
        value: &mut String,
        known: impl Fn(&str) -> Option<String>,
    ) -> Result<(), &'static str> {
        self.next();
        loop {
            match self.rest.peek().copied() {
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('$') => value.push_str(&self.variable(&known)?),
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('n') => value.push('\n'),
                        Some('r') => value.push('\r'),
                        Some('t') => value.push('\t'),
                        Some(itself @ ('"' | '\\' | '$' | '\'')) => value.push(itself),
                        Some(other) => value.extend(['\\', other]),
                        None => return Err(NOT_CLOSED),
                    }
                }
                Some(plain) => {
                    self.next();
                    value.push(plain);
                }
                None => return Err(NOT_CLOSED),
            }
        }
    }

    /// The value that a `$` stands for.
    fn variable(&mut self, known: impl Fn(&str) -> Option<String>) -> Result<String, &'static str> {
        self.next();
        match self.rest.peek() {
            Some('{') => {
                self.next();
                let name = self.name();
                if name.is_empty() || self.rest.next_if_eq(&'}').is_none() {
                    return Err(NO_VARIABLE);
                }
                known(&name).ok_or(UNKNOWN_VARIABLE)
            }
            Some('(') => Err(NO_VARIABLE),
            Some(first) if first.is_ascii_alphabetic() || *first == '_' => {
                let is_part = |next: &char| next.is_ascii_alphanumeric() || *next == '_';
                let name: String = std::iter::from_fn(|| self.rest.next_if(is_part)).collect();
                known(&name).ok_or(UNKNOWN_VARIABLE)
            }
            Some(_) | None => Ok("$".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, String> {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let (lines, faults) = parse(text, lookup);
        match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(lines.into_iter().next_back().unwrap().value),
        }
    }

    #[test]
    fn values_are_parsed() {
        for (text, expected) in [
            ("A=b", "b"),
            ("A=b\r\n", "b"),
            ("  export A = b  # c\n", "b"),
            ("A=", ""),
            ("A=b#c", "b#c"),
            ("A='b # $c'", "b # $c"),
            ("A=\"b \\\"c\\\" \\$d \\\\ \\n\"", "b \"c\" $d \\ \n"),
            ("A=\"b\nc\"", "b\nc"),
            ("A=b\\$c\\ d", "b$c d"),
            ("A=$HOME/b", "/root/b"),
            ("A=\"${HOME}b\"", "/rootb"),
            ("A=b\nC=${A}d", "bd"),
            ("A=b$", "b$"),
            ("A=b$1$%$$ ", "b$1$%$$"),
            ("A=postgres://u:p@h:1/n?x=y", "postgres://u:p@h:1/n?x=y"),
        ] {
            assert_eq!(value(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn faults_name_their_line_and_nothing_in_it() {
        for (line, expected) in [
            ("hunter2", "isn't NAME=value"),
            ("1A=hunter2", "isn't NAME=value"),
            ("A=hunter2 is secret", "put a value with spaces or # in quotes"),
            ("A=it's hunter2", "quote that isn't closed"),
            ("A=\"hunter2", "quote that isn't closed"),
            ("A=x$hunter2", "single quotes"),
            ("A=\"x$$hunter2\"", "single quotes"),
            ("A=${hunter2:-x}", "single quotes"),
            ("A=$(hunter2)", "single quotes"),
        ] {
            let (lines, faults) = parse(&format!("LOG=info\n\n{line}\nB=c\n"), |_| None);
            assert_eq!(faults.len(), 1, "{line}: {faults:?}");
            assert!(faults[0].starts_with("line 3 ") && faults[0].contains(expected), "{line}: {faults:?}");
            assert!(!faults[0].contains("hunter2"), "{faults:?}");
            let read: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.number)).collect();
            assert_eq!(read, [("LOG", 1), ("B", 4)], "{line}");
        }
    }
}
