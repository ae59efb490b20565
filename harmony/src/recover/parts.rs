//! A header as it was read: text and markers kept apart, each with its place.

use std::ops::Range;

use crate::stream::{Input, Piece};
use crate::{Role, SpecialToken};

/// How a header began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With `<|start|>`.
    Marker,
    /// In the prompt: the role is preset.
    Preset,
    /// Not at all.
    Missing,
}

/// A header that is being read.
#[derive(Clone, Debug)]
pub(crate) struct LooseHeader {
    pub(super) start: Start,
    /// The unit of its beginning.
    pub(super) from: usize,
    pub(super) parts: Vec<Part>,
    /// Whether there is a `<|start|>` among the parts.
    pub(super) restarted: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Marker(SpecialToken, Range<usize>),
    /// A token that the vocabulary does not have.
    Unknown(Range<usize>),
    Text(Text),
}

/// Text with the units that it came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// For each piece: its first byte, its first unit, and whether each of its bytes is a unit.
    pieces: Vec<(usize, usize, bool)>,
    end: usize,
}

impl LooseHeader {
    /// The role and all before it stood in the prompt.
    pub(crate) fn preset() -> Self {
        Self::new(Start::Preset, 0)
    }

    pub(super) fn new(start: Start, from: usize) -> Self {
        Self { start, from, parts: Vec::new(), restarted: false }
    }

    /// The text, markers spelled out.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Marker(marker, _) => text.push_str(marker.as_str()),
                Part::Unknown(_) => text.push(char::REPLACEMENT_CHARACTER),
                Part::Text(part) => text.push_str(&part.to_string()),
            }
        }
        text
    }

    pub(super) fn push(&mut self, input: &Input<'_>) {
        if self.parts.is_empty() && self.start == Start::Preset {
            self.from = input.at.start;
        }
        self.restarted |= matches!(input.piece, Piece::Marker(SpecialToken::Start));
        match (input.piece, self.parts.last_mut()) {
            (Piece::Text(bytes), Some(Part::Text(text))) => text.push(bytes, &input.at),
            (Piece::Text(bytes), _) => {
                let mut text = Text::default();
                text.push(bytes, &input.at);
                self.parts.push(Part::Text(text));
            }
            (Piece::Marker(marker), _) => self.parts.push(Part::Marker(marker, input.at.clone())),
            (Piece::Unknown(_), _) => self.parts.push(Part::Unknown(input.at.clone())),
        }
    }

    /// Whether nothing was read but white space, since the last `<|start|>` if there is one.
    pub(super) fn is_blank(&self) -> bool {
        self.says().is_some_and(|text| text.is_empty())
    }

    /// Whether it says no more than who begins to speak, since the last `<|start|>` if there is one.
    pub(super) fn is_role(&self, preset: Option<Role>) -> bool {
        let needs_preset = self.start == Start::Preset && !self.restarted;
        self.says().is_some_and(|text| match text.parse::<Role>() {
            Ok(role) => !needs_preset || preset == Some(role),
            Err(_) => text.is_empty(),
        })
    }

    /// The text since the last `<|start|>`, if there is nothing but text.
    fn says(&self) -> Option<String> {
        let is_start = |part: &Part| matches!(part, Part::Marker(SpecialToken::Start, _));
        let mut text = String::new();
        for part in self.parts.iter().rev().take_while(|part| !is_start(part)) {
            match part {
                Part::Text(part) => text.insert_str(0, &part.to_string()),
                Part::Marker(..) | Part::Unknown(_) => return None,
            }
        }
        Some(text.trim().to_owned())
    }
}

impl Text {
    fn push(&mut self, bytes: &[u8], at: &Range<usize>) {
        let each = at.len() == bytes.len();
        self.pieces.push((self.bytes.len(), at.start, each));
        self.bytes.extend_from_slice(bytes);
        self.end = at.end;
    }

    pub(super) fn all_units(&self) -> Range<usize> {
        self.units(&(0..self.bytes.len()))
    }

    /// The units of a range of bytes; nothing for an empty range.
    pub(super) fn units(&self, bytes: &Range<usize>) -> Range<usize> {
        if bytes.is_empty() {
            let at = self.unit(bytes.start);
            return at..at;
        }
        self.unit(bytes.start)..(self.unit(bytes.end - 1) + 1).min(self.end)
    }

    fn unit(&self, byte: usize) -> usize {
        let piece = self.pieces.partition_point(|piece| piece.0 <= byte);
        match piece.checked_sub(1).map(|index| self.pieces[index]) {
            Some((offset, unit, true)) => (unit + byte - offset).min(self.end),
            Some((_, unit, false)) => unit,
            None => self.end,
        }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}
