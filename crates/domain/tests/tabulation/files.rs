//! Files of rankings: votelib reads the BLT file, PrefLib's own tools read the `.soi` file.

use serde::{Deserialize, Serialize};
use throng_domain::tabulation::{Profile, write_blt, write_soi};

use crate::elections::elections;
use crate::recount::Recount;

/// Labels as they may occur: with what has a meaning in one of the formats.
const LABELS: [&str; 8] =
    [r#"Otto "the one""#, r#""quoted""#, "a, b: {1,2}", "# 1: 2,3", "0", "Zoë 👩‍🚀", "it's\\n", "lines\u{2028}and\tmore"];

#[derive(Serialize)]
struct Asked {
    blt: String,
    soi: String,
}

#[derive(Deserialize)]
struct Responses {
    blt: Blt,
    soi: Soi,
}

#[derive(Deserialize)]
struct Blt {
    seats: u32,
    title: String,
    labels: Vec<String>,
    rankings: Vec<(Vec<usize>, u64)>,
}

#[derive(Deserialize)]
struct Soi {
    r#type: String,
    file_name: String,
    title: String,
    options: usize,
    voters: u64,
    orders: usize,
    labels: Vec<String>,
    rankings: Vec<(Vec<usize>, u64)>,
}

#[test]
fn other_programs_read_the_rankings_and_labels_that_were_written() {
    let mut recount = Recount::start();
    for (options, rankings) in elections().take(500) {
        let labelled: Vec<_> = options.iter().copied().zip(LABELS).collect();
        let profile = Profile { title: r#""Best", they say: #1"#, options: &labelled, rankings: &rankings };
        let (mut blt, mut soi) = (String::new(), String::new());
        write_blt(&mut blt, &profile).unwrap();
        write_soi(&mut soi, "best.soi", &profile).unwrap();
        let Responses { blt, soi } = recount.ask(&Asked { blt, soi });

        let position = |id| options.iter().position(|option| option == id).unwrap() + 1;
        let numbered = rankings.iter().map(|(ranking, ballots)| (ranking.iter().map(position).collect(), *ballots));
        let numbered: Vec<(Vec<usize>, u64)> = numbered.collect();
        let labels: Vec<_> =
            LABELS[..options.len()].iter().map(|label| label.replace(['\u{2028}', '\t'], " ")).collect();
        assert_eq!((blt.rankings, soi.rankings), (numbered.clone(), numbered));
        assert_eq!((blt.seats, soi.options, soi.orders), (1, options.len(), rankings.len()));
        assert_eq!(soi.voters, rankings.iter().map(|(_, ballots)| ballots).sum::<u64>());
        assert_eq!(
            (soi.r#type.as_str(), soi.file_name.as_str(), soi.title.as_str()),
            ("soi", "best.soi", profile.title)
        );
        assert_eq!(blt.title, "'Best', they say: #1");
        assert_eq!(blt.labels, labels.iter().map(|label| label.replace('"', "'")).collect::<Vec<_>>());
        assert_eq!(soi.labels, labels);
    }
    recount.finish();
}
