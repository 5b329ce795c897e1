//! Resolves a path to what it names.

use crate::tree::{Meaning, Tree};

/// Re-exports of re-exports: more than any path has.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Module(usize),
    /// Something that this module defines.
    ItemOf(usize),
}

impl Tree {
    /// What `path` names in `module`; `None` if that isn't in this crate.
    pub fn resolve(&self, module: usize, path: &[String]) -> Option<Target> {
        self.follow(module, path, true, 0)
    }

    /// `is_last`: whether no more names follow after `path`.
    fn follow(&self, module: usize, path: &[String], is_last: bool, depth: usize) -> Option<Target> {
        let (first, mut rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(module),
            "super" => Target::Module(self.modules[module].parent?),
            name => self.lookup(module, name, rest.is_empty() && is_last, depth)?,
        };
        // What follows an item is part of it: a variant, or an associated function.
        while let (Target::Module(at), Some((name, next))) = (target, rest.split_first()) {
            target = match name.as_str() {
                "super" => Target::Module(self.modules[at].parent?),
                name => self.lookup(at, name, next.is_empty() && is_last, depth)?,
            };
            rest = next;
        }
        Some(target)
    }

    /// What `name` means in `module`: before `::` preferably a module, and otherwise preferably an item.
    fn lookup(&self, module: usize, name: &str, is_last: bool, depth: usize) -> Option<Target> {
        if depth > DEPTH_MAX {
            return None;
        }
        let meanings = self.modules[module].names.get(name).into_iter().flatten().filter_map(|meaning| match meaning {
            Meaning::Item => Some(Target::ItemOf(module)),
            Meaning::Module(below) => Some(Target::Module(*below)),
            Meaning::Import(path) => self.follow(module, path, is_last, depth + 1),
        });
        let found = preferred(meanings, is_last);
        found.or_else(|| {
            let globs = self.modules[module].globs.iter().filter_map(|glob| {
                match self.follow(module, glob, false, depth + 1)? {
                    Target::Module(all_of) if all_of != module => self.lookup(all_of, name, is_last, depth + 1),
                    Target::Module(_) | Target::ItemOf(_) => None,
                }
            });
            preferred(globs, is_last)
        })
    }
}

fn preferred(targets: impl Iterator<Item = Target>, is_last: bool) -> Option<Target> {
    let targets: Vec<Target> = targets.collect();
    let is_preferred = |target: &&Target| matches!(target, Target::ItemOf(_)) == is_last;
    targets.iter().find(is_preferred).or(targets.first()).copied()
}
