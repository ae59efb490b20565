//! Standard output: buffered, coloured where asked, quiet when its reader goes away.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use crate::color::{ColorWhen, Paint};
use crate::error::Result;

/// Standard output.
pub(crate) struct Output {
    to: BufWriter<StdoutLock<'static>>,
    /// How text is painted.
    pub(crate) paint: Paint,
}

impl Output {
    pub(crate) fn new(color: ColorWhen) -> Self {
        let paint = Paint(color.is_on(&io::stdout()));
        Self { to: BufWriter::with_capacity(1 << 16, io::stdout().lock()), paint }
    }

    /// Whether a person reads this.
    pub(crate) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a value as JSON on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        self.to.write_all(b"\n")?;
        Ok(())
    }

    /// Writes out what is buffered. Each command ends with this, so that an error is seen.
    pub(crate) fn finish(mut self) -> Result<()> {
        Ok(self.to.flush()?)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
