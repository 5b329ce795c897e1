//! Circles of files that use each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::Target;
use crate::tree::Tree;

/// From a file to another one, with the names that it takes from it and the line in which it first does.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeMap<&'a str, usize>>>;

/// A description of each circle. A file uses another one if its code names what the other defines. Declaring a module,
/// importing it and exporting a name again are no uses.
pub fn find(tree: &Tree) -> Vec<String> {
    let arrows = arrows(tree);
    let reachable: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|file| (*file, reachable(&arrows, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, from_it) in &reachable {
        let back = |other: &&&str| reachable.get(**other).is_some_and(|from_other| from_other.contains(file));
        let circle: Vec<&str> = from_it.iter().filter(back).copied().collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.iter().map(|circle| describe(circle, &arrows)).collect()
}

fn arrows(tree: &Tree) -> Arrows<'_> {
    let mut arrows = Arrows::new();
    for reference in tree.references.iter().filter(|reference| !reference.is_reexport) {
        let Some(Target::ItemOf(defined_in)) = tree.resolve(reference.module, &reference.path) else { continue };
        let (from, to) = (tree.modules[reference.module].file.as_str(), tree.modules[defined_in].file.as_str());
        if from != to {
            let names = arrows.entry(from).or_default().entry(to).or_default();
            if let Some(name) = reference.path.last() {
                let line = names.entry(name.as_str()).or_insert(reference.line);
                *line = reference.line.min(*line);
            }
        }
    }
    arrows
}

/// All files that `file` uses, directly or through others.
fn reachable<'a>(arrows: &Arrows<'a>, file: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
    while let Some(from) = next.pop() {
        next.extend(arrows.get(from).into_iter().flatten().map(|(to, _)| *to).filter(|to| reached.insert(*to)));
    }
    reached
}

fn describe(circle: &[&str], arrows: &Arrows<'_>) -> String {
    let mut lines = Vec::new();
    for from in circle {
        for (to, names) in arrows.get(from).into_iter().flatten().filter(|(to, _)| circle.contains(to)) {
            let names: Vec<String> = names.iter().map(|(name, line)| format!("{name} (line {line})")).collect();
            lines.push(format!("  {from} -> {to}: {}", names.join(", ")));
        }
    }
    format!("{} files:\n{}", circle.len(), lines.join("\n"))
}
