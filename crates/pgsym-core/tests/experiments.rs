//! Two copies of one library in one process, built with the real compiler and linker, run under the real loader, and
//! judged by pgsym: who answers whose call, in which order, and what the verdict is.
//!
//! A host program stands for the server, `libtls` for OpenSSL. Each library's `tls_new` returns its own name, and each
//! module's `who` returns what its call of `tls_new` returned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pgsym_core::collide::{Cause, Collisions, Judgement, Relation};
use pgsym_core::fs::RealFs;
use pgsym_core::resolve::Process;
use pgsym_core::tree::{Settings, Tree};

const HOST: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
void *palloc(void) { return 0; } /* what tells a server */
int main(int argc, char **argv) {
    void *handle = 0;
    for (int i = 1; i < argc; i++) {
        handle = dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL);
        if (!handle) { printf("%s", dlerror()); return 0; }
    }
    printf("%s", ((const char *(*)(void)) dlsym(handle, "who"))());
    return 0;
}
"#;

const MAGIC: &str = r#"
struct magic { int len, version, args, keys, namelen, byval; char abi[32]; };
static const struct magic block = { sizeof(struct magic), 1500, 100, 32, 64, 1, "PostgreSQL" };
const void *Pg_magic_func(void) { return &block; }
extern const char *tls_new(void);
const char *who(void) { return tls_new(); }
"#;

