//! Asks rustc for the command it links a cdylib of this target with, by letting it link an empty one with the flags
//! that bear on linking (0.05 s), and for the lld it brings along.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::LinkCommand;
use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// A cdylib that needs nothing but `core`.
const EMPTY_CRATE: &str = "#![no_std]\n#[panic_handler]\n\
    fn panic(_: &core::panic::PanicInfo) -> ! {\n    loop {}\n}\n";

/// The command that rustc would link with.
///
/// Where rustc cannot be asked (a target whose `core` is being built from source), the driver and the flags that
/// Cargo names stand in.
pub(super) fn link_command(env: &Env) -> Result<LinkCommand, Error> {
    let flags = linking_flags(&rust_flags(env));
    let linker = env.get("RUSTC_LINKER");
    if let Some(command) = ask_rustc(env, &flags, linker.as_ref())?.and_then(LinkCommand::from_words) {
        return Ok(command);
    }
    let mut link_arguments = Vec::new();
    let mut program = linker.map_or_else(|| PathBuf::from("cc"), PathBuf::from);
    for flag in &flags {
        match flag.split_once('=') {
            Some(("-Clink-arg", argument)) => link_arguments.push(argument.to_owned()),
            Some(("-Clink-args", arguments)) => {
                link_arguments.extend(arguments.split_whitespace().map(str::to_owned));
            }
            Some(("-Clinker", path)) => program = PathBuf::from(path),
            _ => {}
        }
    }
    Ok(LinkCommand::from_flags(&program, &link_arguments))
}

/// The directory with the `ld.lld` that rustc brings along, made for `-B`; else why there is none.
pub(super) fn bundled_lld(env: &Env) -> Result<PathBuf, String> {
    let rustc = rustc(env);
    let output = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("cannot run {}: {error}", rustc.display()))?;
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let host = env.text("HOST").unwrap_or_default();
    let directory: PathBuf = [sysroot.as_str(), "lib", "rustlib", &host, "bin", "gcc-ld"].iter().collect();
    if directory.join("ld.lld").exists() {
        Ok(directory)
    } else {
        Err(format!("{} has no ld.lld", directory.display()))
    }
}

fn rustc(env: &Env) -> PathBuf {
    env.get("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from)
}

/// Links the empty crate and reads `--print link-args`; `None` when rustc does not come as far as linking.
fn ask_rustc(env: &Env, flags: &[String], linker: Option<&OsString>) -> Result<Option<Vec<String>>, Error> {
    let directory = env.out_dir()?.join("pgsym-probe");
    let source = directory.join("probe.rs");
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&source, EMPTY_CRATE));
    written.map_err(|error| {
        let message = format!("cannot write {}: {error}", source.display());
        Error::new(ErrorKind::Write, message)
    })?;
    let mut command = Command::new(rustc(env));
    command.args(["--crate-name", "pgsym_probe", "--crate-type", "cdylib", "-Cpanic=abort"]);
    command.args(["--print", "link-args", "--target", &env.required("TARGET")?, "--out-dir"]);
    command.arg(&directory);
    if let Some(linker) = linker {
        let mut argument = OsString::from("-Clinker=");
        argument.push(linker);
        command.arg(argument);
    }
    // The link itself may fail, for want of a library that the flags name; the command is printed before it.
    let output = command.args(flags).arg(&source).current_dir(&directory).output().map_err(|error| {
        let message = format!("cannot run {}: {error}", rustc(env).display());
        Error::new(ErrorKind::Linker, message)
    })?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let words = printed.lines().map(printed_words).find(|words| words.len() > 1);
    remove_probe(&directory);
    Ok(words)
}

/// The probe leaves nothing behind; that it may fail to vanish is no reason to fail.
fn remove_probe(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
}

/// The flags that Cargo passes to every rustc of this target.
fn rust_flags(env: &Env) -> Vec<String> {
    let encoded = env.text("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    encoded.split('\x1f').filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
}

/// Keeps the flags that bear on which linker runs, each joined to its value: others could need libraries or
/// features that an empty crate does not have.
fn linking_flags(flags: &[String]) -> Vec<String> {
    const CODEGEN: [&str; 7] = [
        "linker",
        "linker-flavor",
        "linker-features",
        "link-arg",
        "link-args",
        "link-self-contained",
        "target-feature",
    ];
    const UNSTABLE: [&str; 5] =
        ["linker-features", "gcc-ld", "pre-link-arg", "pre-link-args", "unstable-options"];
    let mut kept = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (letter, setting) = match flag.as_str() {
            "-C" | "--codegen" => ("-C", flags.next().map_or("", String::as_str)),
            "-Z" => ("-Z", flags.next().map_or("", String::as_str)),
            flag if flag.starts_with("--codegen=") => ("-C", &flag["--codegen=".len()..]),
            flag if flag.starts_with("-C") => ("-C", &flag[2..]),
            flag if flag.starts_with("-Z") => ("-Z", &flag[2..]),
            _ => continue,
        };
        let name = setting.split('=').next().unwrap_or_default().replace('_', "-");
        let known: &[&str] = if letter == "-C" { &CODEGEN } else { &UNSTABLE };
        if known.contains(&name.as_str()) {
            let value = setting.split_once('=').map(|(_, value)| format!("={value}")).unwrap_or_default();
            kept.push(format!("{letter}{name}{value}"));
        }
    }
    kept
}

/// Reads a command as rustc prints it: `LC_ALL="C" "cc" "-m64" …`, each word in Rust's string syntax, after
/// assignments to variables.
fn printed_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(start) = rest.find('"') {
        let is_assignment = !rest[..start].trim().is_empty();
        let mut word = String::new();
        let mut characters = rest[start + 1..].char_indices();
        let mut end = rest.len();
        while let Some((index, c)) = characters.next() {
            match c {
                '"' => {
                    end = start + 1 + index + 1;
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, 't')) => word.push('\t'),
                    Some((_, escaped)) => word.push(escaped),
                    None => break,
                },
                c => word.push(c),
            }
        }
        if !is_assignment {
            words.push(word);
        }
        rest = &rest[end..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(flags: &[&str]) -> Vec<String> {
        flags.iter().map(|flag| (*flag).to_owned()).collect()
    }

    #[test]
    fn a_printed_command_loses_its_variables() {
        let line = r#"LC_ALL="C" PATH="/bin:/usr/bin" "cc" "-m64" "/tmp/a \"b\".o" "-fuse-ld=lld""#;
        assert_eq!(printed_words(line), ["cc", "-m64", "/tmp/a \"b\".o", "-fuse-ld=lld"]);
        assert_eq!(printed_words("error: no such target"), Vec::<String>::new());
    }

    #[test]
    fn only_flags_about_linking_reach_the_probe() {
        let flags = owned(&[
            "-C",
            "link-arg=-fuse-ld=mold",
            "-Ctarget-cpu=native",
            "--cfg",
            "link_arg",
            "--codegen=linker=clang",
            "-Zlinker_features=-lld",
            "-Cinstrument-coverage",
        ]);
        let kept = ["-Clink-arg=-fuse-ld=mold", "-Clinker=clang", "-Zlinker-features=-lld"];
        assert_eq!(linking_flags(&flags), kept);
    }

    #[test]
    fn a_toolchain_without_lld_says_where_it_is_missing() {
        let env = Env::fixed(&[("RUSTC", "rustc"), ("HOST", "no-such-host")]);
        let why_not = bundled_lld(&env).unwrap_err();
        assert!(why_not.ends_with("no-such-host/bin/gcc-ld has no ld.lld"), "{why_not}");
    }
}
