//! Strict parsing of a message's contents.

use super::NotAMessage;

/// The remaining bytes.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(contents: &'a [u8]) -> Self {
        Self(contents)
    }

    pub(super) fn byte(&mut self) -> Result<u8, NotAMessage> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], NotAMessage> {
        let (array, rest) = self.0.split_first_chunk().ok_or(NotAMessage::Malformed("it is truncated"))?;
        self.0 = rest;
        Ok(*array)
    }

    /// A number in its shortest form.
    pub(super) fn number(&mut self) -> Result<u64, NotAMessage> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(NotAMessage::Malformed("a number is too large"));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(NotAMessage::Malformed("a number is not in its shortest form"))
                } else {
                    Ok(number)
                };
            }
        }
        Err(NotAMessage::Malformed("a number is too long"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, NotAMessage> {
        let zigzag = self.number()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// The number of items that follow: at most `max`, and no more than the remaining bytes can hold, so that it is safe to
    /// allocate memory for them.
    pub(super) fn count(&mut self, max: usize, each_bytes_min: usize) -> Result<usize, NotAMessage> {
        let max = max.min(self.0.len() / each_bytes_min);
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > max {
            Err(NotAMessage::Malformed("a count exceeds its limit or the size of the message"))
        } else {
            Ok(count)
        }
    }

    pub(super) fn finish(self) -> Result<(), NotAMessage> {
        if self.0.is_empty() { Ok(()) } else { Err(NotAMessage::Malformed("it has trailing bytes")) }
    }
}
