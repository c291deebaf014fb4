//! `inspect --second-opinion`: goblin reads the same file in a child process, because a reader that is not
//! hardened against hostile files must not bring this one down. The child is this program again; it gets the
//! bytes on standard input, under limits of memory, time and output, and whatever happens to it is an answer.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use goblin::elf::dynamic::{DT_RPATH, DT_RUNPATH};
use goblin::elf::{Elf, Symtab};
use pgsym_core::fs::Fs;
use pgsym_core::model::Module;
use pgsym_core::name::Shown;
use pgsym_core::report::{Opinion, SecondOpinion, SymbolOpinion};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::commands::Status;

/// The hidden command that the child runs.
pub(crate) const CHILD_COMMAND: &str = "second-opinion-child";

/// Address space of the child in bytes: the largest module of Debian's packages has 40 MB, and goblin's tables take
/// less than ten times the file.
const MEMORY: u64 = 1 << 30;

/// Processor seconds of the child.
const CPU_SECONDS: u64 = 10;

/// Wall-clock time of the child.
const WALL_TIME: Duration = Duration::from_secs(20);

/// Largest file that is handed over, in bytes.
const FILE_BYTES: u64 = 256 << 20;

/// Largest answer that is taken, in bytes: 500,000 symbols of 120 characters.
const ANSWER_BYTES: u64 = 64 << 20;

/// Who gives the second opinion.
const READER: &str = "goblin";

/// Asks the child about a file.
///
/// An error means that no child could be started; whatever the child does is part of the opinion.
pub(crate) fn ask(fs: &dyn Fs, path: &Path, own: Option<&Module>) -> anyhow::Result<SecondOpinion> {
    // goblin does not decode the chained fixups that today's linkers write: it would differ from every such file.
    let unsupported = own
        .is_some_and(|module| module.macho().is_some())
        .then(|| format!("none: {READER} is asked about ELF files only, and this is a Mach-O file"));
    let own = own.filter(|_| unsupported.is_none()).map(Opinion::of);
    let mut opinion = SecondOpinion {
        reader: READER.to_owned(),
        failure: None,
        unsupported,
        compared: own.as_ref().map_or(0, Opinion::len),
        disagreements: Vec::new(),
    };
    if opinion.unsupported.is_some() {
        return Ok(opinion);
    }
    let bytes = match fs.read_small(path, FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            opinion.failure = Some(format!("was not asked: {error}"));
            return Ok(opinion);
        }
    };
    let program =
        std::env::current_exe().context("cannot start the second reader: where is this program?")?;
    let child = Command::new(program)
        .arg(CHILD_COMMAND)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the second reader")?;
    match (own, converse(child, bytes)) {
        (_, Err(failure)) => opinion.failure = Some(failure),
        (None, Ok(_)) => opinion.failure = Some("reads the file, pgsym does not".to_owned()),
        (Some(own), Ok(other)) => opinion.disagreements = own.differences(&other),
    }
    Ok(opinion)
}

/// Hands the bytes over and takes the answer.
fn converse(mut child: Child, bytes: Vec<u8>) -> Result<Opinion, String> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        // A child that died or has read enough closes its end.
        stdin.map(|mut stdin| stdin.write_all(&bytes))
    });
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.map(|stdout| stdout.take(ANSWER_BYTES + 1).read_to_end(&mut answer));
        let _ = sender.send(());
        (answer, read.and_then(Result::err))
    });
    let is_in_time = receiver.recv_timeout(WALL_TIME).is_ok();
    let status = if is_in_time { wait_a_little(&mut child) } else { None };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = writer.join();
    let (answer, error) = reader.join().map_err(|_| "its answer was lost".to_owned())?;
    if !is_in_time {
        return Err(format!("gave no answer within {} s", WALL_TIME.as_secs()));
    }
    if answer.len() as u64 > ANSWER_BYTES {
        return Err(format!("gave an answer of more than {} MB", ANSWER_BYTES >> 20));
    }
    if let Some(error) = error {
        return Err(format!("gave no answer: {error}"));
    }
    match status {
        Some(status) if status.success() => {
            let answer: Result<Opinion, String> = serde_json::from_slice(&answer)
                .map_err(|error| format!("gave no sensible answer: {error}"))?;
            answer.map_err(|refusal| format!("refuses the file: {refusal}"))
        }
        Some(status) => Err(format!("crashed on the file: {}", end_words(status))),
        None => Err("did not end after its answer".to_owned()),
    }
}

/// The end of a child that has closed its output, which should follow at once.
fn wait_a_little(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            _ => return None,
        }
    }
}

fn end_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(101)) => "panic".to_owned(),
        (None, code) => format!("exit status {}", code.unwrap_or(-1)),
    }
}

/// The child: limits itself, reads standard input, writes the opinion or the refusal as JSON.
pub(crate) fn child() -> anyhow::Result<Status> {
    let limit = |resource, value| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .context("cannot set a limit")
    };
    limit(Resource::As, MEMORY)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(FILE_BYTES).read_to_end(&mut bytes)?;
    let answer = Elf::parse(&bytes).map(|elf| opinion(&elf)).map_err(|error| error.to_string());
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &answer)?;
    stdout.flush()?;
    Ok(Status::Clean)
}

/// goblin's view in the plain form.
fn opinion(elf: &Elf<'_>) -> Opinion {
    let shown = |text: &str| Shown(text.as_bytes()).to_string();
    let dynamic_string = |tag: u64| {
        let entries = &elf.dynamic.as_ref()?.dyns;
        let entry = entries.iter().rev().find(|entry| entry.d_tag == tag)?;
        elf.dynstrtab.get_at(usize::try_from(entry.d_val).ok()?).map(shown)
    };
    Opinion {
        machine: elf.header.e_machine,
        is_64: elf.is_64,
        is_little_endian: elf.little_endian,
        interpreter: elf.interpreter.map(shown),
        soname: elf.soname.map(shown),
        needed: elf.libraries.iter().map(|name| shown(name)).collect(),
        rpath: dynamic_string(DT_RPATH),
        runpath: dynamic_string(DT_RUNPATH),
        segments: elf.program_headers.len(),
        relocations: (elf.dynrelas.len() + elf.dynrels.len()) as u64,
        plt_relocations: elf.pltrelocs.len() as u64,
        symbols: symbols(elf, &elf.dynsyms),
    }
}

fn symbols(elf: &Elf<'_>, table: &Symtab<'_>) -> Vec<SymbolOpinion> {
    table
        .iter()
        .skip(1)
        .map(|symbol| SymbolOpinion {
            name: elf
                .dynstrtab
                .get_at(symbol.st_name)
                .map_or_else(|| "unreadable".to_owned(), |name| Shown(name.as_bytes()).to_string()),
            binding: symbol.st_bind(),
            is_defined: symbol.st_shndx != 0,
            visibility: symbol.st_visibility(),
            value: symbol.st_value,
        })
        .collect()
}
