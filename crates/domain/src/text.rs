//! Texts that operators write for voters: which characters they may contain, and when two of them look the same.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};

/// Characters that are invisible by themselves but that texts need: the joiners of emoji, Persian and the scripts of
/// India; the variation selectors of emoji, and the tags that the flags of England, Scotland and Wales consist of.
const NEEDED: [std::ops::RangeInclusive<char>; 3] =
    ['\u{200C}'..='\u{200D}', '\u{FE00}'..='\u{FE0F}', '\u{E0020}'..='\u{E007F}'];

/// Looks like a space, but isn't white space in Unicode.
const BLANK_BRAILLE: char = '\u{2800}';

const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();
const BIDI_CONTROL: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<BidiControl>();

/// The first character of `text` that is invisible, or that changes the direction of the text around it: such a character makes
/// a text look like another one, or empty. (Letters that are written from right to left aren't among them.)
pub fn first_hidden(text: &str) -> Option<char> {
    let needed = |c: &char| NEEDED.iter().any(|range| range.contains(c));
    let control = |c: char| c.is_control() && c != '\n';
    text.chars().find(|c| control(*c) || (IGNORABLE.contains(*c) && !needed(c)) || BIDI_CONTROL.contains(*c))
}

/// Whether `text` has a visible character.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !c.is_control() && !IGNORABLE.contains(c) && c != BLANK_BRAILLE)
}

/// What `text` looks like: two texts with the same appearance can't be distinguished. Canonical composition (Unicode's
/// NFC) without invisible characters, with one space for each run of white space.
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
    fn texts_of_all_scripts_have_no_hidden_characters() {
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
