//! The embedded vocabulary `o200k_harmony`: 199,998 ranks of o200k_base and 1,091 special tokens.

use std::sync::LazyLock;

use super::TokenId;

pub(super) const VOCAB_SIZE: usize = 201_089;
const FIRST_SPECIAL: TokenId = 199_998;

static BPE: LazyLock<tiktoken_rs::CoreBPE> = LazyLock::new(|| tiktoken_rs::o200k_base().expect("embedded"));
static BYTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    (0..VOCAB_SIZE as TokenId)
        .map(|id| match special_name(id) {
            Some(name) => name.into_bytes(),
            None => BPE.decode_bytes(&[id]).expect("embedded"),
        })
        .collect()
});

pub(super) fn encode(text: &str, tokens: &mut Vec<TokenId>) {
    tokens.extend(BPE.encode_ordinary(text));
}

pub(super) fn token_bytes(token: TokenId) -> Option<&'static [u8]> {
    BYTES.get(token as usize).map(Vec::as_slice)
}

pub(super) fn is_special(token: TokenId) -> bool {
    (FIRST_SPECIAL..VOCAB_SIZE as TokenId).contains(&token)
}

fn special_name(token: TokenId) -> Option<String> {
    Some(match token {
        199_998 => "<|startoftext|>".to_owned(),
        199_999 => "<|endoftext|>".to_owned(),
        200_002 => "<|return|>".to_owned(),
        200_003 => "<|constrain|>".to_owned(),
        200_005 => "<|channel|>".to_owned(),
        200_006 => "<|start|>".to_owned(),
        200_007 => "<|end|>".to_owned(),
        200_008 => "<|message|>".to_owned(),
        200_012 => "<|call|>".to_owned(),
        id if is_special(id) => format!("<|reserved_{id}|>"),
        _ => return None,
    })
}

pub(super) fn special_id(spelling: &str) -> Option<TokenId> {
    (FIRST_SPECIAL..VOCAB_SIZE as TokenId).find(|&id| special_name(id).as_deref() == Some(spelling))
}

pub(super) fn special_tokens() -> Vec<(TokenId, String)> {
    (FIRST_SPECIAL..VOCAB_SIZE as TokenId).filter_map(|id| Some((id, special_name(id)?))).collect()
}
