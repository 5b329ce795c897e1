//! Reports: as tables for readers, as JSON for programs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::machine::Machine;
use super::plan::Plan;
use super::runs::Run;

/// Two contenders to compare, and the ratio that is required.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The contender whose rate is the dividend.
    pub top: &'static str,
    /// The contender whose rate is the divisor.
    pub bottom: &'static str,
    /// Numbers of connections, and the lowest acceptable ratio at each; `None` where it is only shown.
    pub bars: &'static [(usize, Option<f64>)],
}

/// The results of one `cargo xtask bench …`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was measured.
    pub name: &'static str,
    /// The date.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// Rounds and seconds, where contenders ran in rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Further information for readers.
    pub notes: Vec<String>,
    /// Single figures.
    pub facts: Vec<Fact>,
    /// Compared rates.
    pub ratios: Vec<Ratio>,
    /// Every single run.
    pub runs: Vec<Run>,
}

/// A figure and its bar.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The unit of its value.
    pub unit: &'static str,
    /// The required value.
    pub bar: Bar,
    /// Whether the value is as required.
    pub met: bool,
}

/// The required value of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Less than this.
    Below(f64),
    /// This or more.
    AtLeast(f64),
    /// Any value.
    None,
}

impl Fact {
    /// A figure that must be less than `bar`.
    pub fn below(name: impl Into<String>, value: f64, unit: &'static str, bar: f64) -> Self {
        Self { name: name.into(), value, unit, bar: Bar::Below(bar), met: value < bar }
    }

    /// A figure that is only shown.
    pub fn shown(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, bar: Bar::None, met: true }
    }

    /// A figure that must be `bar` or more.
    pub fn at_least(name: impl Into<String>, value: f64, unit: &'static str, bar: f64) -> Self {
        Self { name: name.into(), value, unit, bar: Bar::AtLeast(bar), met: value >= bar }
    }
}

/// The rate of one contender over that of another, round by round.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    top: &'static str,
    bottom: &'static str,
    connections: usize,
    median: f64,
    lowest: f64,
    highest: f64,
    bar: Option<f64>,
    met: Option<bool>,
}

impl Ratio {
    /// Every comparison, at each of its numbers of connections.
    pub fn all(comparisons: &[Comparison], runs: &[Run]) -> Vec<Self> {
        let all = comparisons.iter().flat_map(|compared| compared.bars.iter().map(move |bar| (compared, bar)));
        all.filter_map(|(compared, (connections, bar))| Self::one(compared, *connections, *bar, runs)).collect()
    }

    fn one(compared: &Comparison, connections: usize, bar: Option<f64>, runs: &[Run]) -> Option<Self> {
        let Comparison { top, bottom, .. } = *compared;
        let rate = |round, contender| {
            let same = |run: &&Run| (run.round, run.connections, run.contender) == (round, connections, contender);
            runs.iter().find(same).map(|run| run.requests_per_s)
        };
        let rounds = 1..=runs.last()?.round;
        let ratios: Vec<f64> = rounds.filter_map(|round| Some(rate(round, top)? / rate(round, bottom)?)).collect();
        let median = median(ratios.iter().copied())?;
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        Some(Self { top, bottom, connections, median, lowest, highest, bar, met: bar.map(|bar| median >= bar) })
    }
}

/// The median, which is the mean of the two middle values of an even number; `None` if there are no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

