//! Enumerations whose values are words: in JSON, in SQL and on the command line.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, as it is written in JSON, in SQL and on the command line.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The value as it is written in JSON, in SQL and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownValue;

            fn from_str(word: &str) -> Result<Self, $crate::words::UnknownValue> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::words::UnknownValue { word: word.to_owned(), known: Self::WORDS }),
                }
            }
        }
    };
}

pub(crate) use words;

/// A word that isn't one of a field's values.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` isn't one of {}", known.join(", "))]
pub struct UnknownValue {
    pub(crate) word: String,
    pub(crate) known: &'static [&'static str],
}
