//! No process that a step started may outlive the step.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::stopwatch::wait_until;

/// How long the processes of a step that has ended may take to end too.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// From now on, a process whose parent has died becomes a child of this one, where [`end_orphans`] finds it.
///
/// # Errors
/// If the system refuses.
pub fn adopt_orphans() -> anyhow::Result<()> {
    // Other systems have no such thing; there, orphans are not found.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Waits a moment for all children of this process to end and kills those that don't. Returns what was killed.
///
/// To be called only while nobody waits for a child of theirs.
pub fn end_orphans() -> Vec<String> {
    if wait_until(ENDING_MAX, all_ended).is_some() {
        return Vec::new();
    }
    let mut killed = Vec::new();
    // A child that is killed leaves its own children to us, so it takes a round for each generation.
    let _ = wait_until(ENDING_MAX, || {
        for pid in running() {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
            // One that has ended meanwhile can't be killed, and need not be.
            if kill_process(pid, Signal::KILL).is_ok() {
                killed.push(format!("{} ({})", name.trim(), pid.as_raw_nonzero()));
            }
        }
        all_ended()
    });
    killed.sort();
    killed.dedup();
    killed
}

/// Takes note of all children that have ended; `Some` if none is left.
fn all_ended() -> Option<()> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return None,
            Err(_) => return Some(()),
        }
    }
}

fn running() -> Vec<Pid> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> = lists.collect();
    children
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}
