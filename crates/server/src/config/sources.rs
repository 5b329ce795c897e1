//! Sources of settings, in order of precedence: flags, the environment, `.env.$APP_ENV.local`, `.env.$APP_ENV`,
//! `.env.local`, `.env`. All of them are read into a map; the environment itself is never written.
//!
//! A secret may be in a file of its own, which `NAME_FILE` names in any of these sources.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use super::{SETTINGS, dotenv, text_file};

/// The flag of a setting: `--database-url` for `DATABASE_URL`.
pub fn flag_of(setting: &str) -> String {
    format!("--{}", setting.to_lowercase().replace('_', "-"))
}

/// Maximum edit distance from a setting's name at which a name counts as a misspelling of it.
const TYPO_DISTANCE_MAX: usize = 2;

/// Minimum length of settings that are checked for misspellings: shorter names are too often those of something else.
const TYPO_LENGTH_MIN: usize = 6;

/// Suffix of the name of a setting whose value is in a file.
const FILE_SUFFIX: &str = "_FILE";

/// Values by name, and the faults of their sources.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    found: HashMap<String, Found>,
    faults: Vec<String>,
    warnings: Vec<String>,
    /// The number of sources read so far, those with the highest precedence first.
    ranks: usize,
}

/// A value and its source.
#[derive(Clone, Debug)]
pub struct Found {
    /// The value as text, without blanks around it.
    pub value: String,
    /// Description of its source.
    pub from: String,
    /// The rank of the source; a lower rank takes precedence.
    rank: usize,
}

impl Sources {
    /// Reads flags, environment and the `.env` files in `directory`. A file that can't be read, completely or in part, is
    /// reported in [`Self::faults`].
    pub fn read(
        flags: impl IntoIterator<Item = (&'static str, String)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        directory: &Path,
    ) -> Self {
        let mut sources = Self::default();
        sources.ranks += 1;
        for (name, value) in flags {
            sources.add(name, &value, &flag_of(name));
        }
        sources.add_environment(environment);
        let environment: HashMap<String, String> =
            sources.found.iter().map(|(name, found)| (name.clone(), found.value.clone())).collect();
        // The name of the environment, in those of the two special files, may itself come from one of the two general ones.
        let mut faults = Vec::new();
        let mut read = |name: &str| file(directory, name, &environment, &mut faults);
        let general = [".env.local", ".env"].map(&mut read);
        let named = |values: &Vec<(String, String)>| {
            values.iter().find(|(name, _)| name == "APP_ENV").map(|(_, value)| value.clone())
        };
        let app_env = sources.get("APP_ENV").map(|found| found.value.clone()).filter(|value| !value.is_empty());
        let app_env = app_env.or_else(|| general.iter().find_map(named)).unwrap_or_else(|| "dev".to_owned());
        let special = [format!(".env.{app_env}.local"), format!(".env.{app_env}")];
        for name in special {
            // An invalid name of an environment is reported where it is parsed, and names no file.
            let values = if app_env.contains('/') { Vec::new() } else { read(&name) };
            sources.add_file(&name, values);
        }
        for (name, values) in [".env.local", ".env"].into_iter().zip(general) {
            sources.add_file(name, values);
        }
        sources.faults.extend(faults);
        sources.read_files();
        sources
    }

    /// Settings given in code.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let mut sources = Self::default();
        for (name, value) in pairs {
            sources.add(name, value, "code");
        }
        sources.read_files();
        sources
    }

