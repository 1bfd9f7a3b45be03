//! No circles of modules: what a file uses must not use that file again, over however many others.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, read};

/// Files that a circle may have at most.
const CIRCLE_MAX: usize = 3;

/// Crates that still have a larger one. The number may only fall.
const LARGER: &[(&str, usize)] = &[("crates/atena-cli/src", 21)];

/// A module's path in its crate, such as `["log", "head"]`.
type Module = Vec<String>;

/// The modules that each module names.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// The code of a file without comments and without its unit tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Each path that begins with `crate::` or `super::`, with every branch of braces written out.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':') {
                branches("", &code[at..], &mut paths);
            }
        }
    }
    paths
}

/// Writes out what stands at the beginning of `text`, each branch with what stands before the brace.
fn branches(prefix: &str, text: &str, paths: &mut Vec<String>) {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let end = text.find(|letter| !is_path(letter)).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    if !path.ends_with("::") || !text[end..].starts_with('{') {
        paths.push(path);
        return;
    }
    let (mut depth, mut from) = (0, end + 1);
    for (at, letter) in text[end..].char_indices() {
        let at = end + at;
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (letter == ',' && depth == 1) || (letter == '}' && depth == 0) {
            branches(&path, text[from..at].trim_start(), paths);
            from = at + 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// The module that a path written in `module` leads to: the longest beginning of it that is one.
fn target(path: &str, module: &Module, known: &BTreeMap<Module, String>) -> Option<Module> {
    let mut names: Module = if path.starts_with("crate::") { Vec::new() } else { module.clone() };
    for name in path.split("::").filter(|name| !name.is_empty()) {
        match name {
            "crate" | "self" => {}
            "super" => drop(names.pop()),
            name => names.push(name.to_owned()),
        }
    }
    while !names.is_empty() && !known.contains_key(&names) {
        names.pop();
    }
    (names != *module && !names.is_empty()).then_some(names)
}

/// The modules of a crate, each with those that it uses.
fn uses(folder: &str) -> Uses {
    let mut known = BTreeMap::new();
    for file in files(folder, ".rs") {
        let inside = file[folder.len() + 1..].trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Module = inside.split('/').map(str::to_owned).collect();
        let is_root = module.len() == 1 && ["lib", "main"].contains(&module[0].as_str());
        if !is_root && module.last().is_none_or(|name| name != "tests") {
            known.insert(module, code(&read(&file)));
        }
    }
    let of = |module: &Module, code: &str| paths(code).iter().filter_map(|path| target(path, module, &known)).collect();
    known.iter().map(|(module, code)| (module.clone(), of(module, code))).collect()
}

/// The largest circle: modules each of which reaches all the others.
fn largest_circle(uses: &Uses) -> Vec<Module> {
    let reached = |from: &Module| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(next) = left.pop() {
            left.extend(uses.get(next).into_iter().flatten().filter(|&next| seen.insert(next.clone())));
        }
        seen
    };
    let reached: BTreeMap<_, _> = uses.keys().map(|module| (module, reached(module))).collect();
    let circle = |of: &Module| -> Vec<Module> {
        reached[of].iter().filter(|other| reached.get(other).is_some_and(|back| back.contains(of))).cloned().collect()
    };
    uses.keys().map(circle).max_by_key(Vec::len).unwrap_or_default()
}

/// What top-level modules use of each other.
fn top_level(uses: &Uses) -> Uses {
    let mut top = Uses::new();
    for (module, used) in uses {
        let used = used.iter().filter(|used| used[0] != module[0]).map(|used| vec![used[0].clone()]);
        top.entry(vec![module[0].clone()]).or_default().extend(used);
    }
    top
}

#[test]
fn modules_form_no_circles() {
    for folder in std::fs::read_dir(crate::root().join("crates")).unwrap() {
        let folder = format!("crates/{}/src", folder.unwrap().file_name().to_str().unwrap());
        let uses = uses(&folder);
        let larger = LARGER.iter().find(|(name, _)| *name == folder).map(|(_, size)| *size);
        let circle = largest_circle(&uses);
        assert!(circle.len() <= larger.unwrap_or(CIRCLE_MAX), "{folder}: {circle:?}");
        let circle = largest_circle(&top_level(&uses));
        assert!(circle.len() <= larger.unwrap_or(CIRCLE_MAX), "{folder}, top level: {circle:?}");
    }
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let mut uses: Uses = BTreeMap::new();
    for (from, to) in arrows {
        uses.entry(module(from)).or_default().insert(module(to));
    }
    assert_eq!(largest_circle(&uses), ["a", "b", "c"].map(module));
    let found = paths("use crate::a::{self, b::{C, D}, e};\nlet x = super::f(crate::g::H);");
    assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::D", "crate::a::e", "crate::g::H", "super::f"]);
}
