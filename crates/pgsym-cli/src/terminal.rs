//! What depends on the terminal: colours, progress, and the one place where errors are printed.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pgsym_core::report::Palette;

use crate::args::Colour;

/// How long a run may take before it shows progress.
const PATIENCE: Duration = Duration::from_millis(500);

/// The colours of standard output.
pub(crate) fn palette(choice: Colour, stdout: &std::io::StdoutLock<'static>) -> Palette {
    match choice {
        Colour::Always => Palette::ansi(),
        Colour::Never => Palette::plain(),
        Colour::Auto => match AutoStream::choice(stdout) {
            anstream::ColorChoice::Never => Palette::plain(),
            _ => Palette::ansi(),
        },
    }
}

/// The colours of a file: none unless asked for.
pub(crate) fn palette_for_file(choice: Colour) -> Palette {
    if choice == Colour::Always { Palette::ansi() } else { Palette::plain() }
}

/// Progress on standard error, once a run takes long.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Nothing where standard error is not a terminal.
    pub(crate) fn start() -> Option<Self> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("reading  {pos}/{len} files") {
            bar.set_style(style);
        }
        Some(Self { bar, started: Instant::now() })
    }

    /// What the tree calls with the files done and all files.
    pub(crate) fn callback(&self) -> Arc<dyn Fn(usize, usize) + Send + Sync> {
        let (bar, started) = (self.bar.clone(), self.started);
        Arc::new(move |done, total| {
            if started.elapsed() < PATIENCE {
                return;
            }
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Prints why a question could not be answered: one sentence.
pub(crate) fn report_error(error: &anyhow::Error) {
    print_error(&format!("{error:#}"));
}

fn print_error(sentence: &str) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    // Nothing can be said about standard error being closed.
    let _ = writeln!(anstream::stderr().lock(), "{style}error{style:#}: {}", escaped(sentence));
}

/// Prints one sentence that is no error, where an answer would be empty.
pub(crate) fn note(sentence: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", escaped(sentence));
}

/// Names inside errors come from the command line and from files.
fn escaped(text: &str) -> String {
    text.lines()
        .map(|line| pgsym_core::name::Shown(line.as_bytes()).to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Prints what is wrong with the command line, short; help and version as they were asked for.
pub(crate) fn command_line_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe is not an error here either.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("tip: to pass"))
        .collect();
    let sentence = said.join(" ").replace(" tip: ", "; ");
    print_error(sentence.strip_prefix("error: ").unwrap_or(&sentence));
    ExitCode::from(2)
}
