//! Runs other programs for a bounded time, with all that they print, in an environment that is the same on every
//! machine.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Finished {
    /// Standard output as text; bytes that are no UTF-8 are replaced.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are no UTF-8 are replaced.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A command with an environment of `PATH` and the C locale alone, so that neither `LD_LIBRARY_PATH` nor a
/// translation can reach it, in the directory `/`.
pub(crate) fn clean(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LC_ALL", "C").current_dir("/");
    command
}

/// Runs a command to its end; kills it, and whatever it started, after `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    // Both pipes are drained beside the wait: a child that fills one would otherwise never end.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for {name}"))? {
            break status;
        }
        if start.elapsed() > limit {
            kill_group(child.id());
            child.wait().with_context(|| format!("cannot wait for {name}"))?;
            bail!("{name} did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let gather = |reader: std::thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Finished { status, stdout: gather(stdout), stderr: gather(stderr) })
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn run_well(command: &mut Command, limit: Duration) -> Result<Finished> {
    let finished = run(command, limit)?;
    if !finished.status.success() {
        bail!(
            "{} ended with {}: {}",
            command.get_program().to_string_lossy(),
            finished.status,
            finished.stderr().trim()
        );
    }
    Ok(finished)
}

/// Whether a program of this name is on the path of [`clean`] commands.
pub(crate) fn exists(program: &str) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).is_file())
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still what the program printed.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Kills a process group. `kill` itself is a program, so that this crate needs no unsafe code.
fn kill_group(leader: u32) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{leader}")]).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let start = Instant::now();
        let error = run(clean("/bin/sh").args(["-c", "sleep 60"]), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn more_output_than_a_pipe_holds_is_read() {
        let finished =
            run(clean("/bin/sh").args(["-c", "head -c 300000 /dev/zero"]), Duration::from_secs(10)).unwrap();
        assert_eq!(finished.stdout.len(), 300_000);
    }

    #[test]
    fn the_environment_does_not_reach_the_program() {
        let finished = run_well(&mut clean("/usr/bin/env"), Duration::from_secs(10)).unwrap();
        let names: Vec<String> =
            finished.stdout().lines().filter_map(|line| line.split('=').next().map(str::to_owned)).collect();
        assert_eq!(names, ["LC_ALL", "PATH"]);
    }
}
