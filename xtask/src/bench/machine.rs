//! The machine that the benchmark runs on.

use std::fs::read_to_string;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::command;
use crate::stopwatch::{Stopwatch, wait_until};

/// How long to wait for compilers of other processes to end.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(600);

/// Programs that must not run during a measurement.
const COMPILERS: [&str; 6] = ["rustc", "clippy-driver", "rustdoc", "cc1", "ld", "rust-lld"];

/// How often a sync of the disk is timed.
const SYNCS: usize = 501;

/// The properties of the machine that are needed to interpret the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    memory_gb: u64,
    kernel: String,
    disk: String,
    rustc: String,
    commit: String,
}

impl Machine {
    /// This machine, with the disk that `scratch` is on.
    ///
    /// # Errors
    /// If git or rustc can't be run, or `scratch` isn't on a real disk.
    pub fn describe(scratch: &Path) -> anyhow::Result<Self> {
        let cpu = read_to_string("/proc/cpuinfo")?;
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
        let memory = read_to_string("/proc/meminfo")?;
        let memory_kib: u64 = memory.split_whitespace().nth(1).context("/proc/meminfo is empty")?.parse()?;
        let uname = rustix::system::uname();
        let changed = !command::output(command::program("git").args(["status", "--porcelain"]))?.is_empty();
        let commit = command::output(command::program("git").args(["rev-parse", "--short", "HEAD"]))?;
        Ok(Self {
            cpu: cpu.unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gb: memory_kib.div_ceil(1024 * 1024),
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            disk: format!("{}; 4 KB written over and synced in {} µs", disk(scratch)?, sync_us(scratch)?),
            rustc: command::output(command::program("rustc").arg("--version"))?,
            commit: if changed { format!("{commit}, with changes") } else { commit },
        })
    }

    /// Names and values, for a table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let cores = format!("{} × {}", self.cores, self.cpu);
        let memory = format!("{} GB", self.memory_gb);
        let rows = [("processor", &cores), ("memory", &memory), ("kernel", &self.kernel), ("disk", &self.disk)];
        let rows = rows.into_iter().chain([("compiler", &self.rustc), ("commit", &self.commit)]);
        rows.map(|(name, value)| vec![name.to_owned(), value.clone()]).collect()
    }
}

/// The day in UTC, as `2026-11-23`.
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%F").to_string()
}

/// The time, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Raises the limit on file descriptors of this process, and of those that it starts, to the permitted maximum.
///
/// # Errors
/// If the system refuses.
pub fn raise_descriptor_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Returns once no compiler runs on this machine.
///
/// # Errors
/// If one runs for too long.
pub fn wait_until_quiet() -> anyhow::Result<()> {
    if compiler().is_none() {
        return Ok(());
    }
    println!("waiting for a compiler to end");
    match wait_until(QUIET_WAIT_MAX, || compiler().is_none().then_some(())) {
        Some(()) => Ok(()),
        None => bail!("`{}` runs on this machine; measure when nothing compiles", compiler().unwrap_or_default()),
    }
}

fn compiler() -> Option<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|process| read_to_string(process.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).find(|name| COMPILERS.contains(&name.as_str()))
}

/// The cost of a sync of the disk: the median time to overwrite 4 KB and sync it, in microseconds. No commit is faster.
fn sync_us(scratch: &Path) -> anyhow::Result<u128> {
    let file = tempfile::tempfile_in(scratch)?;
    let page = [1; 4096];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let watch = Stopwatch::start();
        file.write_all_at(&page, 0)?;
        file.sync_data()?;
        times.push(watch.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

/// The file system that `path` is on: in `/proc/self/mountinfo`, the one with the longest mount point above it.
fn disk(path: &Path) -> anyhow::Result<String> {
    let path = path.canonicalize()?;
    let mounts = read_to_string("/proc/self/mountinfo")?;
    let above = mounts.lines().filter_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        let mut system = system.split(' ');
        path.starts_with(point).then_some((point, system.next()?, system.next()?))
    });
    let (_, kind, device) = above.max_by_key(|(point, ..)| point.len()).context("no mount point is above")?;
    if ["tmpfs", "ramfs"].contains(&kind) {
        bail!("{} is in memory ({kind}), where a sync costs nothing; set CARGO_TARGET_DIR to a disk", path.display());
    }
    Ok(format!("{kind} on {device}"))
}
