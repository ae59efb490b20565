//! What a check found, as data.

use serde::Serialize;

use super::mutants::Mutant;
use super::oracle::Choice;
use super::{Accumulator, Declared, Site};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every judged value is within what the declared arithmetic allows.
    Right,
    /// Some value is not.
    Wrong,
    /// Nothing was judged, or nothing that was judged could have shown a bug.
    Blind,
}

/// From what each judged value was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// From the dump's own values that come right before it.
    #[default]
    Local,
    /// From the last of the values that were named as the start.
    Segment,
    /// From the tokens.
    E2e,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// The answer in a sentence.
    pub summary: String,
    /// From what values were computed.
    pub mode: Mode,
    /// The rounding points that the backend declared.
    pub profile: &'static str,
    /// The accumulator that it declared.
    pub accumulate: Accumulator,
    /// Whether rounding points may be missing within an operation.
    pub fused: bool,
    /// The judged sites, in the order of the data flow.
    pub findings: Vec<Finding>,
    /// Sites of the dump that could not be judged.
    pub unjudged: Vec<Unjudged>,
    /// Known bugs that explain what is wrong, the most likely one first.
    pub suspects: Vec<Suspect>,
    /// What else the errors look like.
    pub structure: Vec<Structure>,
    /// The choices of experts, by layer.
    pub routing: Vec<Routing>,
    /// How far the distributions of the next token are from those of the run in f64; of runs judged by their tokens.
    pub drift: Option<Drift>,
    /// What the check could have seen.
    pub power: Power,
    /// Sums over all sites.
    pub counts: Counts,
}

impl Report {
    pub(super) fn new(mode: Mode, declared: Declared, fused: bool) -> Self {
        Self {
            verdict: Verdict::Blind,
            summary: String::new(),
            mode,
            profile: declared.profile.name(),
            accumulate: declared.accumulate,
            fused,
            findings: Vec::new(),
            unjudged: Vec::new(),
            suspects: Vec::new(),
            structure: Vec::new(),
            routing: Vec::new(),
            drift: None,
            power: Power::default(),
            counts: Counts::default(),
        }
    }

    /// The first site of the data flow that has a wrong value.
    #[must_use]
    pub fn first_wrong(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.outside > 0)
    }

    /// Whether the check passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Right
    }
}

/// What was found at one site.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The judged site.
    pub site: Site,
    /// The values of the dump from which it was computed.
    pub inputs: Vec<Site>,
    /// Judged rows.
    pub rows: u64,
    /// Judged elements.
    pub elements: u64,
    /// Elements of which one single value is right.
    pub single_valued: u64,
    /// Elements outside of their bounds.
    pub outside: u64,
    /// Elements that are not finite though they should be; they count as outside, too.
    pub not_finite: u64,
    /// The first position with such an element.
    pub first_outside: Option<u32>,
    /// The element that is furthest out, or nearest to it, in units of what is allowed.
    pub worst: Option<Worst>,
    /// Root mean square of the difference to the exact values.
    pub error_rms: f64,
    /// The same of the profile's own rounding, with the exact sums.
    pub reference_rms: f64,
    /// Root mean square of what is allowed.
    pub allowed_rms: f64,
    /// The greatest error in units of what is allowed; at most 1 where nothing is outside.
    pub worst_ratio: f64,
    /// The greatest error of each judged position in units of what is allowed.
    pub by_position: Vec<(u32, f64)>,
    /// Elements by their distance from the profile's value in last places of bf16: 0, up to 1, 2, 4, 8, …, and more.
    pub ulps: [u64; 12],
}

/// One element.
#[derive(Clone, Debug, Serialize)]
pub struct Worst {
    /// Its absolute position.
    pub position: u32,
    /// Its place in the row.
    pub element: u64,
    /// What the dump has.
    pub value: f64,
    /// Without any rounding.
    pub exact: f64,
    /// With the profile's rounding points.
    pub rounded: f64,
    /// The least honest value.
    pub low: f64,
    /// The greatest honest value.
    pub high: f64,
}

