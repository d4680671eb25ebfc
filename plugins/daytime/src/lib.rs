//! Sends the date and the time, and ends: the daytime protocol of RFC 867, over TCP and over UDP.
//!
//! The form is the first that the RFC proposes, "Weekday, Month Day, Year Time-Zone", in UTC:
//!
//! ```text
//! $ portcell run daytime.wasm --listen :7000
//! $ nc localhost 7000
//! Monday, February 22, 1982 17:37:43-UTC
//! ```

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use portcell_sdk::{Connection, Transport, handler};

#[handler]
fn daytime(mut conn: Connection) -> io::Result<()> {
    if conn.transport()? != Transport::Udp {
        return conn.write_all(answer(now()).as_bytes());
    }
    // Over UDP a datagram is a question, whatever is in it.
    while conn.recv(&mut [0])?.is_some() {
        conn.send(answer(now()).as_bytes())?;
    }
    Ok(())
}

/// In seconds since the start of 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The answer at a time in seconds since the start of 1970.
fn answer(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let weekday = WEEKDAYS[(days % 7) as usize];
    let (year, month, day) = date(days);
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

/// Year, name of the month and day of the month, from the days since the start of 1970.
fn date(mut days: u64) -> (u64, &'static str, u64) {
    let mut year = 1970;
    while days >= 365 + leap_day(year) {
        days -= 365 + leap_day(year);
        year += 1;
    }
    for (month, length) in MONTHS {
        let length = if month == "February" { length + leap_day(year) } else { length };
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    unreachable!("the months of a year have as many days as the year")
}

fn leap_day(year: u64) -> u64 {
    u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
}

/// From the first day of 1970 on.
const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

#[cfg(test)]
mod tests {
    use portcell_sdk::testing::converse;

    use super::*;

    #[test]
    fn a_time_becomes_the_line_of_the_rfc() {
        for (seconds, expected) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (383_247_463, "Monday, February 22, 1982 17:37:43-UTC\r\n"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC\r\n"),
            (1_709_251_199, "Thursday, February 29, 2024 23:59:59-UTC\r\n"),
            (1_767_225_599, "Wednesday, December 31, 2025 23:59:59-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(answer(seconds), expected);
        }
    }

    #[test]
    fn over_tcp_the_answer_comes_without_a_question() {
        let before = now();
        let line = converse(daytime, "");
        assert!((before..=now()).any(|second| answer(second).as_bytes() == line));
    }

    #[test]
    fn over_udp_every_datagram_is_answered() {
        let (conn, peer) = Connection::datagram_pair();
        peer.send(b"").unwrap();
        peer.send(b"what time is it?").unwrap();
        peer.finish();
        daytime(conn).unwrap();

        let mut buffer = [0; 64];
        for _ in 0..2 {
            let length = peer.recv(&mut buffer).unwrap().unwrap();
            assert!(buffer[..length].ends_with(b"-UTC\r\n"));
        }
        assert_eq!(peer.recv(&mut buffer).unwrap(), None);
    }
}
