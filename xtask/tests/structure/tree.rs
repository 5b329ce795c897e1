//! The modules of a crate: where each is, which names it has, and which paths its code contains.
#![expect(clippy::wildcard_enum_match_arm, reason = "syn has items that define no name, and may get more")]

use std::collections::{BTreeMap, HashMap};

use syn::visit::Visit as _;
use syn::{Attribute, Item, ItemMacro, ItemMod, Meta, UseTree, Visibility};

use crate::paths::Paths;

/// The modules of one crate; the first is its root.
pub struct Tree {
    pub modules: Vec<Module>,
    pub references: Vec<Reference>,
}

pub struct Module {
    /// Its names from the root's, which isn't part of them.
    pub path: Vec<String>,
    /// Its file, as shown in messages.
    pub file: String,
    pub parent: Option<usize>,
    /// A name may have one meaning as a module, and others as a type, a value or a macro.
    pub names: HashMap<String, Vec<Meaning>>,
    /// The modules from which it imports every name.
    pub globs: Vec<Vec<String>>,
}

pub enum Meaning {
    /// Defined in this module.
    Item,
    Module(usize),
    /// Imported from this path.
    Import(Vec<String>),
}

/// A path in the sources.
pub struct Reference {
    pub module: usize,
    pub line: usize,
    pub path: Vec<String>,
    /// Whether it only gives a name to other modules.
    pub is_reexport: bool,
}

impl Tree {
    /// Parses the files that `root` declares, without those for tests; `texts` are all files by their path below `directory`.
    pub fn parse(directory: &str, root: &str, texts: &BTreeMap<String, String>) -> Self {
        let mut tree = Self { modules: Vec::new(), references: Vec::new() };
        let module = tree.add(Vec::new(), format!("{directory}/{root}"), None);
        let mut files = vec![(module, root.to_owned())];
        while let Some((module, file)) = files.pop() {
            let parsed = syn::parse_file(&texts[&file]);
            let parsed = parsed.unwrap_or_else(|error| panic!("{directory}/{file} can't be parsed: {error}"));
            for (module, stem) in tree.add_items(module, &parsed.items) {
                let found =
                    [format!("{stem}.rs"), format!("{stem}/mod.rs")].into_iter().find(|file| texts.contains_key(file));
                let found =
                    found.unwrap_or_else(|| panic!("{directory}/{file} declares a module without a file: {stem}"));
                tree.modules[module].file = format!("{directory}/{found}");
                files.push((module, found));
            }
        }
        tree
    }

    fn add(&mut self, path: Vec<String>, file: String, parent: Option<usize>) -> usize {
        self.modules.push(Module { path, file, parent, names: HashMap::new(), globs: Vec::new() });
        self.modules.len() - 1
    }

    fn name(&mut self, module: usize, name: impl ToString, meaning: Meaning) {
        self.modules[module].names.entry(name.to_string()).or_default().push(meaning);
    }

    /// Adds the items of a module; returns the modules below it that are in files of their own, with the path of that file
    /// without its ending.
    fn add_items(&mut self, module: usize, items: &[Item]) -> Vec<(usize, String)> {
        let mut in_files = Vec::new();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(item) => in_files.extend(self.add_module(module, item)),
                Item::Macro(ItemMacro { ident: Some(ident), attrs, .. }) => {
                    self.name(module, ident, Meaning::Item);
                    if attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) && module != 0 {
                        let path =
                            [&["crate".to_owned()], &self.modules[module].path[..], &[ident.to_string()]].concat();
                        self.name(0, ident, Meaning::Import(path));
                    }
                }
                item => {
                    if let Some(ident) = defined(item) {
                        self.name(module, ident, Meaning::Item);
                    }
                }
            }
            if !matches!(item, Item::Mod(_)) {
                let mut paths = Paths::default();
                paths.visit_item(item);
                self.add_paths(module, paths);
            }
        }
        in_files
    }

    fn add_module(&mut self, parent: usize, item: &ItemMod) -> Vec<(usize, String)> {
        assert!(!item.attrs.iter().any(|attribute| attribute.path().is_ident("path")), "#[path] isn't supported");
        let path = [&self.modules[parent].path[..], &[item.ident.to_string()]].concat();
        let module = self.add(path, self.modules[parent].file.clone(), Some(parent));
        self.name(parent, &item.ident, Meaning::Module(module));
        match &item.content {
            Some((_, items)) => self.add_items(module, items),
            None => vec![(module, self.modules[module].path.join("/"))],
        }
    }

    fn add_paths(&mut self, module: usize, paths: Paths) {
        for (line, path) in paths.found {
            self.references.push(Reference { module, line, path, is_reexport: false });
        }
        for item in paths.imports {
            let is_reexport = !matches!(item.vis, Visibility::Inherited);
            self.add_imports(module, &item.tree, &[], is_reexport);
        }
    }

    fn add_imports(&mut self, module: usize, tree: &UseTree, before: &[String], is_reexport: bool) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        let mut import = |ident: &syn::Ident, name: &syn::Ident| {
            // `self` in braces is what stands before them.
            let path = if ident == "self" && !before.is_empty() { before.to_vec() } else { with(ident) };
            let name = if name == "self" { path[path.len() - 1].clone() } else { name.to_string() };
            let line = ident.span().start().line;
            self.name(module, name, Meaning::Import(path.clone()));
            self.references.push(Reference { module, line, path, is_reexport });
        };
        match tree {
            UseTree::Path(tree) => self.add_imports(module, &tree.tree, &with(&tree.ident), is_reexport),
            UseTree::Group(tree) => {
                tree.items.iter().for_each(|tree| self.add_imports(module, tree, before, is_reexport));
            }
            UseTree::Name(tree) => import(&tree.ident, &tree.ident),
            UseTree::Rename(tree) => import(&tree.ident, &tree.rename),
            UseTree::Glob(tree) => {
                let line = tree.star_token.spans[0].start().line;
                self.modules[module].globs.push(before.to_vec());
                self.references.push(Reference { module, line, path: before.to_vec(), is_reexport });
            }
        }
    }
}

/// The name that an item defines in its module.
fn defined(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether these attributes restrict an item to tests.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| requires_test(&meta))
    })
}

fn requires_test(meta: &Meta) -> bool {
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(requires_test)),
        Meta::List(_) | Meta::NameValue(_) => false,
    }
}
