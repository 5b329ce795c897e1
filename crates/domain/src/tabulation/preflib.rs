//! Rankings in the format of PrefLib, the library of preference data, which programs of research read.

use std::fmt::{self, Write};

use super::profile::{Profile, on_one_line};

/// Writes a poll as PrefLib's `.soi` (strict orders, incomplete): a header of lines that begin with `#`, then a line for each
/// ranking with its number of ballots and the options' numbers from 1 in the poll's order.
///
/// PrefLib's page "Data format" defines it (the version with a metadata header, since 2022); the values that a poll
/// doesn't have are empty. `file_name` is the name that the file will have, such as `best-song.soi`.
///
/// # Errors
/// Those of `out`.
pub fn write_soi(out: &mut impl Write, file_name: &str, profile: &Profile<'_>) -> fmt::Result {
    let voters: u64 = profile.numbered().map(|(ballots, _)| ballots).sum();
    write_value(out, format_args!("FILE NAME"), file_name)?;
    write_value(out, format_args!("TITLE"), profile.title)?;
    out.write_str("# DESCRIPTION: \n# DATA TYPE: soi\n# MODIFICATION TYPE: original\n")?;
    out.write_str("# RELATES TO: \n# RELATED FILES: \n# PUBLICATION DATE: \n# MODIFICATION DATE: \n")?;
    writeln!(out, "# NUMBER ALTERNATIVES: {}", profile.options.len())?;
    writeln!(out, "# NUMBER VOTERS: {voters}")?;
    writeln!(out, "# NUMBER UNIQUE ORDERS: {}", profile.numbered().count())?;
    for (number, (_, label)) in (1..).zip(profile.options) {
        write_value(out, format_args!("ALTERNATIVE NAME {number}"), label)?;
    }
    for (ballots, options) in profile.numbered() {
        write!(out, "{ballots}: ")?;
        for (place, option) in options.enumerate() {
            let separator = if place == 0 { "" } else { "," };
            write!(out, "{separator}{option}")?;
        }
        out.write_char('\n')?;
    }
    Ok(())
}

fn write_value(out: &mut impl Write, name: fmt::Arguments<'_>, value: &str) -> fmt::Result {
    write!(out, "# {name}: ")?;
    on_one_line(value).try_for_each(|c| out.write_char(c))?;
    out.write_char('\n')
}

#[cfg(test)]
mod tests {
    use super::super::model::ranking;
    use super::*;
    use crate::ids::OptionId;

    #[test]
    fn header_counts_voters_and_orders_that_have_ballots() {
        let options = [(OptionId(7), "Anna"), (OptionId(3), r#"Otto "the # one", jr.: 1"#)];
        let rankings = [(ranking(&[3, 7]), 12), (ranking(&[7]), 0), (ranking(&[3]), 2)];
        let mut soi = String::new();
        let profile = Profile { title: "Best song?", options: &options, rankings: &rankings };
        write_soi(&mut soi, "best-song.soi", &profile).unwrap();
        let expected = r##"# FILE NAME: best-song.soi
# TITLE: Best song?
# DESCRIPTION: 
# DATA TYPE: soi
# MODIFICATION TYPE: original
# RELATES TO: 
# RELATED FILES: 
# PUBLICATION DATE: 
# MODIFICATION DATE: 
# NUMBER ALTERNATIVES: 2
# NUMBER VOTERS: 14
# NUMBER UNIQUE ORDERS: 2
# ALTERNATIVE NAME 1: Anna
# ALTERNATIVE NAME 2: Otto "the # one", jr.: 1
12: 2,1
2: 2
"##;
        assert_eq!(soi, expected);
    }
}
