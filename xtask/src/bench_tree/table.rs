//! Groups of contenders, their measured runs, and the table that is printed of them.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use crate::support::debian;
use crate::support::measure::{Run, Spread};

/// The target for memory, of a run that writes every symbol. Who keeps them all keeps their names, which alone take 49.
const MEGABYTES_PER_MILLION: f64 = 64.0;

/// The contender that keeps every symbol.
pub(crate) const READER: &str = "pgsym's reader, 1 thread";

/// The contender that writes every symbol.
pub(crate) const WRITER: &str = "pgsym symbols --jobs 1";

/// Whether there is memory enough for the symbols of a system: megabytes for a million of them, at the peak.
pub(crate) fn is_memory_met(groups: &[Group], symbols: u32) -> bool {
    megabytes_per_million(groups, symbols, WRITER) <= MEGABYTES_PER_MILLION
}

/// Programs that answer one question.
pub(crate) struct Group {
    /// The question.
    pub(crate) title: String,
    /// Who answers it; pgsym on one thread first.
    pub(crate) contenders: Vec<Contender>,
    /// What is asked of pgsym.
    pub(crate) targets: Vec<Target>,
}

/// At most so many times the time of a peer.
pub(crate) struct Target {
    /// What is compared.
    pub(crate) measure: Measure,
    /// The peer's name.
    pub(crate) peer: &'static str,
    /// The factor.
    pub(crate) at_most: f64,
}

/// Which times are compared.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// The processor's, of pgsym on one thread.
    Cpu,
    /// What a person waits, for pgsym as it runs by itself: on every processor.
    Wall,
}

impl Measure {
    fn words(self) -> &'static str {
        match self {
            Self::Cpu => "processor time on one thread",
            Self::Wall => "waiting, on every processor",
        }
    }
}

/// One program with its arguments.
pub(crate) struct Contender {
    name: String,
    command: Command,
    /// A program that takes seconds is run once, without warming up.
    is_slow: bool,
    runs: Vec<Run>,
}

impl Contender {
    fn new(name: &str, command: Command, is_slow: bool) -> Self {
        Self { name: name.to_owned(), command, is_slow, runs: Vec::new() }
    }

    /// pgsym on one thread; on every processor it stands behind it.
    pub(crate) fn ours(name: &str, command: Command) -> Self {
        Self::new(name, command, false)
    }

    /// pgsym in another way.
    pub(crate) fn also_ours(name: &str, command: Command) -> Self {
        Self::new(name, command, false)
    }

    /// Another program.
    pub(crate) fn peer(name: &str, command: Command) -> Self {
        Self::new(name, command, false)
    }

    /// Another program that takes long.
    pub(crate) fn slow(name: &str, command: Command) -> Self {
        Self::new(name, command, true)
    }

    fn spread(&self, value: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(value))
    }

    fn cpu(&self) -> Spread {
        self.spread(|run| run.cpu.as_secs_f64() * 1e3)
    }

    fn wall(&self) -> Spread {
        self.spread(|run| run.wall.as_secs_f64() * 1e3)
    }
}

impl Group {
    /// Runs every contender, in turns so that a disturbance of the machine meets all of them.
    pub(crate) fn measure(
        &mut self,
        runs: usize,
        measure: impl Fn(&mut Command) -> Result<Run>,
    ) -> Result<()> {
        for round in 0..=runs {
            for contender in &mut self.contenders {
                if contender.is_slow && round != 1 {
                    continue;
                }
                let run = measure(&mut contender.command)?;
                if round > 0 {
                    contender.runs.push(run);
                }
            }
        }
        Ok(())
    }

    /// pgsym's time in times of a peer's, medians both.
    fn ratio(&self, peer: &str, measure: Measure) -> Option<f64> {
        let peer = self.contenders.iter().find(|contender| contender.name == peer)?;
        Some(match measure {
            Measure::Cpu => self.contenders.first()?.cpu().median / peer.cpu().median,
            Measure::Wall => self.contenders.get(1)?.wall().median / peer.wall().median,
        })
    }

