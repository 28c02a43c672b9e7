//! A time in one of the two layouts that most logs are written in → the instant, each digit read
//! from its place.

use jiff::{civil::DateTime, tz::Offset};

use crate::time::Timestamp;

/// `20/Jan/2026:10:05:00 +0000`.
pub(super) const CLF_LEN: usize = 26;

/// `2026-01-20T10:05:00.120Z`, with up to six digits of the second's fraction, or none.
pub(super) fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (head, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', o0, o1, b'-', d0, d1, b'T', h0, h1, b':', m0, m1, b':', s0, s1] =
        head
    else {
        return None;
    };
    let micro = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10_i32.pow(6 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    instant(
        [number(&[*y0, *y1, *y2, *y3])?, number(&[*o0, *o1])?, number(&[*d0, *d1])?],
        [number(&[*h0, *h1])?, number(&[*m0, *m1])?, number(&[*s0, *s1])?],
        micro,
        0,
    )
}

/// `20/Jan/2026:10:05:00 +0100`.
pub(super) fn clf(text: &[u8]) -> Option<Timestamp> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let (head, offset) = text.split_at_checked(20)?;
    let [d0, d1, b'/', month @ .., b'/', y0, y1, y2, y3, b':', h0, h1, b':', m0, m1, b':', s0, s1] =
        head
    else {
        return None;
    };
    let [b' ', sign @ (b'+' | b'-'), oh0, oh1, om0, om1] = offset else { return None };
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let east = number(&[*oh0, *oh1])? * 3600 + number(&[*om0, *om1])? * 60;
    instant(
        [number(&[*y0, *y1, *y2, *y3])?, i32::try_from(month).ok()?, number(&[*d0, *d1])?],
        [number(&[*h0, *h1])?, number(&[*m0, *m1])?, number(&[*s0, *s1])?],
        0,
        if *sign == b'-' { -east } else { east },
    )
}

/// A whole number of at most nine digits.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number: i32, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0'))
    })
}

fn instant(
    [year, month, day]: [i32; 3],
    [hour, minute, second]: [i32; 3],
    micro: i32,
    offset: i32,
) -> Option<Timestamp> {
    let narrow = |number: i32| i8::try_from(number).ok();
    let civil = DateTime::new(
        i16::try_from(year).ok()?,
        narrow(month)?,
        narrow(day)?,
        narrow(hour)?,
        narrow(minute)?,
        // A leap second is the second before it, as the long way reads it.
        narrow(second.min(if second == 60 { 59 } else { second }))?,
        micro * 1_000,
    );
    let read = Offset::from_seconds(offset).ok()?.to_timestamp(civil.ok()?).ok()?;
    Some(Timestamp(read.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_reads_what_the_long_way_does(
            at in -62_135_596_800_000_000_i64..253_370_764_799_000_000,
            digits in 0_usize..=6,
        ) {
            let at = jiff::Timestamp::from_microsecond(at).unwrap();
            let written = format!("{at:.digits$}");
            prop_assert_eq!(rfc3339(written.as_bytes()), Timestamp::parse(&written));
        }

        #[test]
        fn whatever_the_short_way_reads_the_long_way_does_too(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?Z") {
            let read = rfc3339(text.as_bytes());
            prop_assert!(read.is_none() || read == Timestamp::parse(&text), "{}", text);
        }
    }
}
