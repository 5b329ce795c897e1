//! Where settings come from, and which wins: flags, then the environment, then `.env.$APP_ENV.local`,
//! `.env.$APP_ENV`, `.env.local`, `.env`. All of it is read into a map; the environment itself is never written.

use std::collections::HashMap;
use std::path::Path;

use super::SETTINGS;

/// The flag that gives a setting: `--database-url` for `DATABASE_URL`.
pub fn flag_of(setting: &str) -> String {
    format!("--{}", setting.to_lowercase().replace('_', "-"))
}

/// How many letters a name in a `.env` file may be from a setting's to be taken for a slip of the keyboard.
const SLIP_MAX: usize = 2;

/// The shortest setting that is looked for among slips: shorter names are too often those of something else.
const SLIP_LENGTH_MIN: usize = 6;

/// Values by name, and what is wrong with where they come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    found: HashMap<String, Found>,
    faults: Vec<String>,
}

/// A value, and where it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The value as text.
    pub value: String,
    /// Where it was found, in words.
    pub from: String,
}

impl Sources {
    /// What flags, environment and the `.env` files in `directory` say. A file that can't be read, or not all of it, is among
    /// the [`Self::faults`].
    pub fn read(
        flags: impl IntoIterator<Item = (&'static str, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
        directory: &Path,
    ) -> Self {
        let mut sources = Self::default();
        for (name, value) in flags {
            sources.add(name, value, &flag_of(name));
        }
        for (name, value) in environment {
            sources.add(&name, value, "the environment");
        }
        // The name of the two special files may itself come from one of the two general ones.
        let mut faults = Vec::new();
        let general = [".env.local", ".env"].map(|name| file(directory, name, &mut faults));
        let named = |values: &Vec<(String, String)>| {
            values.iter().find(|(name, _)| name == "APP_ENV").map(|(_, value)| value.clone())
        };
        let app_env = sources.get("APP_ENV").map(|found| found.value.clone());
        let app_env = app_env.or_else(|| general.iter().find_map(named)).unwrap_or_else(|| "dev".to_owned());
        for name in [format!(".env.{app_env}.local"), format!(".env.{app_env}")] {
            for (key, value) in file(directory, &name, &mut faults) {
                sources.add(&key, value, &name);
            }
        }
        for (name, values) in [".env.local", ".env"].into_iter().zip(general) {
            for (key, value) in values {
                sources.add(&key, value, name);
            }
        }
        sources.faults = faults;
        sources
    }

    /// Settings given in code.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let mut sources = Self::default();
        for (name, value) in pairs {
            sources.add(name, (*value).to_owned(), "code");
        }
        sources
    }

    /// What can't be read of them, or is surely not meant.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The value of `name` that wins.
    pub fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(name)
    }

    /// What was added first wins.
    fn add(&mut self, name: &str, value: String, from: &str) {
        self.found.entry(name.to_owned()).or_insert_with(|| Found { value, from: from.to_owned() });
    }
}

/// The lines of a `.env` file; none if there is no such file.
fn file(directory: &Path, name: &str, faults: &mut Vec<String>) -> Vec<(String, String)> {
    let path = directory.join(name);
    if !path.exists() {
        return Vec::new();
    }
    let mut values = Vec::new();
    let mut add = |line: Result<(String, String), dotenvy::Error>| match line {
        Ok((name, value)) => {
            if let Some(meant) = setting_meant(&name) {
                faults.push(format!("{}: {name} is no setting; {meant} is", path.display()));
            }
            values.push((name, value));
        }
        Err(error) => faults.push(format!("{}: {}", path.display(), unread(&path, &error))),
    };
    match dotenvy::from_path_iter(&path) {
        Ok(lines) => lines.for_each(add),
        Err(error) => add(Err(error)),
    }
    values
}

/// The setting that somebody meant who wrote `name`, if that is none.
fn setting_meant(name: &str) -> Option<&'static str> {
    let mut settings = SETTINGS.iter().map(|setting| setting.name);
    if settings.clone().any(|setting| setting == name) {
        return None;
    }
    settings.find(|setting| setting.len() >= SLIP_LENGTH_MIN && strsim::osa_distance(setting, name) <= SLIP_MAX)
}

/// Why a `.env` file can't be read. A line that isn't understood, in whole or in part, is told by its number: it may have a
/// password in it.
fn unread(path: &Path, error: &dotenvy::Error) -> String {
    let dotenvy::Error::LineParse(broken, _) = error else { return error.to_string() };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // Of a value that isn't understood the crate tells the value alone; of a quote that isn't closed, all that follows.
    let first = broken.trim().lines().next().unwrap_or_default();
    let is_it = |line: &str| !line.trim_start().starts_with('#') && line.trim_end().ends_with(first);
    let number = text.lines().position(is_it).map(|index| index + 1);
    let line = number.map_or_else(|| "a line".to_owned(), |number| format!("line {number}"));
    format!("{line} isn't NAME=value; put a value with spaces or # in quotes, and close them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_source_wins() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write(".env", "APP_ENV=prod\nA=env\nB=env\nC=env\nD=env\nE=env\nF=env\n");
        write(".env.local", "B=local\nC=local\nD=local\nE=local\nF=local\n");
        write(".env.prod", "C=prod\nD=prod\nE=prod\nF=prod\n");
        write(".env.prod.local", "D=prod-local\nE=prod-local\nF=prod-local\n");
        write(".env.dev", "F=never\n");
        let environment = [("E", "environment"), ("F", "environment")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let sources = Sources::read([("F", "flag".to_owned())], environment, directory.path());
        let values = ["A", "B", "C", "D", "E", "F"].map(|name| sources.get(name).unwrap().value.clone());
        assert_eq!(values, ["env", "local", "prod", "prod-local", "environment", "flag"]);
        assert_eq!(sources.get("F").unwrap().from, "--f");
    }

    #[test]
    fn a_broken_file_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        for text in [
            "LOG=info\n# APP_SECRET=hunter2 is no setting\nAPP_SECRET=hunter2 is no setting\nA=b\n",
            "LOG=info\n\nAPP_SECRET=it's hunter2\nA=b\n",
            "LOG=info\n\nhunter2\nA=b\n",
        ] {
            std::fs::write(directory.path().join(".env"), text).unwrap();
            let sources = Sources::read([], [], directory.path());
            let faults = sources.faults();
            assert!(faults[0].contains(".env: line 3 isn't NAME=value"), "{text}: {faults:?}");
            assert!(faults.iter().all(|fault| !fault.contains("hunter2")), "{faults:?}");
            assert_eq!(sources.get("LOG").unwrap().value, "info", "what can be read is");
        }
    }

    #[test]
    fn every_broken_line_is_told() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".env"), "one\nLOG=info\ntwo\nLISTEN=x\n").unwrap();
        let sources = Sources::read([], [], directory.path());
        let lines: Vec<_> =
            sources.faults().iter().map(|fault| fault.contains("line 1") || fault.contains("line 3")).collect();
        assert_eq!(lines, [true, true], "{:?}", sources.faults());
        assert_eq!(sources.get("LISTEN").unwrap().value, "x");
    }

    #[test]
    fn a_slip_in_a_settings_name_is_told() {
        for (name, meant) in [
            ("DATABSE_URL", Some("DATABASE_URL")),
            ("DATABASE_ULR", Some("DATABASE_URL")),
            ("LISTEM", Some("LISTEN")),
            ("DATABASE_URL", None),
            ("LOGS", None),
            ("MESSENGER_TRANSPORT_DSN", None),
        ] {
            assert_eq!(setting_meant(name), meant, "{name}");
        }
    }
}
