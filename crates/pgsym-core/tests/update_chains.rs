//! What chains of update scripts leave in pg_proc, against `testdata/sql/chains/expected.txt`, which the real server gave:
//! `cargo xtask oracle functions` creates the same extensions in it.

use std::fmt::Write as _;
use std::path::Path;

use pgsym_core::extension::catalog::Catalog;
use pgsym_core::extension::script::{SCHEMA, parse_script, read_script, substitutions};
use pgsym_core::extension::sql::StandardConformingStrings;
use pgsym_core::extension::tree::{ControlDirectory, Extension, Plan, ScriptLayout, find_extensions};
use pgsym_core::fs::RealFs;

fn rows(extension: &Extension) -> Vec<String> {
    let Plan::Chain(chain) = &extension.plan else { panic!("{:?}", extension.plan) };
    let mut catalog = Catalog::new(&extension.name, SCHEMA);
    for step in chain {
        let control = extension.control_for(&RealFs::new(), step, 15).unwrap();
        let bytes = read_script(&RealFs::new(), &extension.script_path(step)).unwrap();
        let script = parse_script(&bytes, &substitutions(&control, &[]), None, StandardConformingStrings::On)
            .expect("not too long");
        assert_eq!(script.error, None, "{}", extension.script_path(step).display());
        catalog.begin_script();
        for (_, declaration) in &script.declarations {
            catalog.apply(declaration, ());
        }
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let linked = catalog.into_members().filter_map(|member| Some((member.name, member.link?)));
    let mut rows: Vec<String> = linked
        .map(|(name, (probin, prosrc))| format!("{} | {} | {}", text(&name), text(&probin), text(&prosrc)))
        .collect();
    rows.sort();
    rows
}

#[test]
fn chains_leave_what_the_server_has() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sql/chains");
    let places = [ControlDirectory {
        path: directory.clone(),
        layout: ScriptLayout::Beside,
        is_setting: true,
        site: 0,
    }];
    let mut given = String::new();
    for extension in find_extensions(&RealFs::new(), &places, 15).0 {
        writeln!(given, "{}", String::from_utf8_lossy(&extension.name)).unwrap();
        for row in rows(&extension) {
            writeln!(given, "  {row}").unwrap();
        }
    }
    let expected = std::fs::read_to_string(directory.join("expected.txt")).expect("it is in the checkout");
    assert_eq!(given, expected, "\n{given}");
}
