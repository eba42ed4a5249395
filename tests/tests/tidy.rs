//! The rules of the house that no compiler checks, read from the sources themselves.
//!
//! Each test lists every place that breaks its rule, as `file:line: what`. `manifests` and `source` read; this file judges.

#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/source.rs"]
mod source;

use manifests::{MANIFESTS, dependencies, features, licence};
use source::{SOURCES, Source, attributes, code_of, functions, line_of, words};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// What somebody reads at once, without its tests.
const EXAMPLE_LINES_MAX: usize = 150;
const WORKED_EXAMPLES: [&str; 9] = [
    "auto-reply",
    "business-hours",
    "cloudevents",
    "menu",
    "quiet-hours",
    "recipients",
    "round-robin",
    "shop-order",
    "slack",
];
/// How far above a line its `#[expect]` may stand.
const EXPECT_LINES_ABOVE: usize = 4;

/// Heavy libraries, and the rooms that alone may name them.
const ROOMS: &[(&[&str], &[&str])] = &[
    (&["redb"], &["host/core/src/storage"]),
    (&["wasmtime", "wasmtime_wasi"], &["host/runtime"]),
    (
        &["whatsapp_rust", "wacore"],
        &["host/server/src/whatsapp", "tests/src/raw_client", "tests/tests/network", "tests/benches/sends"],
    ),
    (
        &["wacore_appstate", "wacore_binary", "wacore_libsignal", "wacore_noise", "waproto"],
        &["host/server/src/whatsapp", "host/simnet"],
    ),
    (&["http_body_util", "hyper", "hyper_util"], &["host/server/src/http", "host/simnet", "tests/benches"]),
    (&["image"], &["host/media"]),
    (&["reqwest"], &["host/server/src/egress", "host/server/src/webhook"]),
];

/// Which of our crates a crate may depend on, and build with.
const EDGES: &[(&str, &[&str], &[&str])] = &[
    ("guest-sdk", &[], &[]),
    ("host/confine", &[], &[]),
    ("host/core", &[], &[]),
    ("host/guest-build", &[], &[]),
    ("host/media", &["switchboard-confine"], &[]),
    ("host/runtime", &["switchboard-confine", "switchboard-core"], &[]),
    (
        "host/server",
        &["switchboard-core", "switchboard-ids", "switchboard-media", "switchboard-runtime", "switchboard-simnet"],
        &["switchboard-guest-build"],
    ),
    ("host/simnet", &[], &[]),
];

/// The feature of the client library that lets it trust the simulated network.
const SKIP_CERTIFICATE: &str = "danger-skip-cert-chain-verify";

/// What stops the process or grows without limit. A literal reads as spaces, and `expect` with one is the library's.
const FORBIDDEN_IN_PRODUCT: [&str; 5] = [".unwrap()", ".expect( ", "panic!", "unbounded_channel", "unbounded()"];

/// The one file whose lints depend on the target it is compiled for, so that an expectation cannot hold on both.
const ALLOW_IS_ALLOWED: &str = "guest-sdk/src/bindings.rs";

fn verdict(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

fn rust_sources() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|source| source.is_rust())
}

#[test]
fn the_walk_finds_the_project() {
    for path in ["Cargo.toml", "host/core/src/lib.rs", "tests/tests/tidy.rs", "tests/tests/tidy/source.rs"] {
        assert!(SOURCES.iter().any(|source| source.path == path), "{path} was not found");
    }
}

#[test]
fn heavy_libraries_stay_in_their_rooms() {
    let mut findings = Vec::new();
    for (libraries, places) in ROOMS {
        for source in rust_sources().filter(|source| !places.iter().any(|place| source.is_in(place))) {
            for (line, code) in (1..).zip(source.code.lines()) {
                for library in libraries.iter().filter(|library| names_library(code, library)) {
                    findings.push(format!("{}:{line}: {library} belongs to {}", source.path, places.join(", ")));
                }
            }
        }
    }
    verdict("one room names each heavy library", &findings);
}

/// Whether the line imports from the library or names something in it by path.
fn names_library(code: &str, library: &str) -> bool {
    let imports = words(code, "use").chain(words(code, "extern")).next().is_some();
    words(code, library).any(|(at, after)| {
        let inside_another = code.get(..at).is_some_and(|before| before.ends_with("::"));
        !inside_another && (imports || after.trim_start().starts_with("::"))
    })
}

#[test]
fn crates_depend_only_on_what_lies_below() {
    let mut findings = Vec::new();
    for (folder, normal, build) in EDGES {
        let path = format!("{folder}/Cargo.toml");
        let Some(manifest) = MANIFESTS.get(&path) else {
            findings.push(format!("{path}: is missing"));
            continue;
        };
        for dependency in dependencies(manifest).iter().filter(|dependency| dependency.name.starts_with("switchboard")) {
            let allowed = if dependency.kind == "build-dependencies" { build } else { normal };
            if !allowed.contains(&dependency.name.as_str()) {
                findings.push(format!("{path}: {} must not name {}", dependency.kind, dependency.name));
            }
        }
    }
    verdict(
        "server → {core, ids, media, runtime, simnet}, runtime → {confine, core}, media → confine, nothing points back",
        &findings,
    );
}

