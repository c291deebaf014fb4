//! What the names of directories say of a server's layout.

use std::ffi::OsStr;
use std::path::Path;

use super::at_prefix;
use crate::fs::Fs;

/// Whether a path has the place of a directory in which a server looks for modules or extensions, or of one above
/// it in the same prefix: `lib/postgresql/17`, `share/extension`, `bin/../lib`.
pub(in super::super) fn is_layout_directory(fs: &dyn Fs, path: &Path) -> bool {
    let mut names = path.iter().rev().map(OsStr::as_encoded_bytes);
    let [Some(name), above, further] = [names.next(), names.next(), names.next()] else { return false };
    let is_part = |name: Option<&[u8]>| matches!(name, Some(b"lib" | b"lib64" | b"share"));
    match name {
        b"extension" => is_part(above) || above.is_some_and(is_product) || above.is_some_and(is_number),
        b"lib" | b"lib64" | b"share"
            if above.is_some_and(is_number)
                || above.is_some_and(is_product)
                || above.is_some_and(|name| name.starts_with(b"pgsql-")) =>
        {
            true
        }
        b"lib" | b"lib64" | b"share" => path.parent().is_some_and(|prefix| at_prefix(fs, prefix).is_some()),
        name if is_number(name) => above.is_some_and(is_product) && is_part(further),
        name => is_product(name) && is_part(above),
    }
}

/// The directory above a file whose name is that of a `pkglibdir`, and the major version that the name says:
/// `lib/postgresql/17/lib`, `pgsql-17/lib`, `lib/postgresql17`, `lib64/pgsql`. By the names alone: for trees that hold
/// modules and neither a server nor a control file.
pub(crate) fn named_pkglibdir(file: &Path) -> Option<(&Path, Option<u32>)> {
    fn name(path: Option<&Path>) -> &[u8] {
        path.and_then(Path::file_name).map_or(&[], OsStr::as_encoded_bytes)
    }
    let number = |name: &[u8]| std::str::from_utf8(name).ok()?.parse::<u32>().ok();
    let after = |name: &[u8], product: &str, separator: &str| {
        number(name.strip_prefix(product.as_bytes())?.strip_prefix(separator.as_bytes())?)
    };
    let product = |name: &[u8]| match name {
        b"postgresql" | b"pgsql" => Some(None),
        _ => ["@", "-", ""]
            .iter()
            .find_map(|separator| {
                after(name, "postgresql", separator).or_else(|| after(name, "pgsql", separator))
            })
            .map(Some),
    };
    let is_lib = |name: &[u8]| matches!(name, b"lib" | b"lib64");
    file.ancestors().skip(1).find_map(|directory| {
        let (own, above) = (name(Some(directory)), directory.parent());
        if is_lib(own) {
            let further = above.and_then(Path::parent);
            let major = number(name(above)).filter(|_| product(name(further)).is_some()).map(Some);
            return Some((directory, major.or_else(|| product(name(above)))?));
        }
        if !is_lib(name(above)) {
            return None;
        }
        // /usr/lib/postgresql holds the prefixes of several majors on Debian.
        let below = file.strip_prefix(directory).ok()?.iter().next()?;
        number(below.as_encoded_bytes()).is_none().then_some(())?;
        Some((directory, product(own)?))
    })
}

/// Whether a directory's name says what is in it: `postgresql`, `pgsql`, `postgresql15`, `postgresql@15`, `postgresql-15`.
pub(super) fn is_product(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"postgresql").or_else(|| name.strip_prefix(b"pgsql"));
    rest.is_some_and(|rest| {
        rest.is_empty() || is_number(rest.strip_prefix(b"@").or(rest.strip_prefix(b"-")).unwrap_or(rest))
    })
}

pub(super) fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn directories_of_the_layout_are_known_by_their_place() {
        let fs = MemoryFs::new().file("/opt/pg/bin/postgres", "");
        let each_is = |expected: bool, paths: &[&str]| {
            for path in paths {
                assert_eq!(is_layout_directory(&fs, Path::new(path)), expected, "{path}");
            }
        };
        each_is(
            true,
            &[
                "/usr/lib/postgresql",
                "/usr/lib/postgresql/15",
                "/usr/lib/postgresql/15/lib",
                "/usr/share/postgresql/15/extension",
                "/usr/lib64/pgsql",
                "/usr/lib/postgresql17",
                "/opt/homebrew/lib/postgresql@15",
                "/usr/pgsql-17/lib",
                "/volume/share/extension",
                "/opt/pg/lib",
            ],
        );
        each_is(
            false,
            &[
                "/lib",
                "/usr/lib",
                "/usr/lib/x86_64-linux-gnu",
                "/home/me/15",
                "/src/postgresql",
                "/a/extension",
            ],
        );
    }

    #[test]
    fn the_names_of_a_pkglibdir_say_its_major() {
        for (file, found) in [
            ("/d/usr/lib/postgresql/17/lib/x.so", Some(("/d/usr/lib/postgresql/17/lib", Some(17)))),
            ("/usr/pgsql-16/lib/sub/x.so", Some(("/usr/pgsql-16/lib", Some(16)))),
            ("/usr/lib/postgresql17/x.so", Some(("/usr/lib/postgresql17", Some(17)))),
            ("/p/lib/postgresql@18/x.so", Some(("/p/lib/postgresql@18", Some(18)))),
            ("/usr/lib64/pgsql/x.so", Some(("/usr/lib64/pgsql", None))),
            ("/usr/lib/postgresql/17/bin/postgres", None),
            ("/pg/lib/x.so", None),
        ] {
            let found = found.map(|(directory, major)| (Path::new(directory), major));
            assert_eq!(named_pkglibdir(Path::new(file)), found, "{file}");
        }
    }
}
