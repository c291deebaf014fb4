//! The example that the documentation shows runs over a tree and says what is in it.

#[path = "../examples/audit_tree.rs"]
#[expect(dead_code, reason = "the example's own main")]
mod audit_tree;

use pgsym_testkit::{Bind, Kind, Magic, SharedObject, TreeBuilder};

#[test]
fn the_example_tells_needs_exports_and_findings() {
    let module = || SharedObject::new().bind(Bind::Now).magic(Magic::pg(15)).pg_function("f");
    let server = SharedObject::new()
        .kind(Kind::PieExecutable)
        .interp("/lib64/ld-linux-x86-64.so.2")
        .bind(Bind::Now)
        .server("15.18", &Magic::pg(15));
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server)
        .object("lib/plpgsql.so", &module())
        .object("lib/x.so", &module().needed("liby.so.1").needed("libnowhere.so.1").runpath("$ORIGIN"))
        .object("lib/liby.so.1", &SharedObject::new().soname("liby.so.1"));
    let mut said = Vec::new();
    let errors = audit_tree::report(&[tree.path("lib")], &mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(errors >= 1, "{said}");
    let path = tree.path("lib/liby.so.1");
    assert!(said.contains("(PostgreSQL 15.18)"), "{said}");
    assert!(said.contains(&format!("  needs liby.so.1 ({})", path.display())), "{said}");
    assert!(
        said.contains("  needs libnowhere.so.1 (libnowhere.so.1: cannot open shared object file"),
        "{said}"
    );
    assert!(said.contains("  exports Pg_magic_func"), "{said}");
    assert!(said.contains("error PGS101"), "{said}");
}
