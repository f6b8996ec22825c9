//! Looking at, signalling and waiting for processes that need not be our children. It never signals a process
//! that its caller has not identified.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process, test_kill_process};

/// How often a condition is looked at while waiting.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let Some(pid) = as_pid(pid) else { return Err(io::ErrorKind::InvalidInput.into()) };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process runs; one that ended and waits to be reaped does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Some(process) = as_pid(pid) else { return false };
    if matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH)) {
        return false;
    }
    // The state follows the name, which is in parentheses and may itself hold any character.
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

/// Whether the process is a PostgreSQL server whose data folder is `data`. Process ids are reused, so a pid file
/// alone proves nothing.
pub(crate) fn is_server_of(pid: u32, data: &Path) -> bool {
    if !is_alive(pid) {
        return false;
    }
    if !Path::new("/proc/self/cmdline").exists() {
        return is_listed_as_server_of(pid, data);
    }
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = command_line.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    if !program.ends_with(b"postgres") && !program.ends_with(b"postmaster") {
        return false;
    }
    // A server's working directory is its data folder. Root in a container may not look at another user's; our
    // own servers have the folder on their command line.
    match std::fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(directory) => directory == data,
        Err(_) => arguments.any(|argument| argument == data.as_os_str().as_encoded_bytes()),
    }
}

/// For systems without `/proc`: our own servers have the data folder on their command line.
fn is_listed_as_server_of(pid: u32, data: &Path) -> bool {
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    let Ok(output) = output else { return false };
    let command_line = String::from_utf8_lossy(&output.stdout).into_owned();
    command_line.contains("postgres") && data.to_str().is_some_and(|data| command_line.contains(data))
}

/// Waits until `condition` holds, `limit` at most; whether it came to hold.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(TICK);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_not_alive_before_it_is_reaped() {
        let mut child = Command::new("true").spawn().unwrap();
        assert!(wait_until(Duration::from_secs(10), || !is_alive(child.id())));
        child.wait().unwrap();
        assert!(is_alive(std::process::id()));
    }

    #[test]
    fn other_processes_are_no_servers() {
        let here = std::env::current_dir().unwrap();
        assert!(!is_server_of(std::process::id(), &here));
        assert!(!is_server_of(0, &here));
        assert!(!is_server_of(u32::MAX, &here));
    }
}
