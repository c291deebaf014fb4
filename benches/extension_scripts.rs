//! Control files and the scripts that installing every default version runs, on one thread: of the PostgreSQL that
//! Debian's packages install, or of the directory in `PGSYM_BENCH_EXTENSIONS`. The target for all extension
//! packages of Debian is less than a second.

use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgsym_core::extension::script::{parse_script, read_script, substitutions};
use pgsym_core::extension::sql::StandardConformingStrings;
use pgsym_core::extension::tree::{ControlDirectory, Plan, ScriptLayout, find_extensions};
use pgsym_core::fs::RealFs;

fn reachable_scripts(criterion: &mut Criterion) {
    let directory = std::env::var_os("PGSYM_BENCH_EXTENSIONS")
        .map_or_else(|| PathBuf::from("/usr/share/postgresql/15/extension"), PathBuf::from);
    let places =
        [ControlDirectory { path: directory, layout: ScriptLayout::Beside, is_setting: true, site: 0 }];
    let fs = RealFs::new();
    let read_all = || {
        let (mut bytes, mut declarations) = (0, 0);
        for extension in find_extensions(&fs, &places, 15).0 {
            let Plan::Chain(chain) = &extension.plan else { continue };
            for step in chain {
                let Ok(control) = extension.control_for(&fs, step, 15) else { continue };
                let Ok(script) = read_script(&fs, &extension.script_path(step)) else { continue };
                let values = substitutions(&control, &[]);
                let strings = StandardConformingStrings::On;
                let parsed = parse_script(&script, &values, control.encoding.as_deref(), strings);
                bytes += script.len();
                declarations += parsed.expect("not too long").declarations.len();
            }
        }
        (bytes, declarations)
    };
    let (bytes, declarations) = read_all();
    assert!(declarations > 0, "there are no extensions to read: set PGSYM_BENCH_EXTENSIONS");
    let mut group = criterion.benchmark_group("extension_scripts");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group.bench_function("reachable", |bencher| bencher.iter(read_all));
    group.finish();
}

criterion_group!(benches, reachable_scripts);
criterion_main!(benches);
