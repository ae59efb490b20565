//! An answer for reading, as it comes: a line for each message, the content below it in the colour of the channel.

use std::io::Write;
use std::str::FromStr;

use anstyle::Style;
use harmony_format::{Event, Header, Message, channel};

use crate::color::{self, Paint};
use crate::error::Result;
use crate::excerpt::printable;
use crate::session::turn::Told;

/// The value of `--show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Everything, with a line for each message.
    All,
    /// What stands on these channels; where it is one alone, without lines in between.
    Channels(Vec<String>),
}

impl Show {
    pub(crate) fn final_only() -> Self {
        Self::Channels(vec![channel::FINAL.to_owned()])
    }

    fn has(&self, channel: Option<&str>) -> bool {
        match self {
            Self::All => true,
            // An answer may come without a header.
            Self::Channels(channels) => {
                let channel = channel.unwrap_or(self::channel::FINAL);
                channels.iter().any(|shown| shown == channel)
            }
        }
    }

    fn has_headers(&self) -> bool {
        !matches!(self, Self::Channels(channels) if channels.len() == 1)
    }
}

impl FromStr for Show {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let known = [channel::ANALYSIS, channel::COMMENTARY, channel::FINAL];
        let channels: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        match channels.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("the channels are analysis, commentary and final, found {name:?}")),
            None => Ok(Self::Channels(channels)),
        }
    }
}

/// What is on the screen so far.
pub(crate) struct View {
    show: Show,
    paint: Paint,
    /// Whether what would steer a terminal is replaced.
    is_terminal: bool,
    /// The style of the message that is being shown.
    current: Option<Style>,
    has_messages: bool,
    at_line_start: bool,
}

impl View {
    pub(crate) fn new(show: Show, paint: Paint, is_terminal: bool) -> Self {
        Self { show, paint, is_terminal, current: None, has_messages: false, at_line_start: true }
    }

    /// Shows what is new.
    pub(crate) fn tell(&mut self, told: &Told<'_>, out: &mut impl Write) -> Result<()> {
        match told {
            Told::Prompt { .. } | Told::Call(_) | Told::News { .. } | Told::Event(Event::Repair(_)) => Ok(()),
            Told::Event(Event::Start(header)) => self.start(header, out),
            Told::Event(Event::Delta(text)) => self.text(text, out),
            Told::Event(Event::End(_)) => self.end(out),
            Told::Result { message, .. } => self.message(message, out),
        }
    }

    /// Shows a whole message.
    pub(crate) fn message(&mut self, message: &Message, out: &mut impl Write) -> Result<()> {
        let header = Header {
            author: message.author.clone(),
            recipient: message.recipient.clone(),
            channel: message.channel.clone(),
            content_type: message.content_type.clone(),
        };
        self.start(&header, out)?;
        self.text(&message.text(), out)?;
        self.end(out)
    }

    fn start(&mut self, header: &Header, out: &mut impl Write) -> Result<()> {
        self.end(out)?;
        if !self.show.has(header.channel.as_deref()) {
            return Ok(());
        }
        let style = color::channel(header.channel.as_deref(), header.author.role.as_str());
        self.current = Some(style);
        if self.has_messages {
            writeln!(out)?;
        }
        self.has_messages = true;
        if self.show.has_headers() {
            writeln!(out, "{}", self.paint.paint(style.bold(), heading(header)))?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut impl Write) -> Result<()> {
        let Some(style) = self.current else { return Ok(()) };
        let text = match self.is_terminal {
            true => text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { printable(c) }).collect(),
            false => text.to_owned(),
        };
        write!(out, "{}", self.paint.paint(style, &text))?;
        if let Some(last) = text.chars().next_back() {
            self.at_line_start = last == '\n';
        }
        Ok(())
    }

    /// Ends the message that is being shown, with its line.
    pub(crate) fn end(&mut self, out: &mut impl Write) -> Result<()> {
        if self.current.take().is_some() && !self.at_line_start {
            writeln!(out)?;
        }
        self.at_line_start = true;
        Ok(())
    }
}

/// `analysis`, `commentary → functions.f`, `functions.f → assistant`.
fn heading(header: &Header) -> String {
    use harmony_format::Role;
    let from = match (&header.author.name, header.channel.as_deref()) {
        (Some(name), _) if header.author.role == Role::Tool => name.clone(),
        (_, Some(channel)) => channel.to_owned(),
        (_, None) => header.author.role.to_string(),
    };
    let heading = match header.recipient.as_deref().filter(|recipient| *recipient != "all") {
        Some(recipient) => format!("{from} → {recipient}"),
        None => from,
    };
    heading.chars().map(printable).collect()
}