impl Report {
    /// Prints the report and stores it in `directory`, as JSON and as Markdown.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        let text = self.text();
        println!("\n{text}");
        std::fs::create_dir_all(directory)?;
        let file = |ending: &str| -> PathBuf { directory.join(format!("{}-{}.{ending}", self.name, self.date)) };
        std::fs::write(file("md"), &text)?;
        std::fs::write(file("json"), serde_json::to_string_pretty(self)? + "\n")?;
        println!("stored in {} and {}", file("md").display(), file("json").display());
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!("# {}, {}\n\n", self.name, self.date);
        text.push_str(&table(&["machine", ""], &self.machine.rows()));
        text.push('\n');
        if let Some(Plan { rounds, seconds, .. }) = &self.plan {
            text.push_str(&format!(
                "Rounds: {rounds}, of {seconds} s for each contender and number of connections, in turn. Figures are \
                 medians of the rounds;\na ratio is the median of the rounds' ratios of requests a second. Load: wrk, on the \
                 same machine.\n\n"
            ));
        }
        for note in &self.notes {
            text.push_str(note);
            text.push_str("\n\n");
        }
        if !self.facts.is_empty() {
            text.push_str(&table(&["", "measured", "bar", ""], &self.fact_rows()));
            text.push('\n');
        }
        if self.runs.is_empty() {
            return text;
        }
        let headers = ["ratio", "connections", "median", "lowest", "highest", "bar", ""];
        text.push_str(&table(&headers, &self.ratio_rows()));
        text.push('\n');
        let headers = [
            "contender",
            "connections",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "CPU µs/request",
            "peak MB",
            "errors",
            "ballots counted beyond those answered",
        ];
        text.push_str(&table(&headers, &self.run_rows()));
        text
    }

    fn fact_rows(&self) -> Vec<Vec<String>> {
        let row = |fact: &Fact| {
            let Fact { name, value, unit, bar, met } = fact;
            let (bar, verdict) = match bar {
                Bar::Below(bar) => (format!("< {bar} {unit}"), verdict(*met)),
                Bar::AtLeast(bar) => (format!("≥ {bar} {unit}"), verdict(*met)),
                Bar::None => Default::default(),
            };
            // A figure without a unit is a ratio.
            let figure = if unit.is_empty() { format!("{value:.3}") } else { format!("{value:.1} {unit}") };
            vec![name.clone(), figure, bar, verdict]
        };
        self.facts.iter().map(row).collect()
    }

    fn ratio_rows(&self) -> Vec<Vec<String>> {
        let row = |ratio: &Ratio| {
            let figures = [ratio.median, ratio.lowest, ratio.highest].map(|figure| format!("{figure:.3}"));
            let mut row = vec![format!("{} ÷ {}", ratio.top, ratio.bottom), ratio.connections.to_string()];
            row.extend(figures);
            row.push(ratio.bar.map_or_else(String::new, |bar| format!("≥ {bar}")));
            row.push(ratio.met.map_or_else(String::new, verdict));
            row
        };
        self.ratios.iter().map(row).collect()
    }

    /// A row for each contender at each number of connections, in the order in which they first ran.
    fn run_rows(&self) -> Vec<Vec<String>> {
        let first = self.runs.iter().filter(|run| run.round == 1);
        let row = |first: &Run| {
            let same = |run: &&Run| (run.contender, run.connections) == (first.contender, first.connections);
            let runs = || self.runs.iter().filter(same);
            let middle = |figure: fn(&Run) -> f64| median(runs().map(figure)).unwrap_or_default();
            let beyond: u64 = runs().filter_map(|run| run.ballots).map(|b| b.counted.saturating_sub(b.answered)).sum();
            let beyond = if first.ballots.is_some() { beyond.to_string() } else { String::new() };
            vec![
                first.contender.to_owned(),
                first.connections.to_string(),
                format!("{:.0}", middle(|run| run.requests_per_s)),
                format!("{:.2}", middle(|run| run.p50_ms)),
                format!("{:.2}", middle(|run| run.p99_ms)),
                format!("{:.2}", middle(|run| run.cpu_us_per_request)),
                format!("{:.1}", middle(|run| run.memory_peak_mb)),
                runs().map(|run| run.errors).sum::<u64>().to_string(),
                beyond,
            ]
        };
        first.map(row).collect()
    }
}

fn verdict(met: bool) -> String {
    if met { "pass" } else { "short" }.to_owned()
}

/// A table in Markdown, with columns aligned for reading it as plain text.
fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, header: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header.chars().count(), 3]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = headers.iter().enumerate().map(|(column, header)| width(column, header)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(&mut headers.iter().copied());
    text.push_str(&line(&mut rule.iter().map(String::as_str)));
    rows.iter().for_each(|row| text.push_str(&line(&mut row.iter().map(String::as_str))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(round: usize, contender: &'static str, requests_per_s: f64) -> Run {
        Run {
            round,
            contender,
            connections: 64,
            requests_per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
            cpu_us_per_request: 5.0,
            memory_peak_mb: 10.0,
            requests: 100,
            errors: 0,
            ballots: None,
            counted_after_s: None,
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let rates = [(1, 100.0, 50.0), (2, 100.0, 100.0), (3, 400.0, 100.0)];
        let runs: Vec<Run> =
            rates.iter().flat_map(|(r, top, bottom)| [run(*r, "t", *top), run(*r, "b", *bottom)]).collect();
        let bars: &[Comparison] = &[Comparison {
            top: "t",
            bottom: "b",
            bars: &[(64, Some(2.1)), (64, Some(2.0)), (64, None), (1000, None)],
        }];
        let ratios = Ratio::all(bars, &runs);
        let seen: Vec<_> = ratios.iter().map(|ratio| (ratio.median, ratio.met)).collect();
        assert_eq!(seen, [(2.0, Some(false)), (2.0, Some(true)), (2.0, None)]);
        assert_eq!((ratios[0].lowest, ratios[0].highest), (1.0, 4.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two() {
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_table_is_aligned() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["µs ÷".to_owned(), "12345".to_owned()]];
        assert_eq!(
            table(&["name", "n"], &rows),
            "| name | n     |\n| ---- | ----- |\n| a    | 1     |\n| µs ÷ | 12345 |\n"
        );
    }
}
