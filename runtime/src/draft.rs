//! Drafting: guesses of what comes next, looked up in the text so far.
//!
//! Text repeats itself: names, quotations, code, tables. So the last tokens are looked up among those before them, and what
//! followed them there is the guess ("prompt lookup decoding"). A guess that is wrong costs time and nothing else, because
//! a forward pass gives each position the same bits whatever other positions it computes.
//!
//! - **Look-up.** Places where the last two tokens stood before are linked, the newest first. The first [`MOST_PLACES`]
//!   of them are compared backwards, up to [`LONGEST_MATCH`] tokens; the longest match wins, the newest among equals.
//! - **Length.** A draft has at most as many tokens as the limit says, which adapts: each token that the look-up foresaw
//!   doubles it (from 0 to 1), up to the greatest draft; each that it foresaw wrongly halves it. At 0 nothing is
//!   drafted, but the look-ups go on and are judged, so that drafts return once they would have been right.
//!
//! A look-up takes time that does not grow with the text; memory is a few words a token.

use std::collections::HashMap;

/// Places that a look-up compares at most.
pub const MOST_PLACES: usize = 16;

/// Tokens of a match that count at most.
pub const LONGEST_MATCH: usize = 32;

/// Tokens that a match has at least.
const LEAST_MATCH: usize = 2;

/// No place before this one.
const NONE: usize = usize::MAX;

/// Guesses the tokens that follow a text.
///
/// ```
/// use gptoss_runtime::draft::Drafter;
///
/// let mut drafter = Drafter::new(8);
/// drafter.extend([1, 2, 3, 4, 5, 9, 2, 3]);
/// // 4 and 5 followed 2 and 3 before.
/// assert_eq!(drafter.guess(2), [4, 5]);
/// ```
#[derive(Clone, Debug)]
pub struct Drafter {
    tokens: Vec<u32>,
    /// Where the newest of the pairs of two tokens ends: the index after its second token.
    newest: HashMap<[u32; LEAST_MATCH], usize>,
    /// For each end of a pair the end of the same pair before it, by index of the second token.
    before: Vec<usize>,
    /// Where the token after the text is looked up: an index of `tokens`.
    place: Option<usize>,
    limit: usize,
    most: usize,
}

