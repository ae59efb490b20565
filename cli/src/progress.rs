//! A bar on standard error while something long is done.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A bar for bytes; nothing is shown where standard error is no terminal.
pub(crate) struct Progress {
    is_shown: bool,
    began: Instant,
    shown: Option<Instant>,
    /// Bytes that were there at the first report, which say nothing of the speed.
    kept: Option<u64>,
}

impl Progress {
    /// A bar, unless `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let is_shown = !quiet && std::io::stderr().is_terminal();
        Self { is_shown, began: Instant::now(), shown: None, kept: None }
    }

    /// Shows how far it is, at most ten times a second.
    pub(crate) fn report(&mut self, done: u64, total: u64) {
        let kept = *self.kept.get_or_insert(done);
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(100));
        if self.is_shown && is_due {
            self.shown = Some(Instant::now());
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r{}\x1b[K", line(done, total, kept, self.began.elapsed()));
            let _ = stderr.flush();
        }
    }
}

impl Progress {
    /// Shows how many of a number of things are done, at most ten times a second.
    pub(crate) fn count(&mut self, done: usize, total: usize) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(100));
        if self.is_shown && is_due {
            self.shown = Some(Instant::now());
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r{done} of {total}\x1b[K");
            let _ = stderr.flush();
        }
    }
}

impl Drop for Progress {
    /// Clears the line.
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The bar, how much is done, how fast, and how long it will take; below 80 columns.
fn line(done: u64, total: u64, kept: u64, elapsed: Duration) -> String {
    const WIDTH: usize = 24;
    let part = if total == 0 { 1.0 } else { done as f64 / total as f64 };
    let full = ((part * WIDTH as f64) as usize).min(WIDTH);
    let bar = format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full));
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let mut line = format!("{bar} {:3.0} % of {:.2} GB", (part * 100.0).floor(), gigabytes(total));
    let speed = done.saturating_sub(kept) as f64 / elapsed.as_secs_f64();
    if speed > 0.0 && speed.is_finite() {
        let seconds = (total.saturating_sub(done) as f64 / speed).ceil() as u64;
        let left = match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
            3600..360_000 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
            _ => "over 100 h".to_owned(),
        };
        line += &format!(", {:.0} MB/s, {left} left", speed / 1e6);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_part_speed_and_time_left() {
        assert_eq!(
            line(6_000_000_000, 12_000_000_000, 2_000_000_000, Duration::from_secs(40)),
            "[############------------]  50 % of 12.00 GB, 100 MB/s, 1 min 00 s left"
        );
        assert_eq!(
            line(0, 2_000_000, 0, Duration::from_secs(1)),
            "[------------------------]   0 % of 0.00 GB"
        );
        assert!(line(1, 65_248_815_744, 0, Duration::from_secs(9_999)).len() < 80);
        assert!(line(5, 5, 0, Duration::ZERO).starts_with("[########################] 100 % of"));
    }
}
