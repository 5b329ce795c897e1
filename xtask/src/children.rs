//! Ends the processes that a step started and left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::stopwatch::wait_until;

/// How long the processes of a step that has ended may take to end.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Returns the children that other code waits for.
pub type Exempt<'a> = dyn Fn() -> Vec<Pid> + Sync + 'a;

/// From now on, a process whose parent has died becomes a child of this one, where [`end_orphans`] finds it.
///
/// # Errors
/// If the system refuses.
pub fn adopt_orphans() -> anyhow::Result<()> {
    // Other systems have no equivalent; orphans are not found there.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Waits briefly for all children of this process to end, except those that `exempt` returns each time it is called, and kills
/// those that don't. Returns the names of the killed processes.
///
/// Must be called only while no other code waits for a child that isn't exempt.
pub fn end_orphans(exempt: &Exempt<'_>) -> Vec<String> {
    if wait_until(ENDING_MAX, || all_ended(exempt)).is_some() {
        return Vec::new();
    }
    let mut killed = Vec::new();
    // The children of a killed child become children of this process, so each generation takes a round.
    let _ = wait_until(ENDING_MAX, || {
        for pid in not_exempt(exempt) {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
            // A process that has ended in the meantime can't be killed and need not be.
            if kill_process(pid, Signal::KILL).is_ok() {
                killed.push(format!("{} ({})", name.trim(), pid.as_raw_nonzero()));
            }
        }
        all_ended(exempt)
    });
    killed.sort();
    killed.dedup();
    killed
}

/// Reaps the children that have ended; `Some` if only exempt ones are left.
fn all_ended(exempt: &Exempt<'_>) -> Option<()> {
    not_exempt(exempt).into_iter().all(is_gone).then_some(())
}

fn not_exempt(exempt: &Exempt<'_>) -> Vec<Pid> {
    let children = children();
    // Called after the children were listed: a listed child that is exempt is known by now, or in the next round.
    let exempt = exempt();
    children.into_iter().filter(|pid| !exempt.contains(pid)).collect()
}

fn children() -> Vec<Pid> {
    children_of(Path::new("/proc/self"))
}

/// The children of the process with this directory in `/proc`.
fn children_of(process: &Path) -> Vec<Pid> {
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> = lists.collect();
    children
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// The children of a process, their children, and so on.
pub fn descendants(pid: Pid) -> Vec<Pid> {
    let children = children_of(&proc_dir(pid));
    let further: Vec<_> = children.iter().flat_map(|child| descendants(*child)).collect();
    [children, further].concat()
}

/// Waits up to `at_most` for processes whose parent has ended to end, and kills those that don't.
pub fn end(processes: &[Pid], at_most: Duration) {
    let all_gone = || processes.iter().all(|pid| is_gone(*pid)).then_some(());
    if wait_until(at_most, all_gone).is_none() {
        for pid in processes.iter().filter(|pid| !is_gone(**pid)) {
            let _ = kill_process(*pid, Signal::KILL);
        }
        let _ = wait_until(at_most, all_gone);
    }
}

/// Whether it has ended; reaps it if it is a child of this process.
fn is_gone(pid: Pid) -> bool {
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(Some(_)) => true,
        Ok(None) => false,
        Err(_) => !proc_dir(pid).exists(),
    }
}

fn proc_dir(pid: Pid) -> PathBuf {
    format!("/proc/{}", pid.as_raw_nonzero()).into()
}