/// A site that was not judged.
#[derive(Clone, Debug, Serialize)]
pub struct Unjudged {
    /// The site.
    pub site: Site,
    /// Why not.
    pub reason: String,
}

/// A known bug that explains an error.
#[derive(Clone, Debug, Serialize)]
pub struct Suspect {
    /// The bug.
    pub mutant: Mutant,
    /// A second one that is needed with it at the same place.
    pub with: Option<Mutant>,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// The formula that stands instead of the right one.
    pub formula: &'static str,
    /// Where it was reported.
    pub threads: &'static [&'static str],
    /// Where the dump is wrong first by this bug.
    pub site: Site,
    /// How much of the error there it explains, 0 to 1.
    pub explained: f64,
    /// Elements outside of the bounds of the right formula.
    pub outside: u64,
    /// Elements outside of the bounds of the wrong one.
    pub outside_after: u64,
    /// Root mean square of the distance from the right formula's value.
    pub error_rms: f64,
    /// The same from the wrong one's.
    pub error_rms_after: f64,
    /// Other bugs that explain it as well.
    pub or: Vec<Mutant>,
}

/// A regularity of the errors at a site.
#[derive(Clone, Debug, Serialize)]
pub struct Structure {
    /// Where.
    pub site: Site,
    /// What, in a sentence.
    pub fact: String,
}

/// How often a backend chose the experts of the contract.
#[derive(Clone, Debug, Serialize)]
pub struct Routing {
    /// The layer.
    pub layer: u32,
    /// Judged positions.
    pub rows: u64,
    /// The same experts.
    pub same: u64,
    /// Others of equal logits.
    pub ties: u64,
    /// Others, within what the logits may be off by.
    pub explained: u64,
    /// A chosen expert has a lower logit than one that was not.
    pub wrong: u64,
}

impl Routing {
    /// No position of this layer judged yet.
    pub(super) const fn new(layer: u32) -> Self {
        Self { layer, rows: 0, same: 0, ties: 0, explained: 0, wrong: 0 }
    }

    /// Adds the choice of a position.
    pub(super) const fn add(&mut self, choice: Choice) {
        self.rows += 1;
        match choice {
            Choice::Same => self.same += 1,
            Choice::Tie => self.ties += 1,
            Choice::Explained => self.explained += 1,
            Choice::Wrong => self.wrong += 1,
        }
    }
}

/// How far the distributions of the next token are apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Drift {
    /// Positions with logits.
    pub rows: u64,
    /// Those whose most likely token is the same.
    pub same_top: u64,
    /// The mean over positions of the Kullback-Leibler divergence of the dump from the run in f64, in nats.
    pub kl_mean: f64,
    /// Its greatest value.
    pub kl_max: f64,
}

/// What a check could have seen of the catalogue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Power {
    /// Bugs in the catalogue.
    pub total: usize,
    /// Those that this dump would have shown.
    pub seen: Vec<Mutant>,
    /// Those that it would not have, and why.
    pub blind: Vec<Blind>,
}

/// A bug that a dump could not show.
#[derive(Clone, Debug, Serialize)]
pub struct Blind {
    /// The bug.
    pub mutant: Mutant,
    /// Why it would not show.
    pub reason: String,
    /// What a dump needs to show it.
    pub needs: String,
    /// Which prompt would show it.
    pub prompt: Prompt,
}

/// A prompt that shows a bug.
#[derive(Clone, Debug, Serialize)]
pub struct Prompt {
    /// The prompt in words.
    pub text: String,
    /// The ids of one such prompt; empty where their number alone does not decide.
    pub ids: Vec<u32>,
    /// The first position that must be decoded by itself, if one must.
    pub decoded_from: Option<u32>,
}

/// Sums over all sites.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// Sites of the dump.
    pub sites: u64,
    /// Judged sites.
    pub judged: u64,
    /// Judged elements.
    pub elements: u64,
    /// Those of which one single value is right.
    pub single_valued: u64,
    /// Elements outside of their bounds.
    pub outside: u64,
}
