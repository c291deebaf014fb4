//! Mach-O trees, and trees that mix formats: every command answers on them, in text and in JSON.

use pgsym_testkit::{
    Bind, FatWidth, Fixups, From, MachCpu, MachImage, Magic, SharedObject, TreeBuilder, fat,
};
use serde_json::Value;

use super::documents::assert_fits;
use super::support::{module, pgsym, pgsym_in};

const CPUS: [MachCpu; 2] = [MachCpu::X86_64, MachCpu::Arm64];

/// A universal file of what an image is for each processor.
fn universal(image: impl Fn(MachCpu) -> MachImage) -> Vec<u8> {
    fat(FatWidth::Bits32, &CPUS.map(|cpu| (cpu, image(cpu).build())))
}

/// A package with a server some levels down, a module with its own library, one that looks everywhere, one whose
/// library is absent, and a Linux build beside them.
fn mixed() -> TreeBuilder {
    let server = |cpu| {
        MachImage::executable(cpu)
            .library("/usr/lib/libSystem.B.dylib")
            .export("palloc")
            .constant(b"postgres (PostgreSQL) 15.8")
            .magic(15)
    };
    let bundle = |cpu| MachImage::bundle(cpu).library("/usr/lib/libSystem.B.dylib").magic(15);
    let user = |cpu| {
        bundle(cpu)
            .library("@rpath/libgeo.2.dylib")
            .rpath("@loader_path/../deps")
            .import("area", From::Library(2))
            .import("palloc", From::Executable)
            .export("f")
            .export("pg_finfo_f")
    };
    let geo = |cpu| MachImage::dylib(cpu, "@rpath/libgeo.2.dylib").export("area");
    TreeBuilder::new()
        .file("pkg/native/bin/postgres", universal(server))
        .file("pkg/native/lib/plpgsql.so", universal(bundle))
        .file("pkg/native/lib/user.so", universal(user))
        .file("pkg/native/lib/flat.so", universal(|cpu| bundle(cpu).import("palloc", From::Flat)))
        .file("pkg/native/lib/lacking.so", universal(|cpu| bundle(cpu).library("@rpath/libgone.dylib")))
        .file("pkg/native/deps/libgeo.2.dylib", universal(geo))
        .file(
            "pkg/native/share/extension/user.control",
            "default_version = '1'\nmodule_pathname = '$libdir/user'\n",
        )
        .file(
            "pkg/native/share/extension/user--1.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';",
        )
        .object("pkg/linux/lib/sound.so", &module())
        .object("pkg/linux/lib/elf.so", &module().needed("libpgsym-test-nowhere.so.7"))
}

#[test]
fn every_command_answers_on_a_mixed_tree() {
    let tree = mixed();
    let root = tree.path("pkg");
    let root = root.to_str().unwrap();
    let user = format!("{root}/native/lib/user.so");
    let elf = format!("{root}/linux/lib/elf.so");
    let native = format!("{root}/native");
    let map = tree.path("m.list");
    std::fs::write(&map, "_Pg_magic_func\n_f\n_pg_finfo_f\n").unwrap();
    let map = map.to_str().unwrap();
    for arguments in [
        vec!["audit", root],
        vec!["load", root],
        vec!["load", &user],
        vec!["load", &elf, "--server", &native],
        vec!["tree", root],
        vec!["why", "@rpath/libgeo.2.dylib", root],
        vec!["why", "libgeo.2.dylib", root],
        vec!["why", "palloc", root],
        vec!["why", "area", root],
        vec!["collisions", root],
        vec!["symbols", root],
        vec!["functions", root],
        vec!["inspect", root],
        vec!["verify", &user, "--map", map],
    ] {
        let text = pgsym(&arguments);
        assert!(text.status < 2, "{arguments:?}: {}", text.stderr);
        assert!(!text.stdout.is_empty(), "{arguments:?}");
        let json = pgsym(arguments.iter().copied().chain(["--format", "json"]));
        assert_eq!(json.status, text.status, "{arguments:?}");
        assert_fits(arguments[0], &json.json());
    }
}

#[test]
fn the_server_below_a_package_is_found_and_relative_roots_say_the_same() {
    let tree = mixed();
    let count = |run: super::support::Run| run.stdout.lines().rev().nth(1).unwrap_or_default().to_owned();
    let absolute = pgsym(["audit", tree.path("pkg").to_str().unwrap()]);
    assert!(absolute.stdout.starts_with("server  PostgreSQL 15.8"), "{}", absolute.stdout);
    assert_eq!(count(pgsym_in(tree.root(), ["audit", "pkg"])), count(absolute));
}