    /// What can't be read, or is certainly a mistake.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// What may be a mistake.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The value of `name` with the highest precedence; it may be empty.
    pub fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(name)
    }

    fn add_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        self.ranks += 1;
        for (name, value) in environment {
            // A name that isn't UTF-8 isn't that of a setting.
            let Ok(name) = name.into_string() else { continue };
            if let Some(meant) = intended_setting(&name) {
                // It may be another program's, so it isn't a fault.
                self.warnings.push(format!("{name} in the environment is no setting; {meant} is"));
            }
            match value.into_string() {
                Ok(value) => self.add(&name, &value, "the environment"),
                Err(_) if is_setting(&name) => {
                    self.faults.push(format!("{name} (from the environment): it isn't UTF-8"))
                }
                Err(_) => {}
            }
        }
    }

    fn add_file(&mut self, file: &str, values: Vec<(String, String)>) {
        self.ranks += 1;
        for (name, value) in values {
            self.add(&name, &value, file);
        }
    }

    /// The value added first takes precedence.
    fn add(&mut self, name: &str, value: &str, from: &str) {
        let (value, from, rank) = (value.trim().to_owned(), from.to_owned(), self.ranks);
        self.found.entry(name.to_owned()).or_insert(Found { value, from, rank });
    }

    /// Reads values from the files that `NAME_FILE` names, unless a source of higher precedence has the value itself.
    fn read_files(&mut self) {
        for name in SETTINGS.iter().filter(|setting| setting.may_be_in_file).map(|setting| setting.name) {
            let name_of_file = format!("{name}{FILE_SUFFIX}");
            let Some(named) = self.found.get(&name_of_file).filter(|named| !named.value.is_empty()) else { continue };
            let direct = self.found.get(name).filter(|found| !found.value.is_empty());
            match direct.map(|found| found.rank.cmp(&named.rank)) {
                Some(std::cmp::Ordering::Less) => continue,
                Some(std::cmp::Ordering::Equal) => {
                    self.faults.push(format!("{name} and {name_of_file} (both from {}): give one of them", named.from));
                    continue;
                }
                Some(std::cmp::Ordering::Greater) | None => {}
            }
            let (path, rank) = (named.value.clone(), named.rank);
            let from = format!("{path}, by {name_of_file} from {}", named.from);
            let text = text_file::read(Path::new(&path)).and_then(|text| text.ok_or_else(|| "isn't there".to_owned()));
            match text.map(|text| text.trim().to_owned()) {
                Ok(value) if value.is_empty() => {
                    self.faults.push(format!("{name_of_file} (from {}): {path} is empty", named.from));
                }
                Ok(value) => drop(self.found.insert(name.to_owned(), Found { value, from, rank })),
                Err(fault) => self.faults.push(format!("{name_of_file} (from {}): {path} {fault}", named.from)),
            }
        }
    }
}

/// The lines of a `.env` file; none if there is no such file.
fn file(
    directory: &Path,
    name: &str,
    environment: &HashMap<String, String>,
    faults: &mut Vec<String>,
) -> Vec<(String, String)> {
    let path = directory.join(name);
    let shown = path.display();
    let text = match text_file::read(&path) {
        Ok(Some(text)) => text,
        Ok(None) => return Vec::new(),
        Err(fault) => {
            faults.push(format!("{shown} {fault}"));
            return Vec::new();
        }
    };
    let (lines, broken) = dotenv::parse(&text, |name| environment.get(name).cloned());
    faults.extend(broken.into_iter().map(|fault| format!("{shown}: {fault}")));
    let mut first: HashMap<&str, usize> = HashMap::new();
    for dotenv::Line { name, number, .. } in &lines {
        if let Some(meant) = intended_setting(name) {
            faults.push(format!("{shown}: {name} in line {number} is no setting; {meant} is"));
        }
        if let Some(before) = first.insert(name, *number).filter(|_| is_setting(name)) {
            faults.push(format!("{shown}: {name} is given twice, in lines {before} and {number}"));
        }
    }
    lines.into_iter().map(|dotenv::Line { name, value, .. }| (name, value)).collect()
}

/// The names of all settings, with and without the suffix.
fn names() -> impl Iterator<Item = String> {
    let in_files = SETTINGS.iter().filter(|setting| setting.may_be_in_file);
    let in_files = in_files.map(|setting| format!("{}{FILE_SUFFIX}", setting.name));
    SETTINGS.iter().map(|setting| setting.name.to_owned()).chain(in_files)
}

fn is_setting(name: &str) -> bool {
    names().any(|setting| setting == name)
}

