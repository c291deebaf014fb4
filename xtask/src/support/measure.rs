//! Measures a program's run from outside: time on the clock, time on the processor, and the most memory that it had
//! at once, as the kernel counts them for the one child (`wait4`).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Time on the clock.
    pub(crate) wall: Duration,
    /// Time on processors, user and system together, all threads and waited-for children.
    pub(crate) cpu: Duration,
    /// The largest resident set, in megabytes of 2^20 bytes; of a shell, that of its largest child.
    pub(crate) peak: f64,
}

/// Runs a command to its end with its output thrown away, whatever its exit status: some peers complain and go on.
pub(crate) fn measure(command: &mut Command) -> Result<Run> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let usage = wait(child.id()).with_context(|| format!("cannot wait for {name}"))?;
    let wall = start.elapsed();
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(value.tv_usec.unsigned_abs())
    };
    if usage.signalled {
        bail!("{name} was killed by a signal");
    }
    // The kernel counts in kilobytes.
    let peak = f64::from(u32::try_from(usage.usage.ru_maxrss).unwrap_or(u32::MAX)) / 1024.0;
    Ok(Run { wall, cpu: time(usage.usage.ru_utime) + time(usage.usage.ru_stime), peak })
}

struct Usage {
    usage: libc::rusage,
    signalled: bool,
}

/// Waits for one child and takes its account. The standard library waits too, but has no way to ask for it.
#[expect(unsafe_code, reason = "wait4 is a system call without a safe face in the standard library")]
fn wait(child: u32) -> std::io::Result<Usage> {
    let child = libc::pid_t::try_from(child).map_err(std::io::Error::other)?;
    let mut status = 0;
    loop {
        // SAFETY: `rusage` is a plain record of integers, for which all zeroes is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to locals of the types that wait4 writes, alive during the call. The child is
        // ours and nobody else waits for it: its `Child` is dropped without a wait.
        let waited = unsafe { libc::wait4(child, &raw mut status, 0, &raw mut usage) };
        if waited == child {
            return Ok(Usage { usage, signalled: libc::WIFSIGNALED(status) });
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The least, middle and greatest of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The least.
    pub(crate) min: f64,
    /// The middle one; of an even number, the lower of the two.
    pub(crate) median: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; all zero of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        let last = values.len().saturating_sub(1);
        Self { min: at(0), median: at(last / 2), max: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_measured_whatever_its_exit_status() {
        let run = measure(Command::new("/bin/sh").args(["-c", "sleep 0.05; exit 3"])).unwrap();
        assert!(run.wall >= Duration::from_millis(50), "{run:?}");
        assert!(run.cpu < run.wall, "{run:?}");
        assert!(run.peak > 0.1, "{run:?}");
    }

    #[test]
    fn the_median_of_an_even_number_is_one_of_them() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 4.0 });
    }
}