#[test]
fn only_the_feature_sim_reaches_the_simulated_network() {
    let mut findings = Vec::new();
    for (path, manifest) in MANIFESTS.iter() {
        for (feature, enabled) in features(manifest) {
            let reaches = |item: &String| {
                item == "sim"
                    || item.ends_with("/sim")
                    || item.contains("switchboard-simnet")
                    || item.ends_with(SKIP_CERTIFICATE)
            };
            for item in enabled.iter().filter(|item| feature != "sim" && reaches(item)) {
                findings.push(format!("{path}: feature {feature} turns on {item}"));
            }
        }
        for dependency in dependencies(manifest) {
            // The whole-host tests run on the simulated network; `default-members` keeps them away from the shipped binary.
            let in_tests = path.starts_with("tests/");
            for item in &dependency.features {
                if item == SKIP_CERTIFICATE || (item == "sim" && !in_tests) {
                    findings.push(format!("{path}: {} is always built with {item}", dependency.name));
                }
            }
            let simnet = dependency.name == "switchboard-simnet" && dependency.kind == "dependencies";
            if simnet && path == "host/server/Cargo.toml" && !dependency.optional {
                findings.push(format!("{path}: switchboard-simnet must be optional"));
            }
        }
    }
    let members =
        MANIFESTS.get("Cargo.toml").and_then(|root| root.get("workspace")?.get("default-members")?.as_array().cloned());
    if members.is_none_or(|members| {
        members.len() != 1 || members.first().and_then(|member| member.as_str()) != Some("host/server")
    }) {
        findings
            .push("Cargo.toml: default-members must be the server alone, so that nothing unifies `sim` into it".to_owned());
    }
    verdict("a plain build can reach only WhatsApp", &findings);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut findings = Vec::new();
    for source in SOURCES.iter() {
        let mut lines = source.text.lines().skip_while(|line| line.starts_with("#!/"));
        let first = lines.next().unwrap_or_default();
        let marker = match source.path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("rs") => "//! ",
            Some("toml" | "sh") => "# ",
            Some("mjs") => "// ",
            _ => continue,
        };
        if first.strip_prefix(marker).is_none_or(|text| text.split_whitespace().count() < 2) {
            findings.push(format!("{}:1: must begin with `{marker}` and what the file is for", source.path));
        }
    }
    verdict("the first line of a file says what it is for", &findings);
}

#[test]
fn files_and_functions_are_short() {
    let mut findings = Vec::new();
    let written = ["css", "html", "js", "mjs", "py", "rs", "sh", "ts", "wit"];
    for source in SOURCES.iter().filter(|source| source.has_extension(&written)) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{}:1: has {lines} lines; the limit is {FILE_LINES_MAX}", source.path));
        }
        for function in functions(&source.code).iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let (path, line, name, lines) = (&source.path, function.line, function.name, function.lines);
            findings.push(format!("{path}:{line}: fn {name} has {lines} lines; the limit is {FUNCTION_LINES_MAX}"));
        }
    }
    verdict("files and functions are short", &findings);
}

#[test]
fn worked_examples_are_short() {
    let mut findings = Vec::new();
    for name in WORKED_EXAMPLES {
        let of = |source: &&Source| source.is_in(&format!("plugins/{name}/src")) && !source.path.ends_with("/tests.rs");
        let code = |source: &Source| source.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let lines: usize = rust_sources().filter(of).map(code).sum();
        if lines == 0 || lines > EXAMPLE_LINES_MAX {
            findings.push(format!("plugins/{name}: has {lines} lines; the limit is {EXAMPLE_LINES_MAX}"));
        }
    }
    verdict("worked examples are short", &findings);
}

#[test]
fn product_code_neither_panics_nor_queues_without_limit() {
    let mut findings = Vec::new();
    for source in rust_sources().filter(|source| !source.is_test()) {
        let code = source::without_tests(&source.code);
        let lines: Vec<&str> = code.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let from = index.saturating_sub(EXPECT_LINES_ABOVE);
            let near = lines.get(from..=index).unwrap_or_default().join("\n");
            let expected = near.contains("[expect(") && near.contains("clippy::") && near.contains("reason");
            for forbidden in FORBIDDEN_IN_PRODUCT.iter().filter(|forbidden| !expected && line.contains(**forbidden)) {
                findings.push(format!("{}:{}: {forbidden}", source.path, index + 1));
            }
        }
    }
    verdict(
        "nothing panics and no queue is unbounded outside tests; `#[expect(clippy::…, reason = …)]` names an exception",
        &findings,
    );
}

