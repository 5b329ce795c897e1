//! Hexadecimal digits.

/// The 32 lower-case digits of a number. The standard formatting divides it digit by digit and takes three times as long; a first
/// vote writes five such numbers.
pub(super) fn digits(number: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(number.to_be_bytes()) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    digits
}

/// The same as text.
pub(super) fn as_text(digits: &[u8; 32]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_formatting() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u128::MAX, u128::MAX / 3] {
            assert_eq!(as_text(&digits(number)), format!("{number:032x}"));
        }
    }
}