impl Drafter {
    /// A drafter of an empty text, whose drafts have up to `most` tokens; the limit starts there.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            tokens: Vec::new(),
            newest: HashMap::new(),
            before: Vec::new(),
            place: None,
            limit: most,
            most,
        }
    }

    /// The text so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens that the next draft has at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Appends tokens that nobody guessed, such as those of a prompt.
    pub fn extend(&mut self, tokens: impl IntoIterator<Item = u32>) {
        tokens.into_iter().for_each(|token| self.append(token));
        self.place = self.look_up();
    }

    /// Appends the next token, and adapts the limit to whether it was foreseen.
    pub fn push(&mut self, token: u32) {
        if let Some(place) = self.place {
            let foreseen = self.tokens[place] == token;
            self.limit = if foreseen { (2 * self.limit).max(1).min(self.most) } else { self.limit / 2 };
        }
        self.extend([token]);
    }

    /// What is to be drafted: a guess of up to `most` tokens and no more than the limit.
    #[must_use]
    pub fn draft(&self, most: usize) -> Vec<u32> {
        self.guess(most.min(self.limit))
    }

    /// A guess of the next `count` tokens; none if the last tokens did not stand in the text before.
    ///
    /// Where the match lies so near that the text ends within the guess, the guess repeats what lies in between.
    #[must_use]
    pub fn guess(&self, count: usize) -> Vec<u32> {
        let Some(place) = self.place else {
            return Vec::new();
        };
        self.tokens[place..].iter().copied().cycle().take(count).collect()
    }

    fn append(&mut self, token: u32) {
        let pair = self.tokens.last().map(|&last| [last, token]);
        self.tokens.push(token);
        let end = self.tokens.len();
        let before = pair.and_then(|pair| self.newest.insert(pair, end));
        self.before.push(before.unwrap_or(NONE));
    }

    /// The place after the best match of the last tokens.
    fn look_up(&self) -> Option<usize> {
        let last = self.tokens.len().checked_sub(1)?;
        let mut best = None;
        let mut longest = LEAST_MATCH - 1;
        let mut place = self.before[last];
        for _ in 0..MOST_PLACES {
            if place == NONE || longest == LONGEST_MATCH {
                break;
            }
            let length = self.match_before(place);
            if length > longest {
                (longest, best) = (length, Some(place));
            }
            place = self.before[place - 1];
        }
        best
    }

    /// How many tokens before `place` are those at the end of the text.
    fn match_before(&self, place: usize) -> usize {
        let ends = self.tokens[..place].iter().rev().zip(self.tokens.iter().rev());
        ends.take(LONGEST_MATCH).take_while(|(a, b)| a == b).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drafter(most: usize, tokens: &[u32]) -> Drafter {
        let mut drafter = Drafter::new(most);
        drafter.extend(tokens.iter().copied());
        drafter
    }

    #[test]
    fn what_did_not_stand_before_is_not_guessed() {
        for text in [&[][..], &[1], &[1, 2, 3], &[1, 1], &[1, 2, 1], &[1, 2, 2, 1]] {
            assert!(drafter(4, text).guess(4).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn the_longest_match_wins_and_the_newest_among_equals() {
        // 2 3 stands twice before; 1 2 3 once.
        assert_eq!(drafter(4, &[1, 2, 3, 7, 9, 2, 3, 8, 1, 2, 3]).guess(1), [7]);
        assert_eq!(drafter(4, &[5, 2, 3, 7, 6, 2, 3, 8, 1, 2, 3]).guess(1), [8]);
    }

    #[test]
    fn a_period_is_gone_on_with() {
        assert_eq!(drafter(9, &[1, 2, 3, 1, 2, 3]).guess(7), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(drafter(9, &[4, 4, 4]).guess(3), [4, 4, 4]);
    }

    #[test]
    fn the_limit_doubles_with_each_token_foreseen_and_halves_with_each_that_was_not() {
        let mut drafter = drafter(6, &[1, 2, 3, 1, 2]);
        let mut limits = |token| {
            drafter.push(token);
            drafter.limit()
        };
        // 1 2 foresees 3; after 1 2 5 nothing is foreseen.
        assert_eq!(limits(5), 3);
        assert_eq!([limits(1), limits(2)], [3, 3]);
        // Now it foresees 5.
        assert_eq!(limits(6), 1);
        assert_eq!([limits(1), limits(2), limits(7)], [1, 1, 0]);
        assert_eq!([limits(1), limits(2), limits(8)], [0, 0, 0]);
        assert!(drafter.draft(6).is_empty());
        // Without drafts, too, what is foreseen counts: 8 after 1 2, then 1 after 2 8, and so on.
        let mut limits = |token| {
            drafter.push(token);
            drafter.limit()
        };
        assert_eq!([limits(1), limits(2)], [0, 0]);
        assert_eq!([limits(8), limits(1), limits(2), limits(8)], [1, 2, 4, 6]);
        assert_eq!(drafter.draft(6), [1, 2, 8, 1, 2, 8]);
        assert_eq!(drafter.draft(2), [1, 2]);
    }

    #[test]
    fn a_look_up_stays_short_in_a_long_text() {
        // 200,000 times the same pair: each look-up compares a few places, not all.
        let mut drafter = Drafter::new(8);
        for _ in 0..200_000 {
            drafter.push(7);
        }
        assert_eq!(drafter.guess(3), [7, 7, 7]);
        assert_eq!(drafter.limit(), 8);
    }

    /// All places, compared as they come: what the links must find as long as there are no more than they follow.
    fn by_hand(tokens: &[u32]) -> Option<usize> {
        let mut best = (LEAST_MATCH - 1, None);
        for place in (1..tokens.len()).rev() {
            let ends = tokens[..place].iter().rev().zip(tokens.iter().rev());
            let length = ends.take_while(|(a, b)| a == b).count().min(LONGEST_MATCH);
            if length > best.0 {
                best = (length, Some(place));
            }
        }
        best.1
    }

    proptest! {
        #[test]
        fn the_links_find_what_a_search_finds(
            tokens in prop::collection::vec(0_u32..6, 0..40),
        ) {
            let drafter = drafter(1, &tokens);
            let places = tokens.windows(2).filter(|pair| tokens.ends_with(pair)).count();
            prop_assume!(places <= MOST_PLACES);
            prop_assert_eq!(drafter.look_up(), by_hand(&tokens));
        }
    }
}
