//! One pass for several tokens: what was drafted is computed together with the token before it, and then verified.
//!
//! The pass gives the logits after each of its tokens. The first row gives a token in any case. As long as the token that
//! is chosen is the one that was drafted, the next row gives the next one; the first that differs ends it. So the tokens are
//! those of one pass each, chosen from the same bits at the same steps.
//!
//! Between steps the cache holds what it would hold without drafts: positions of the draft are dropped after the pass,
//! and each is taken back when its token turns out right.

use super::{Generation, Poll};
use crate::error::{Error, ErrorKind, Result};
use crate::logits::Logits;
use crate::model::Rows;
use crate::tap::Tap;

/// The logits of a pass and the tokens it took on trust.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) logits: Logits,
    /// The row that gives the next token.
    pub(super) row: usize,
    /// The tokens whose logits stand in row 1 and those after it.
    draft: Vec<u32>,
}

impl Generation<'_> {
    /// The logits that give the next token: of a draft that came true, or of a new pass.
    pub(super) fn verify(&mut self) -> Result<Verified> {
        let interrupt = self.options.interrupt.clone();
        let mut poll = Poll(interrupt.as_deref());
        if let Some(mut verified) = self.verified.take()
            && let Some(&drafted) = verified.draft.get(verified.row)
            && self.pending == [drafted]
        {
            // A pass would have asked as well.
            if poll.interrupted() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            self.cache.take_back(drafted);
            self.pending.clear();
            self.counts.accepted += 1;
            verified.row += 1;
            return Ok(verified);
        }
        let verified = match self.pass_with_draft(&mut poll) {
            Some(Ok(verified)) => verified,
            Some(Err(error)) if error.kind() == ErrorKind::Interrupted => return Err(error),
            // An error of a drafted token is none of the text's.
            Some(Err(_)) | None => {
                let logits = self.model.prefill(&self.pending, self.cache, &mut poll)?;
                Verified { logits, row: 0, draft: Vec::new() }
            }
        };
        self.pending.clear();
        self.counts.passes += 1;
        self.counts.drafted += verified.draft.len();
        Ok(verified)
    }

    /// A pass of the pending token and a draft, if there is one.
    fn pass_with_draft(&mut self, poll: &mut Poll<'_>) -> Option<Result<Verified>> {
        let [pending] = self.pending[..] else {
            return None;
        };
        let length = self.cache.len();
        let room = self.cache.chunk().min(self.cache.capacity() - length) - 1;
        let wanted = self.options.max_tokens.map_or(usize::MAX, |most| most - self.given - 1);
        let draft = self.drafter.as_ref()?.draft(room.min(wanted));
        if draft.is_empty() {
            return None;
        }
        let tokens = [&[pending], &draft[..]].concat();
        let logits = self.model.forward_rows(&tokens, Rows::All, self.cache, poll);
        Some(logits.and_then(|logits| {
            self.cache.truncate(length + 1)?;
            Ok(Verified { logits, row: 0, draft })
        }))
    }
}