#[test]
fn why_tells_the_chain_and_the_provider_of_each_import() {
    let tree = mixed();
    let root = tree.path("pkg/native");
    let ask = |name: &str| pgsym(["why", name, root.to_str().unwrap()]).stdout;
    let library = ask("libgeo.2.dylib");
    assert!(library.contains("lib/user.so → @rpath/libgeo.2.dylib"), "{library}");
    assert!(library.contains("@loader_path/../deps"), "{library}");
    assert!(ask("libgone.dylib").contains("NOT FOUND"));
    let symbol = ask("area");
    assert!(symbol.starts_with("area is defined by ") && symbol.contains("deps/libgeo.2.dylib"), "{symbol}");
    assert!(ask("palloc").contains("bin/postgres\n  for 2 references"), "{}", ask("palloc"));
}

#[test]
fn a_module_of_the_other_format_is_another_servers() {
    let tree = mixed();
    let seventeen = SharedObject::new().bind(Bind::Now).magic(Magic::pg(17)).pg_function("f");
    std::fs::write(tree.path("pkg/linux/lib/seventeen.so"), seventeen.build()).unwrap();
    let run = pgsym(["audit", tree.path("pkg").to_str().unwrap(), "--format", "json"]).json();
    let findings = run["findings"].as_array().unwrap();
    let about = |name: &str| {
        let about = findings.iter().filter(|finding| finding["path"].as_str().unwrap().ends_with(name));
        about.filter(|finding| finding["severity"] != "info").count()
    };
    assert_eq!((about("/sound.so"), about("/seventeen.so")), (0, 0), "{run:#}");
    assert_eq!(about("/elf.so"), 1, "{run:#}");
    let run = pgsym(["load", tree.path("pkg").to_str().unwrap()]);
    assert!(run.stdout.contains("the server is a Mach-O program, and this is an ELF file"), "{}", run.stdout);
}

#[test]
fn collisions_are_told_for_mach_o_too() {
    let tree = mixed();
    let root = tree.path("pkg/native");
    let run = |root: &std::path::Path| pgsym(["collisions", root.to_str().unwrap()]);
    let quiet = run(&root);
    assert_eq!(quiet.status, 0, "{}", quiet.stdout);
    let both = |from| MachImage::bundle(MachCpu::X86_64).magic(15).export("shared").import("shared", from);
    std::fs::write(root.join("lib/one.so"), both(From::Flat).build()).unwrap();
    std::fs::write(root.join("lib/two.so"), both(From::SelfImage).build()).unwrap();
    let found = run(&root);
    assert_eq!(found.status, 1, "{}", found.stdout);
    assert!(found.stdout.contains("two.so takes what one.so meant for itself"), "{}", found.stdout);
    assert!(!found.stdout.contains("one.so takes"), "{}", found.stdout);
}

#[test]
fn a_profile_of_a_mach_o_server_is_refused_in_one_sentence() {
    let tree = mixed();
    let run = pgsym(["profile", tree.path("pkg/native/bin/postgres").to_str().unwrap()]);
    assert_eq!((run.status, &*run.stdout), (2, ""));
    assert!(
        run.stderr.contains("it is a Mach-O program") && run.stderr.lines().count() == 1,
        "{}",
        run.stderr
    );
}

#[test]
fn each_slice_of_a_fat_file_is_told_of() {
    let tree = mixed();
    let user = tree.path("pkg/native/lib/user.so");
    let run = pgsym(["symbols", user.to_str().unwrap(), "--format", "json"]).json();
    let slices: Vec<&Value> = run["files"].as_array().unwrap().iter().map(|file| &file["slice"]).collect();
    assert_eq!(slices, ["x86_64", "arm64"]);
    let import = run["files"][1]["imports"]
        .as_array()
        .unwrap()
        .iter()
        .find(|import| import["name"] == "area")
        .unwrap();
    assert_eq!(import["library"], "@rpath/libgeo.2.dylib");
    assert_eq!(import["macho"], serde_json::json!({ "raw": "_area", "ordinal": 2, "tables": ["bind"] }));
    let run = pgsym(["inspect", user.to_str().unwrap(), "--format", "json"]).json();
    let macho = &run["files"][0]["facts"]["macho"];
    assert_eq!(macho["segments"][0]["name"], "__TEXT");
    assert_eq!(macho["further_slices"][0]["facts"]["arch"], "arm64");
    let text = pgsym(["inspect", user.to_str().unwrap()]).stdout;
    assert!(text.contains("user.so (arm64)"), "{text}");
}

