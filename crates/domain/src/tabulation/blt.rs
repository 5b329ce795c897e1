//! Rankings in BLT, the format of the Electoral Reform Society's ballot files, which most tabulators read.

use std::fmt::{self, Write};

use super::profile::{Profile, on_one_line};

/// Writes a poll in BLT: the numbers of options and seats; a line for each ranking, with its number of ballots, the options'
/// numbers from 1 in the poll's order, and a 0; a line with a 0; the options' labels and the title, each in quotes.
///
/// The format is described by Hill, Wichmann and Woodall ("Algorithm 123: Single Transferable Vote by Meek's Method", 1987) and
/// in OpaVote's help ("BLT file format"). It has no escape for a quote in a name: OpenSTV refuses such a file, Droop ends the
/// name there. So a quote in a label is written as an apostrophe.
///
/// # Errors
/// Those of `out`.
pub fn write_blt(out: &mut impl Write, profile: &Profile<'_>) -> fmt::Result {
    writeln!(out, "{} 1", profile.options.len())?;
    for (ballots, options) in profile.numbered() {
        write!(out, "{ballots}")?;
        for option in options {
            write!(out, " {option}")?;
        }
        out.write_str(" 0\n")?;
    }
    out.write_str("0\n")?;
    for (_, label) in profile.options {
        write_quoted(out, label)?;
    }
    write_quoted(out, profile.title)
}

fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in on_one_line(text) {
        out.write_char(if c == '"' { '\'' } else { c })?;
    }
    out.write_str("\"\n")
}

#[cfg(test)]
mod tests {
    use super::super::model::ranking;
    use super::*;
    use crate::ids::OptionId;

    #[test]
    fn options_have_their_numbers_in_the_order_of_the_poll() {
        let options = [(OptionId(7), "Anna"), (OptionId(3), r#"Otto "the # one", jr.: 1"#)];
        let rankings = [(ranking(&[3, 7]), 12), (ranking(&[7]), 0), (ranking(&[7, 3]), 1), (ranking(&[3]), 2)];
        let mut blt = String::new();
        write_blt(&mut blt, &Profile { title: "Best song?", options: &options, rankings: &rankings }).unwrap();
        let expected = "2 1\n12 2 1 0\n1 1 2 0\n2 2 0\n0\n\"Anna\"\n\"Otto 'the # one', jr.: 1\"\n\"Best song?\"\n";
        assert_eq!(blt, expected, "a line that began with 0 would end the ballots");
    }
}
