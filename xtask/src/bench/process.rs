//! The resources that a process and its children have used, as Linux reports them in `/proc`.

use std::fs::read_to_string;

use anyhow::Context as _;

/// A process and its children.
#[derive(Debug)]
pub struct Processes(Vec<u32>);

impl Processes {
    /// The process and the children that it has now.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let children = read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        Ok(Self(std::iter::once(pid).chain(children).collect()))
    }

    /// The processor time used so far, in microseconds.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn cpu_us(&self) -> anyhow::Result<u64> {
        let ticks = self.sum(|pid| ticks(&read_to_string(format!("/proc/{pid}/stat"))?))?;
        Ok(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
    }

    /// The sum of each process's peak resident memory, in KiB.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn memory_peak_kib(&self) -> anyhow::Result<u64> {
        self.sum(|pid| memory_kib(pid, "VmHWM:"))
    }

    /// The sum of each process's resident memory now, in KiB.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        self.sum(|pid| memory_kib(pid, "VmRSS:"))
    }

    fn sum(&self, one: impl Fn(u32) -> anyhow::Result<u64>) -> anyhow::Result<u64> {
        self.0.iter().map(|pid| one(*pid).with_context(|| format!("process {pid} can't be read"))).sum()
    }
}

fn memory_kib(pid: u32, which: &str) -> anyhow::Result<u64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(which)).with_context(|| format!("{which} is missing"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The ticks in user and system mode: fields 14 and 15 of `/proc/PID/stat` (see proc(5)). The name before them is in
/// parentheses and may contain any character.
fn ticks(stat: &str) -> anyhow::Result<u64> {
    let (_, fields) = stat.rsplit_once(") ").context("the process has no name")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system) = fields.next().zip(fields.next()).context("the times are missing")?;
    Ok(user.parse::<u64>()? + system.parse::<u64>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_after_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 900 0 0 0 120 34 0 0 20 0 3 0 100 0 0";
        assert_eq!(ticks(stat).unwrap(), 154);
        assert!(ticks("42 (short) S 1").is_err());
    }

    #[test]
    fn this_process_has_used_memory() {
        let processes = Processes::of(std::process::id()).unwrap();
        assert!(processes.memory_peak_kib().unwrap() > 100);
        processes.cpu_us().unwrap();
    }
}