/// The setting of which `name` is probably a misspelling, if it isn't a setting itself.
fn intended_setting(name: &str) -> Option<String> {
    if is_setting(name) {
        return None;
    }
    let is_near =
        |setting: &String| setting.len() >= TYPO_LENGTH_MIN && strsim::osa_distance(setting, name) <= TYPO_DISTANCE_MAX;
    names().find(is_near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_with_higher_precedence_wins() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write(".env", "APP_ENV=prod\nA=env\nB=env\nC=env\nD=env\nE=env\nF=env\n");
        write(".env.local", "B=local\nC=local\nD=local\nE=local\nF=local\n");
        write(".env.prod", "C=prod\nD=prod\nE=prod\nF=prod\n");
        write(".env.prod.local", "D=prod-local\nE=prod-local\nF=prod-local\n");
        write(".env.dev", "F=never\n");
        let environment = [("E", "environment"), ("F", "environment")].map(|(k, v)| (k.into(), v.into()));
        let sources = Sources::read([("F", "flag".to_owned())], environment, directory.path());
        let values = ["A", "B", "C", "D", "E", "F"].map(|name| sources.get(name).unwrap().value.clone());
        assert_eq!(values, ["env", "local", "prod", "prod-local", "environment", "flag"]);
        assert_eq!(sources.get("F").unwrap().from, "--f");
    }

    #[test]
    fn all_faults_of_a_file_are_reported_and_the_rest_is_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".env"), "one\nLOG=info\nDATABSE_URL=x\nLISTEN=x\nLISTEN=y\n").unwrap();
        std::fs::create_dir(directory.path().join(".env.local")).unwrap();
        let sources = Sources::read([], [], directory.path());
        for expected in [
            ".env.local is a directory; Docker",
            ".env: line 1 isn't NAME=value",
            ".env: DATABSE_URL in line 3 is no setting; DATABASE_URL is",
            ".env: LISTEN is given twice, in lines 4 and 5",
        ] {
            assert!(
                sources.faults().iter().any(|fault| fault.contains(expected)),
                "{expected}: {:?}",
                sources.faults()
            );
        }
        assert_eq!(sources.faults().len(), 4);
        assert_eq!(sources.get("LOG").unwrap().value, "info");
    }

    #[test]
    fn variables_of_other_programs_are_no_fault() {
        use std::os::unix::ffi::OsStringExt as _;
        let not_text = || OsString::from_vec(vec![0xff]);
        let environment = [("DATABSE_URL".into(), "x".into()), ("OTHERS".into(), not_text()), (not_text(), "x".into())];
        let directory = tempfile::tempdir().unwrap();
        let sources = Sources::read([], environment, directory.path());
        assert_eq!(sources.faults(), [""; 0]);
        assert_eq!(sources.warnings(), ["DATABSE_URL in the environment is no setting; DATABASE_URL is"]);
        let sources = Sources::read([], [("LISTEN".into(), not_text())], directory.path());
        assert_eq!(sources.faults(), ["LISTEN (from the environment): it isn't UTF-8"]);
    }

    #[test]
    fn secret_may_be_in_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let path = directory.path().join("secret");
        let path = path.to_str().unwrap();
        write("secret", "  in a file\n");
        let read = |environment: &[(&str, &str)]| {
            let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
            Sources::read([], environment, directory.path())
        };
        write(".env", "APP_SECRET='in .env'\n");
        let sources = read(&[("APP_SECRET_FILE", path)]);
        assert_eq!(sources.faults(), [""; 0]);
        let found = sources.get("APP_SECRET").unwrap();
        assert_eq!(found.value, "in a file");
        assert_eq!(found.from, format!("{path}, by APP_SECRET_FILE from the environment"));
        let sources = read(&[("APP_SECRET_FILE", path), ("APP_SECRET", "itself")]);
        assert!(sources.faults()[0].contains("APP_SECRET and APP_SECRET_FILE (both from the environment)"));
        write(".env", &format!("APP_SECRET_FILE={path}\n"));
        assert_eq!(read(&[("APP_SECRET", "itself")]).get("APP_SECRET").unwrap().value, "itself");
        for (text, expected) in [("", "is empty"), (" \n", "is empty")] {
            write("secret", text);
            assert!(read(&[]).faults()[0].contains(expected), "{text:?}");
        }
        std::fs::remove_file(path).unwrap();
        assert!(read(&[]).faults()[0].contains("isn't there"));
    }

    #[test]
    fn misspelled_setting_is_recognized() {
        for (name, meant) in [
            ("DATABSE_URL", Some("DATABASE_URL")),
            ("DATABASE_ULR", Some("DATABASE_URL")),
            ("LISTEM", Some("LISTEN")),
            ("DATABASE_URL", None),
            ("DATABASE_URL_FIEL", Some("DATABASE_URL_FILE")),
            ("DATABASE_URL_FILE", None),
            ("LOGS", None),
            ("MESSENGER_TRANSPORT_DSN", None),
        ] {
            assert_eq!(intended_setting(name).as_deref(), meant, "{name}");
        }
    }
}
