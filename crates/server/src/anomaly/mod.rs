//! How unusual the votes of a poll are, from what this node has seen of them within the last minute.
//!
//! Each core notes its votes in a [`VoteBuffer`] of its own. Four times a second the [`AnomalyMonitor`] takes them, adds them to
//! their polls' windows (`window.rs`), and computes each poll's score from 0 to 100 with its reasons (`score.rs`). The score blocks
//! nothing. It decides whether a poll with the proof of work `adaptive` asks for one, and tells an operator where to look.
//!
//! What is exact: the votes in a window, up to 8,000 per second and core; of more, every second, fourth … one is noted, and
//! counts for so many. The busiest networks and devices are counted by `busiest.rs`, which says how exactly. Everything is in
//! memory and bounded, and forgotten after two minutes. A network is known by a hash under a key that each process makes for
//! itself, never by its address.

mod busiest;
mod monitor;
mod score;
mod vote_buffer;
mod window;

use throng_domain::poll::{Poll, Proof};

pub use self::monitor::{AnomalyMonitor, Crossing, SCORE_OFF, SCORE_ON, UPDATE_EVERY};
pub use self::score::{AnomalyReport, Reason};
pub use self::vote_buffer::{Sighting, VoteBuffer, VoteKind};

/// Whether the votes of this poll are noted and scored. Elsewhere nothing is looked at, and a vote costs nothing more.
pub fn is_scored(poll: &Poll) -> bool {
    let is_adaptive = match poll.proof {
        Proof::Adaptive => true,
        Proof::Never | Proof::Always => false,
    };
    is_adaptive || poll.policy.identifies_voters()
}
