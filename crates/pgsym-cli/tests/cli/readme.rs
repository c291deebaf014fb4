//! The README's commands do what the README shows. `UPDATE_README=1 cargo test -p pgsym-cli readme` writes the
//! screens anew after an output has changed.

use std::path::Path;

use super::support::{pgsym_in, workspace};

/// Stands for lines left out.
const GAP: &str = "\n…\n";

/// A code block that begins with `$ pgsym …`.
struct Screen {
    arguments: Vec<String>,
    shown: String,
}

fn screens(text: &str) -> Vec<Screen> {
    let mut screens = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("```") {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let Some(command) = block.first().and_then(|first| first.strip_prefix("$ pgsym ")) else { continue };
        let arguments = command.split_whitespace().map(str::to_owned).collect();
        screens.push(Screen { arguments, shown: block[1..].join("\n") });
    }
    screens
}

#[test]
fn every_screen_of_the_readme_is_real() {
    let path = workspace().join("README.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let screens = screens(&text);
    assert!(!screens.is_empty(), "the README shows no screen");
    for Screen { arguments, shown } in screens {
        let run = pgsym_in(&workspace(), &arguments);
        assert!(run.status < 2, "{arguments:?}: {}", run.stderr);
        // The screens were taken on Debian; elsewhere the default directories have other names.
        if !Path::new("/lib/x86_64-linux-gnu/libc.so.6").exists() {
            continue;
        }
        if std::env::var_os("UPDATE_README").is_some() {
            text = text.replace(&shown, &taken_again(&shown, run.stdout.trim_end()));
            continue;
        }
        let said = without_libc(&run.stdout);
        let mut from = 0;
        for part in shown.split(GAP).map(|part| without_libc(part.trim_matches('\n'))) {
            match said[from..].find(&part) {
                Some(at) => from += at + part.len(),
                None => panic!("{arguments:?}: the README shows\n{part}\nand the program says\n{said}"),
            }
        }
    }
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, text).unwrap();
    }
}

/// The same screen of a new output: each part from its first line on, up to the next empty line; the last part is
/// the output's last block.
fn taken_again(shown: &str, said: &str) -> String {
    let parts: Vec<&str> = shown.split(GAP).collect();
    let [first, .., _] = parts[..] else { return said.to_owned() };
    let blocks: Vec<&str> = said.split("\n\n").collect();
    let of = |part: &str| {
        let heading = part.lines().next().unwrap_or_default();
        blocks.iter().find(|block| block.lines().next() == Some(heading)).copied()
    };
    let middle = parts[1..parts.len() - 1].iter().filter_map(|part| of(part));
    let first = of(first).or(blocks.first().copied()).into_iter();
    first.chain(middle).chain(blocks.last().copied()).collect::<Vec<_>>().join(GAP)
}

/// Text without the version behind "glibc", which is that of the machine.
fn without_libc(text: &str) -> String {
    let mut parts = text.split("glibc ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "glibc" + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    })
}
