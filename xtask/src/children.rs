//! No process that a step started may outlive the step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::stopwatch::wait_until;

/// How long the processes of a step that has ended may take to end too.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Names the children that are somebody's who looks after them.
pub type Spared<'a> = dyn Fn() -> Vec<Pid> + Sync + 'a;

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

/// Waits a moment for all children of this process to end, but those that `spared` names whenever it is asked, and kills
/// those that don't. Returns what was killed.
///
/// To be called only while nobody waits for a child of theirs that isn't spared.
pub fn end_orphans(spared: &Spared<'_>) -> Vec<String> {
    if wait_until(ENDING_MAX, || all_ended(spared)).is_some() {
        return Vec::new();
    }
    let mut killed = Vec::new();
    // A child that is killed leaves its own children to us, so it takes a round for each generation.
    let _ = wait_until(ENDING_MAX, || {
        for pid in others(spared) {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
            // One that has ended meanwhile can't be killed, and need not be.
            if kill_process(pid, Signal::KILL).is_ok() {
                killed.push(format!("{} ({})", name.trim(), pid.as_raw_nonzero()));
            }
        }
        all_ended(spared)
    });
    killed.sort();
    killed.dedup();
    killed
}

/// Takes note of the children that have ended; `Some` if none is left but `spared`.
fn all_ended(spared: &Spared<'_>) -> Option<()> {
    others(spared).into_iter().all(is_gone).then_some(())
}

fn others(spared: &Spared<'_>) -> Vec<Pid> {
    let running = running();
    // Asked afterwards: what runs and was started by somebody who is spared is known by then, or in the next round.
    let spared = spared();
    running.into_iter().filter(|pid| !spared.contains(pid)).collect()
}

fn running() -> Vec<Pid> {
    of(Path::new("/proc/self"))
}

/// The children of the process of that directory.
fn of(process: &Path) -> Vec<Pid> {
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
    let children = of(&proc(pid));
    let further: Vec<_> = children.iter().flat_map(|child| descendants(*child)).collect();
    [children, further].concat()
}

/// Waits a moment for processes whose parent has ended to end too, and kills those that don't.
pub fn see_off(family: &[Pid], at_most: Duration) {
    let all_gone = || family.iter().all(|pid| is_gone(*pid)).then_some(());
    if wait_until(at_most, all_gone).is_none() {
        for pid in family.iter().filter(|pid| !is_gone(**pid)) {
            let _ = kill_process(*pid, Signal::KILL);
        }
        let _ = wait_until(at_most, all_gone);
    }
}

/// Whether it has ended; if it has become our own child, this takes note of it.
fn is_gone(pid: Pid) -> bool {
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(Some(_)) => true,
        Ok(None) => false,
        Err(_) => !proc(pid).exists(),
    }
}

fn proc(pid: Pid) -> PathBuf {
    format!("/proc/{}", pid.as_raw_nonzero()).into()
}