#[test]
fn an_import_is_one_line_for_each_library_with_its_tables() {
    let image = MachImage::bundle(MachCpu::X86_64)
        .library("/usr/lib/liba.dylib")
        .library("/usr/lib/libb.dylib")
        .import("x", From::Library(1))
        .import_lazily("x", From::Library(1))
        .import("x", From::Library(2))
        .fixups(Fixups::Opcodes);
    let tree = TreeBuilder::new().file("x.so", image.build());
    let run = pgsym(["symbols", tree.path("x.so").to_str().unwrap(), "--format", "json"]).json();
    let lines: Vec<(&Value, &Value)> = run["files"][0]["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|import| (&import["library"], &import["macho"]["tables"]))
        .collect();
    let (both, one) = (serde_json::json!(["bind", "lazy"]), serde_json::json!(["bind"]));
    let (a, b) = (serde_json::json!("/usr/lib/liba.dylib"), serde_json::json!("/usr/lib/libb.dylib"));
    assert_eq!(lines, [(&a, &both), (&b, &one)]);
}

#[test]
fn an_unreadable_slice_is_told_of_beside_the_others() {
    let mut bytes = universal(|cpu| MachImage::bundle(cpu).magic(15));
    // The second slice's offset, behind magic, count, one entry of 20 bytes and two words.
    bytes[36..40].copy_from_slice(&u32::MAX.to_be_bytes());
    let tree = TreeBuilder::new().file("broken.so", bytes);
    let file = tree.path("broken.so");
    let run = pgsym(["symbols", file.to_str().unwrap(), "--format", "json"]).json();
    assert_eq!(run["files"][0]["error"], Value::Null);
    assert!(run["files"][1]["error"].as_str().unwrap().contains("reaches past the end"), "{run}");
}

/// Where the load command of a number begins in a thin file.
fn command(bytes: &[u8], number: u32) -> usize {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 32;
    while word(at) != number {
        at += word(at + 4) as usize;
    }
    at
}

/// Overwrites what a field of a load command points at, some bytes further on.
fn damage(image: &MachImage, number: u32, field: usize, further: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = image.build();
    let at = command(&bytes, number) + field;
    let place = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize + further;
    bytes[place..place + with.len()].copy_from_slice(with);
    bytes
}

const LC_SYMTAB: u32 = 0x2;
const LC_DYLD_INFO_ONLY: u32 = 0x8000_0022;
const LC_DYLD_EXPORTS_TRIE: u32 = 0x8000_0033;
const LC_DYLD_CHAINED_FIXUPS: u32 = 0x8000_0034;

#[test]
fn each_damaged_table_is_one_finding() {
    let image = MachImage::bundle(MachCpu::X86_64)
        .library("/usr/lib/libSystem.B.dylib")
        .export("alpha")
        .import("a_name_that_makes_the_stream_long_enough", From::Executable)
        .magic(15);
    // A root that is its own child.
    let cyclic = damage(&image, LC_DYLD_EXPORTS_TRIE, 8, 0, &[0, 1, b'a', 0, 0]);
    // From library 1, "_x", in segment 1: bind 2^42 times.
    let stream =
        [0x11, 0x40, b'_', b'x', 0, 0x51, 0x71, 0, 0xc0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0];
    let endless = damage(&image.clone().fixups(Fixups::Opcodes), LC_DYLD_INFO_ONLY, 16, 0, &stream);
    let many = damage(&image, LC_DYLD_CHAINED_FIXUPS, 8, 16, &[0xff; 4]);
    let compressed = damage(&image, LC_DYLD_CHAINED_FIXUPS, 8, 24, &[1]);
    let mut overlapping = image.build();
    let trie = command(&overlapping, LC_DYLD_EXPORTS_TRIE) + 8;
    let symtab = command(&overlapping, LC_SYMTAB) + 8;
    overlapping.copy_within(trie..trie + 4, symtab);
    let mut outside = universal(|cpu| MachImage::bundle(cpu).magic(15));
    outside[36..40].copy_from_slice(&u32::MAX.to_be_bytes());
    let files = [
        ("cyclic.so", cyclic, "a node of the export trie has two parents"),
        ("endless.so", endless, "more pointers than the segments have room for"),
        ("many.so", many, ""),
        ("compressed.so", compressed, "which dyld refuses"),
        ("overlapping.so", overlapping, "overlaps"),
        ("outside.so", outside, "past the end of the file"),
    ];
    let tree = mixed();
    for (name, bytes, _) in &files {
        std::fs::write(tree.path("pkg/native/lib").join(name), bytes).unwrap();
    }
    let run =
        pgsym(["audit", tree.path("pkg/native").to_str().unwrap(), "--format", "json", "--show", "info"]);
    assert_eq!((run.status, &*run.stderr), (1, ""));
    let document = run.json();
    for (name, _, words) in files {
        let findings = document["findings"].as_array().unwrap();
        let about: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["path"].as_str().unwrap().ends_with(&format!("/{name}")))
            .filter(|finding| finding["code"].as_str().unwrap().starts_with("PGS9"))
            .collect();
        assert_eq!(about.len(), 1, "{name}: {about:#?}");
        assert!(about[0].to_string().contains(words), "{name}: {about:#?}");
    }
}