/// A directory laid out as an installation.
struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    /// The host, linked with `libtls.so.3` where it is to have that; the library is there in any case.
    fn new(host_has_tls: bool) -> Self {
        let lab = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(lab.path("bin")).unwrap();
        fs::create_dir_all(lab.path("lib")).unwrap();
        lab.library("lib/libtls.so.3", "system", Some("TLS_3"));
        fs::write(lab.path("host.c"), HOST).unwrap();
        let tls: &[&str] = if host_has_tls { &["-Wl,--no-as-needed", "lib/libtls.so.3"] } else { &[] };
        lab.gcc(&[&["-rdynamic", "-o", "bin/postgres", "host.c", "-Wl,-rpath,$ORIGIN/../lib"], tls].concat());
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn gcc(&self, arguments: &[&str]) {
        let output = Command::new("gcc").current_dir(self.directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A library whose soname is its file name.
    fn library(&self, file: &str, label: &str, version: Option<&str>) {
        let source = format!("const char *tls_new(void) {{ return \"{label}\"; }}");
        fs::write(self.path("library.c"), source).unwrap();
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        let soname = format!("-Wl,-soname,{name}");
        let mut arguments = vec!["-shared", "-fPIC", "-o", file, "library.c", &soname];
        if let Some(version) = version {
            fs::write(self.path("library.map"), format!("{version} {{ global: tls_new; }};")).unwrap();
            arguments.push("-Wl,--version-script=library.map");
        }
        self.gcc(&arguments);
    }

    /// A module that needs a library.
    fn user(&self, file: &str, library: &str) -> PathBuf {
        fs::write(self.path("module.c"), MAGIC).unwrap();
        self.gcc(&["-shared", "-fPIC", "-o", file, "module.c", library, "-Wl,-rpath,$ORIGIN"]);
        self.path(file)
    }

    /// A module that has the library inside.
    fn with_static_copy(&self, file: &str, label: &str, arguments: &[&str]) -> PathBuf {
        fs::write(self.path("module.c"), MAGIC).unwrap();
        fs::write(self.path("copy.c"), format!("const char *tls_new(void) {{ return \"{label}\"; }}"))
            .unwrap();
        self.gcc(&["-c", "-fPIC", "-o", "copy.o", "copy.c"]);
        let _ = fs::remove_file(self.path("libcopy.a"));
        assert!(
            Command::new("ar")
                .current_dir(self.directory.path())
                .args(["rcs", "libcopy.a", "copy.o"])
                .status()
                .unwrap()
                .success()
        );
        self.gcc(&[&["-shared", "-fPIC", "-o", file, "module.c", "libcopy.a"], arguments].concat());
        self.path(file)
    }

    /// What the last module's call returns after loading the modules in order: under the real loader, and by the model.
    fn ask(&self, order: &[&Path]) -> (String, String) {
        let output = Command::new(self.path("bin/postgres"))
            .args(order)
            .env_remove("LD_LIBRARY_PATH")
            .output()
            .unwrap();
        let mut process: Process = self.tree().process().expect("the host is the server").clone();
        let mut answer = String::new();
        for path in order {
            let attempt = process.dlopen(path);
            process = attempt.process;
            if let Some(failure) = attempt.failure {
                answer = failure.message;
                break;
            }
            let root = attempt.root.expect("it was loaded");
            let provider = process
                .bindings(root)
                .into_iter()
                .find(|binding| binding.reference.symbol.name() == b"tls_new")
                .map(|binding| binding.definition.expect("it is bound").object);
            // A hidden copy is called without asking anybody.
            answer = label(process.object(provider.unwrap_or(root)).unwrap().path());
        }
        (String::from_utf8(output.stdout).unwrap(), answer)
    }

    /// Both answers, which must be the same.
    fn agreed(&self, order: &[&Path]) -> String {
        let (real, model) = self.ask(order);
        assert_eq!(real, model, "the loader's answer and the model's, loading {order:?}");
        real
    }

    fn tree(&self) -> Tree {
        Tree::load(Arc::new(RealFs::new()), &[self.path("lib")], Settings::default()).unwrap()
    }
}

/// What the library or module at a path returns from its own `tls_new`.
fn label(path: &Path) -> String {
    match path.file_name().unwrap().to_str().unwrap() {
        "libtls.so.3" => "system",
        "libtls-9ad06800.so.1.1" => "bundled",
        "libtls.so.1" => "old",
        _ => "static",
    }
    .to_owned()
}

fn collisions(tree: &Tree) -> &Collisions {
    tree.collisions().expect("there is a server")
}

#[test]
fn a_wheels_bundled_copy_with_its_own_version_node_is_harmless() {
    let lab = Lab::new(true);
    lab.library("lib/libtls-9ad06800.so.1.1", "bundled", Some("TLS_1_1_0"));
    let module = lab.user("lib/x.so", "lib/libtls-9ad06800.so.1.1");
    assert_eq!(lab.agreed(&[&module]), "bundled");
    let tree = lab.tree();
    let [copies] = &collisions(&tree).copies[..] else { panic!("one pair of copies") };
    assert_eq!((copies.relation, copies.judgement), (Relation::OtherNodes, Judgement::Harmless));
}

#[test]
fn an_exported_static_copy_is_not_even_used_by_its_own_module() {
    let lab = Lab::new(true);
    let module = lab.with_static_copy("lib/x.so", "static", &[]);
    assert_eq!(lab.agreed(&[&module]), "system");
    let tree = lab.tree();
    let capture = &collisions(&tree).captures[0];
    assert_eq!(
        (capture.cause, capture.judgement(&collisions(&tree).universe)),
        (Cause::Server, Judgement::Harmful)
    );
    assert_eq!(capture.victim, capture.meant);
}

#[test]
fn an_exported_static_copy_takes_versioned_calls_of_later_modules() {
    let lab = Lab::new(false);
    let first = lab.with_static_copy("lib/static.so", "static", &[]);
    let user = lab.user("lib/user.so", "lib/libtls.so.3");
    assert_eq!(lab.agreed(&[&first, &user]), "static");
    assert_eq!(lab.agreed(&[&user, &first]), "system");
    assert_eq!(lab.agreed(&[&user]), "system");
    let tree = lab.tree();
    let found = collisions(&tree);
    let capture =
        found.captures.iter().find(|capture| capture.is_unversioned()).expect("a capture across versions");
    assert_eq!(capture.judgement(&found.universe), Judgement::OrderDependent);
    assert!(found.universe.get(capture.captor).path.ends_with("static.so"));
}

#[test]
fn copies_without_versions_serve_whoever_comes_later() {
    let lab = Lab::new(false);
    lab.library("lib/libtls.so.1", "old", None);
    let old = lab.user("lib/old.so", "lib/libtls.so.1");
    let new = lab.user("lib/new.so", "lib/libtls.so.3");
    assert_eq!(lab.agreed(&[&old, &new]), "old");
    assert_eq!(lab.agreed(&[&new, &old]), "system");
    let tree = lab.tree();
    let [copies] = &collisions(&tree).copies[..] else { panic!("one pair of copies") };
    assert_eq!((copies.relation, copies.judgement), (Relation::Unversioned, Judgement::OrderDependent));
}

#[test]
fn the_same_node_twice_mixes_the_copies() {
    let lab = Lab::new(false);
    lab.library("lib/libtls.so.1", "old", Some("TLS_3"));
    let old = lab.user("lib/old.so", "lib/libtls.so.1");
    let new = lab.user("lib/new.so", "lib/libtls.so.3");
    assert_eq!(lab.agreed(&[&old, &new]), "old");
    let tree = lab.tree();
    assert_eq!(collisions(&tree).copies[0].relation, Relation::SameNodes);
    assert_eq!(collisions(&tree).copies[0].judgement, Judgement::OrderDependent);
}

#[test]
fn a_hidden_copy_disturbs_nobody_and_is_disturbed_by_nobody() {
    let lab = Lab::new(true);
    let module = lab.with_static_copy("lib/x.so", "static", &["-Wl,--exclude-libs,ALL"]);
    let user = lab.user("lib/user.so", "lib/libtls.so.3");
    assert_eq!(lab.agreed(&[&module]), "static");
    assert_eq!(lab.agreed(&[&module, &user]), "system");
    assert!(collisions(&lab.tree()).captures.is_empty());
}

#[test]
fn a_symbolic_copy_keeps_its_own_calls_and_still_takes_later_ones() {
    let lab = Lab::new(false);
    let module = lab.with_static_copy("lib/symbolic.so", "static", &["-Wl,-Bsymbolic"]);
    let user = lab.user("lib/user.so", "lib/libtls.so.3");
    assert_eq!(lab.agreed(&[&user, &module]), "static");
    assert_eq!(lab.agreed(&[&module, &user]), "static");
    let tree = lab.tree();
    let found = collisions(&tree);
    let name = |id| found.universe.get(id).path.file_name().unwrap().to_str().unwrap().to_owned();
    let pairs: Vec<_> =
        found.captures.iter().map(|capture| (name(capture.victim), name(capture.captor))).collect();
    assert_eq!(pairs, [("user.so".to_owned(), "symbolic.so".to_owned())]);
}

#[test]
fn a_unique_object_has_one_owner_even_under_symbolic_binding() {
    let lab = Lab::new(false);
    let module = |name: &str| {
        let source = format!(
            r#"
            struct magic {{ int len, version, args, keys, namelen, byval; char abi[32]; }};
            static const struct magic block = {{ sizeof(struct magic), 1500, 100, 32, 64, 1, "PostgreSQL" }};
            const void *Pg_magic_func(void) {{ return &block; }}
            __asm__(".data\n.globl label\n.type label, @gnu_unique_object\n.size label, 2\nlabel: .string \"{name}\"\n.text");
            extern const char label[];
            const char *who(void) {{ return label; }}
            "#
        );
        fs::write(lab.path("module.c"), source).unwrap();
        let file = format!("lib/{name}.so");
        lab.gcc(&["-shared", "-fPIC", "-Wl,-Bsymbolic", "-o", &file, "module.c"]);
        lab.path(&file)
    };
    let (first, second) = (module("a"), module("b"));
    let output = Command::new(lab.path("bin/postgres")).args([&first, &second]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a");
    let process = lab.tree().process().unwrap().dlopen(&first).process;
    let attempt = process.dlopen(&second);
    let bindings = attempt.process.bindings(attempt.root.unwrap());
    let label = bindings.iter().find(|binding| binding.reference.symbol.name() == b"label").unwrap();
    assert_eq!(attempt.process.object(label.definition.unwrap().object).unwrap().path(), first);
}
