//! Small trees of modules, with the faults that must be found in them.

use std::collections::BTreeMap;

use crate::tree::Tree;
use crate::{circles, layers};

fn tree(files: &[(&str, &str)]) -> Tree {
    let texts: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Tree::parse("src", "lib.rs", &texts)
}

fn layer_faults(files: &[(&str, &str)]) -> Vec<String> {
    layers::faults(&tree(files), &["upper", "lower"])
}

const LIB: (&str, &str) = ("lib.rs", "mod upper; mod lower;");
const UPPER: (&str, &str) = ("upper.rs", "pub struct Upper; pub fn start() {}");

#[test]
fn use_of_an_upper_module_is_reported() {
    let one = ["src/lower.rs:2: crate::upper::Upper: `lower` is below `upper` and must not use it"];
    assert_eq!(layer_faults(&[LIB, UPPER, ("lower.rs", "\nuse crate::upper::Upper;")]), one);
    for lower in [
        "use super::upper::Upper as Other;",
        "use crate::{upper};",
        "use crate::upper::*;",
        "pub use crate::upper::Upper;",
        "fn f() { crate::upper::start(); }",
        "fn f() { use super::upper::start; }",
        "fn f(_: super::upper::Upper) {}",
        "mod deep { fn f() { super::super::upper::start(); } }",
        "fn f() { tokio::select! { _ = async { crate::upper::start() } => {} } }",
        "fn f() { format!(\"{}\", super::upper::start()); }",
        "#[serde(default = crate::upper::start)] struct S;",
    ] {
        assert_eq!(layer_faults(&[LIB, UPPER, ("lower.rs", lower)]).len(), 1, "{lower}");
    }
}

#[test]
fn use_of_an_upper_module_through_the_root_is_reported() {
    let lib = ("lib.rs", "mod upper; mod lower; pub use upper::Upper;");
    assert_eq!(layer_faults(&[lib, UPPER, ("lower.rs", "use crate::Upper;")]).len(), 1);
}

#[test]
fn allowed_uses_are_not_reported() {
    for lower in [
        "#[cfg(test)] mod tests { use crate::upper::Upper; }",
        "#[cfg(test)] mod only_in_tests;",
        "#[cfg(all(test, unix))] use crate::upper::Upper;",
        "use upper::Upper;",
        "use other::crate_name::upper;",
        "pub(in crate::lower) struct S;",
        "/// crate::upper::Upper\nstruct S;",
        "const S: &str = \"crate::upper::Upper\";",
    ] {
        assert!(layer_faults(&[LIB, UPPER, ("lower.rs", lower)]).is_empty(), "{lower}");
    }
    assert!(layer_faults(&[LIB, ("upper.rs", "use crate::lower;"), ("lower.rs", "")]).is_empty());
}

#[test]
fn module_without_a_place_in_the_order_is_reported() {
    let faults = layer_faults(&[("lib.rs", "mod upper; mod new;"), UPPER, ("new.rs", "")]);
    assert_eq!(faults, ["`new` has no place in the order of modules: add it to the list"]);
}

#[test]
fn circle_of_files_is_described() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B;\npub struct A;"),
        ("b.rs", "pub struct B;\nfn f() { super::a::A; }"),
        ("c.rs", "use crate::a::A;"),
    ];
    assert_eq!(
        circles::find(&tree(&files)),
        ["2 files:\n  src/a.rs -> src/b.rs: B (line 1)\n  src/b.rs -> src/a.rs: A (line 2)"]
    );
}

#[test]
fn circle_through_re_exports_is_found() {
    for (lib, c) in [
        ("mod a; mod b; mod c;", "pub use crate::b::B;"),
        ("mod a; mod b; mod c;", "pub use crate::b::Hidden as B;"),
        ("mod a; mod b; mod c;", "pub use crate::b::*;"),
        ("mod a; mod b; mod c { pub use super::b as d; pub use self::d::B; }", ""),
    ] {
        let files = [
            ("lib.rs", lib),
            ("a.rs", "use crate::c::B; pub struct A;"),
            ("b.rs", "use crate::a::A; pub struct B; pub struct Hidden;"),
            ("c.rs", c),
        ];
        let circles = circles::find(&tree(&files));
        assert_eq!(circles.len(), 1, "{c}");
        assert!(circles[0].starts_with("2 files") && !circles[0].contains("c.rs"), "{}", circles[0]);
    }
}

#[test]
fn circle_through_an_imported_module_or_a_macro_is_found() {
    for a in [
        "use crate::b; fn f() { b::call(); } pub struct A;",
        "use crate::b; fn f() { print!(\"{}\", b::call()); } pub struct A;",
        "fn f() { print!(\"{}\", crate::b::call()); } pub struct A;",
        "use super::b::*; fn f() { call(); } pub struct A;",
    ] {
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "use crate::a::A; pub fn call() {}")];
        assert_eq!(circles::find(&tree(&files)).len(), 1, "{a}");
    }
}

#[test]
fn parent_is_in_a_circle_only_if_its_own_code_uses_the_child() {
    let with_parent = |parent: &str| {
        let files = [("lib.rs", "mod p;"), ("p/mod.rs", parent), ("p/child.rs", "use super::Y; pub struct X;")];
        circles::find(&tree(&files)).len()
    };
    assert_eq!(with_parent("mod child; pub use self::child::X; pub struct Y;"), 0);
    assert_eq!(with_parent("mod child; use self::child::X; pub struct Y(X);"), 1);
    assert_eq!(with_parent("mod child; pub use self::child::X; pub struct Y(X);"), 1);
    assert_eq!(with_parent("mod child; pub struct Y; fn f() -> child::X { todo!() }"), 1);
    assert_eq!(with_parent("mod child; #[cfg(test)] mod tests { use super::child::X; } pub struct Y;"), 0);
}

#[test]
fn module_and_function_of_one_name_are_told_apart() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::text; fn f() { text(); text::other(); } pub struct A;"),
        ("b/mod.rs", "mod text; pub fn text() {}"),
        ("b/text.rs", "use crate::a::A; pub fn other() {}"),
    ];
    let circles = circles::find(&tree(&files));
    assert!(circles.len() == 1 && circles[0].contains("src/a.rs -> src/b/text.rs: other (line 1)"), "{circles:?}");
}