    fn target_ratio(&self, target: &Target) -> f64 {
        self.ratio(target.peer, target.measure).unwrap_or(f64::INFINITY)
    }

    /// Whether every target is met.
    pub(crate) fn is_met(&self) -> bool {
        self.targets.iter().all(|target| self.target_ratio(target) <= target.at_most)
    }
}

/// Megabytes that the reader needs for a million symbols.
fn megabytes_per_million(groups: &[Group], symbols: u32, name: &str) -> f64 {
    let peak = groups
        .iter()
        .flat_map(|group| &group.contenders)
        .find(|contender| contender.name == name)
        .map_or(0.0, |contender| contender.spread(|run| run.peak).max);
    peak / (f64::from(symbols) / 1e6)
}

/// The table, and what became of each target.
pub(crate) fn render(groups: &[Group], symbols: u32, same: &[(String, bool)]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<34} {:>7} {:>7} {:>7}   {:>7} {:>7} {:>7}   {:>6}  {:>7}",
        "milliseconds", "wall", "", "", "cpu", "", "", "peak", "pgsym's"
    );
    let _ = writeln!(
        text,
        "{:<34} {:>7} {:>7} {:>7}   {:>7} {:>7} {:>7}   {:>6}  {:>7}",
        "", "min", "median", "max", "min", "median", "max", "MB", "cpu / it"
    );
    for group in groups {
        let _ = writeln!(text, "{}", group.title);
        for contender in &group.contenders {
            let wall = contender.wall();
            let cpu = contender.cpu();
            let peak = contender.spread(|run| run.peak).max;
            let ratio = group.ratio(&contender.name, Measure::Cpu).unwrap_or(0.0);
            let _ = writeln!(
                text,
                "  {:<32} {:>7.1} {:>7.1} {:>7.1}   {:>7.1} {:>7.1} {:>7.1}   {:>6.1}  {:>7.3}",
                contender.name, wall.min, wall.median, wall.max, cpu.min, cpu.median, cpu.max, peak, ratio
            );
        }
    }
    let _ = writeln!(text, "\ntargets");
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    for group in groups {
        for target in &group.targets {
            let ratio = group.target_ratio(target);
            let _ = writeln!(
                text,
                "  {:<6} {}: {:.3} times {}, at most {} ({})",
                verdict(ratio <= target.at_most),
                group.title,
                ratio,
                target.peer,
                target.at_most,
                target.measure.words()
            );
        }
    }
    let [written, kept] = [WRITER, READER].map(|name| megabytes_per_million(groups, symbols, name));
    let _ = writeln!(
        text,
        "  {:<6} memory: {written:.1} MB per million symbols ({symbols} read and written), at most \
         {MEGABYTES_PER_MILLION}; {kept:.1} for who keeps them all",
        verdict(written <= MEGABYTES_PER_MILLION)
    );
    for (command, same) in same {
        let _ = writeln!(text, "  {:<6} same bytes on one thread and on several: {command}", verdict(*same));
    }
    text
}

/// The table as a page of the documentation.
pub(crate) fn document(table: &str) -> String {
    let machine = std::fs::read_to_string("/proc/cpuinfo").ok();
    let model = machine
        .as_deref()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("model name")))
        .map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let versions: Vec<String> = ["postgresql-15", "libtree", "pax-utils", "binutils", "libc6"]
        .iter()
        .map(|package| format!("{package} {}", debian::version_of(package)))
        .collect();
    format!(
        "# Benchmarks\n\n\
        Written by `cargo xtask bench-tree --write`, which installs what it needs and measures all of it in one run, in \
        turns, with everything in the page cache. Measured on {model}, {threads} processors, Debian with {}.\n\n\
        `cpu` is user and system time of all threads and children; the last column is pgsym's on one thread divided by \
        the line's. A reader is compared with a loop that does nothing but read the same tables of the same list of \
        files. `lddtree`, `ldd` and `readelf` are run once.\n\n\
        ```text\n{table}```\n",
        versions.join(", ")
    )
}
