//! The requests that the servers get.

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A ballot in the default poll.
    Vote,
    /// The default poll's result.
    Result,
}

impl Request {
    /// Its method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Vote => "POST",
            Self::Result => "GET",
        }
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Vote => "/api/submit",
            Self::Result => "/api/result",
        }
    }

    /// Its body. Every ballot chooses option 1, so that option's tally is the number of ballots.
    pub fn body(self) -> Option<&'static str> {
        match self {
            Self::Vote => Some("[1,3]"),
            Self::Result => None,
        }
    }
}
