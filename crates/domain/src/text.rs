//! Texts that voters read, from people who run polls: what they may hold, and when two of them look the same.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};

/// Characters that show nothing by themselves and that texts need all the same: the joiners of emoji, Persian and the
/// scripts of India; the selector of emoji, and the tags of which the flags of England, Scotland and Wales are made.
const NEEDED: [std::ops::RangeInclusive<char>; 3] =
    ['\u{200C}'..='\u{200D}', '\u{FE00}'..='\u{FE0F}', '\u{E0020}'..='\u{E007F}'];

/// Looks like a space, and Unicode doesn't call it one.
const BLANK_BRAILLE: char = '\u{2800}';

const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();
const DIRECTING: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<BidiControl>();

/// The first character of `text` that can't be seen, or that turns the direction of what stands around it: with such a one a
/// text reads as another, or as nothing. (Letters that are written from right to left are none of these.)
pub fn first_hidden(text: &str) -> Option<char> {
    let needed = |c: &char| NEEDED.iter().any(|range| range.contains(c));
    let control = |c: char| c.is_control() && c != '\n';
    text.chars().find(|c| control(*c) || (IGNORABLE.contains(*c) && !needed(c)) || DIRECTING.contains(*c))
}

/// Whether there is anything in `text` to be seen.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !c.is_control() && !IGNORABLE.contains(c) && c != BLANK_BRAILLE)
}

/// What `text` looks like: two texts with the same appearance can't be told apart. Canonical composition (Unicode's NFC)
/// without what shows nothing, with one space wherever there are several.
pub fn appearance(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !IGNORABLE.contains(*c)).collect();
    let words: Vec<&str> = shown.split_whitespace().collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&words.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_found() {
        for hidden in ["\u{200B}", "\u{202E}", "\u{2066}", "\u{FEFF}", "\u{AD}", "\u{3164}", "\u{200F}", "\u{7}"] {
            assert_eq!(first_hidden(&format!("ab{hidden}c")), hidden.chars().next(), "{hidden:?}");
        }
    }

    #[test]
    fn texts_of_all_scripts_hide_nothing() {
        for text in [
            "Zoë",
            "שלום",
            "مرحبا",
            "می\u{200C}خواهم",
            "👩\u{200D}🚀",
            "❤\u{FE0F}",
            "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
            "日本",
        ] {
            assert_eq!(first_hidden(text), None, "{text}");
            assert!(is_visible(text), "{text}");
        }
    }

    #[test]
    fn blank_texts_are_not_visible() {
        for text in ["", " ", "\u{A0}\u{3000}", "\u{2800}", "\u{200D}\u{FE0F}"] {
            assert!(!is_visible(text), "{text:?}");
        }
    }

    #[test]
    fn texts_that_look_the_same_have_one_appearance() {
        for (one, other) in [
            ("Café au lait", "Cafe\u{301} au lait"),
            ("New York", " New \u{A0} York "),
            ("Yes", "Y\u{200D}es"),
            ("❤", "❤\u{FE0F}"),
        ] {
            assert_eq!(appearance(one), appearance(other), "{one:?}, {other:?}");
        }
        assert_ne!(appearance("Yes"), appearance("yes"));
        assert_ne!(appearance("Resume"), appearance("Résumé"));
    }
}