#[test]
fn nothing_is_left_undone_or_silently_allowed() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        for left in ["todo", "unimplemented"] {
            for (at, _) in words(&source.code, left).filter(|(_, after)| after.starts_with('!')) {
                findings.push(format!("{}:{}: {left}!", source.path, line_of(&source.code, at)));
            }
        }
        for (line, attribute) in attributes(&source.code) {
            let of = |lint: &str| words(attribute, lint).any(|(_, after)| after.starts_with('('));
            let reasoned = words(attribute, "reason").next().is_some();
            if attribute.starts_with("#[ignore") {
                findings.push(format!("{}:{line}: an ignored test promises nothing; mend or delete it", source.path));
            }
            if of("allow") && !(source.path == ALLOW_IS_ALLOWED && reasoned) {
                findings.push(format!(
                    "{}:{line}: write #[expect(…, reason = …)], which ends when it is no longer needed",
                    source.path
                ));
            }
            if of("expect") && !reasoned {
                findings.push(format!("{}:{line}: an expected lint needs its reason", source.path));
            }
        }
    }
    verdict("what is in the tree is finished, and exceptions have reasons", &findings);
}

#[test]
fn the_host_is_agpl_and_what_plugin_authors_take_is_free() {
    let mut findings = Vec::new();
    for path in MANIFESTS.iter().filter(|(_, manifest)| manifest.contains_key("package")).map(|(path, _)| path) {
        let free = ["guest-sdk/", "plugins/"].iter().any(|folder| path.starts_with(folder));
        let wanted = if free { "MIT OR Apache-2.0" } else { "AGPL-3.0-only" };
        let found = licence(path).unwrap_or_else(|| "none".to_owned());
        if found != wanted {
            findings.push(format!("{path}: license is {found}; it must be {wanted}"));
        }
    }
    verdict("`host/` and `tests/` carry the AGPL, the SDK and the plugins do not", &findings);
}

#[test]
fn the_contract_is_one_package() {
    let (mut findings, mut files) = (Vec::new(), 0);
    for source in SOURCES.iter().filter(|source| source.path.starts_with("wit/") && source.has_extension(&["wit"])) {
        files += 1;
        if !source.text.starts_with("package switchboard:plugin@") {
            findings.push(format!("{}:1: must begin with `package switchboard:plugin@`", source.path));
        }
    }
    assert!(files > 0, "wit/ holds no .wit file");
    verdict("everything in wit/ is of one package", &findings);
}

#[test]
fn no_file_names_a_developers_machine_or_a_registry() {
    // In pieces, so that this file does not name them either.
    let folders = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Use", "rs/")];
    let hosts = [
        concat!("crates", ".io"),
        concat!("registry.npm", "js"),
        concat!("registry.yarn", "pkg"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("proxy.gol", "ang"),
    ];
    let mut findings = Vec::new();
    for source in SOURCES.iter().filter(|source| !matches!(source.name(), "Cargo.lock" | "package-lock.json")) {
        for (number, line) in (1..).zip(source.text.lines()) {
            for folder in folders.iter().filter(|folder| has_absolute(line, folder)) {
                findings.push(format!("{}:{number}: names {folder}", source.path));
            }
            for host in hosts.iter().filter(|host| line.contains(**host)) {
                findings.push(format!("{}:{number}: names {host}", source.path));
            }
        }
    }
    verdict("the tree works on any machine, with any registry", &findings);
}

/// Whether the line holds the folder as the beginning of a path, and not in the middle of another one.
fn has_absolute(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '*');
    line.match_indices(folder)
        .any(|(at, _)| !line.get(..at).and_then(|before| before.chars().next_back()).is_some_and(inside))
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "a /* x /* y */ z */ b // c\n\"d \\\" e\" f r#\"g \" h\"# i '\\'' '\"' 'j' k::<'l>(br\"m\")\n";
    let code = code_of(text);
    let seen: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(seen, ["a", "b", "f", "i", "k::<'l>(b", ")"]);
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let code = code_of("trait T { fn a(x: [u8; 2]); }\nfn b<F: Fn()>(f: fn()) {\n    \"}\";\n    { f() }\n}\n");
    let found: Vec<_> =
        functions(&code).iter().map(|function| (function.name.to_owned(), function.line, function.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 1), ("b".to_owned(), 2, 4)]);
}

#[test]
fn test_items_do_not_count_as_product() {
    let code = "fn a() {}\n#[cfg(test)]\n#[path = x]\nmod tests {\n    b;\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
    let kept = source::without_tests(code);
    assert_eq!(
        kept.lines().map(str::trim).collect::<Vec<_>>(),
        ["fn a() {}", "", "", "", "", "", "fn c() {}", "", "", "fn e() {}"]
    );
}
