//! The order of a crate's top-level modules.

use std::collections::BTreeSet;

use crate::names::Target;
use crate::tree::{Meaning, Reference, Tree};

/// The uses of a module by one below it, and the modules that have no place in `layers`, the list from top to bottom.
pub fn faults(tree: &Tree, layers: &[&str]) -> Vec<String> {
    let place = |module: &str| layers.iter().position(|layer| *layer == module);
    let is_module = |meaning: &Meaning| matches!(meaning, Meaning::Module(_));
    let declared = tree.modules[0].names.iter().filter(|(_, meanings)| meanings.iter().any(is_module));
    let mut faults: BTreeSet<String> = declared
        .filter(|(name, _)| place(name).is_none())
        .map(|(name, _)| format!("`{name}` has no place in the order of modules: add it to the list"))
        .collect();
    for reference in &tree.references {
        let from = &tree.modules[reference.module];
        let (Some(user), Some(used)) = (from.path.first(), top_level(tree, reference)) else { continue };
        let is_above = matches!((place(user), place(used)), (Some(user), Some(used)) if used < user);
        if is_above {
            let Reference { line, path, .. } = reference;
            faults.insert(format!(
                "{}:{line}: {}: `{user}` is below `{used}` and must not use it",
                from.file,
                path.join("::")
            ));
        }
    }
    faults.into_iter().collect()
}

/// The top-level module that a path names, or that defines what it names in the root.
fn top_level<'a>(tree: &'a Tree, reference: &Reference) -> Option<&'a String> {
    let Reference { module, path, .. } = reference;
    let leading = path.iter().take_while(|name| matches!(name.as_str(), "crate" | "self" | "super")).count();
    // Other paths begin with an imported name, and the import is a path too.
    if leading == 0 {
        return None;
    }
    ((leading + 1).min(path.len())..=path.len()).find_map(|length| match tree.resolve(*module, &path[..length])? {
        Target::Module(named) | Target::ItemOf(named) => tree.modules[named].path.first(),
    })
}
