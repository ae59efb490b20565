//! Text and markers <-> token ids.

mod o200k;
#[cfg(feature = "tokenizers")]
mod tokenizer_json;

use std::fmt;

use crate::{Error, ErrorKind, Lexeme, Result, SpecialToken, lex};

/// The id of a token.
pub type TokenId = u32;

/// A vocabulary that carries Harmony: ordinary tokens for text, and the markers, whose ids it knows by name.
///
/// Cloning is cheap and the value can be shared among threads.
/// [`Encoding::o200k_harmony`] is embedded in the crate: nothing is downloaded or read.
///
/// ```
/// use harmony_format::Encoding;
///
/// let encoding = Encoding::o200k_harmony();
/// let tokens = encoding.encode_ordinary("Hello world<|end|>");
/// assert_eq!(encoding.decode_utf8(&tokens)?, "Hello world<|end|>");
/// assert!(tokens.iter().all(|&token| !encoding.is_special(token)));
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[derive(Clone)]
pub struct Encoding {
    engine: Engine,
    /// In the order of [`SpecialToken::ALL`]; `None` only where the marker is not required.
    markers: [Option<TokenId>; SpecialToken::ALL.len()],
    /// The least and the greatest id of a marker.
    marker_range: (TokenId, TokenId),
}

#[derive(Clone)]
enum Engine {
    O200k,
    #[cfg(feature = "tokenizers")]
    TokenizerJson(std::sync::Arc<tokenizer_json::TokenizerJson>),
}

/// Which special tokens a text may spell; see [`Encoding::encode`].
#[derive(Clone, Copy, Debug, Default)]
pub enum AllowedSpecial<'a> {
    /// None: every spelling is ordinary text.
    #[default]
    None,
    /// Those with these spellings.
    Only(&'a [&'a str]),
    /// All special tokens of the vocabulary.
    All,
}

impl Encoding {
    /// The embedded encoding of gpt-oss. Costs nothing: its tables are part of the binary.
    #[must_use]
    pub fn o200k_harmony() -> Self {
        Self::new(Engine::O200k).expect("o200k_harmony has all markers")
    }

    /// Opens a `tokenizer.json` of the `tokenizers` library; special tokens are found by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be read, [`ErrorKind::Tokenizer`] if it is not a tokenizer
    /// or lacks one of [`SpecialToken::REQUIRED`].
    #[cfg(feature = "tokenizers")]
    pub fn from_tokenizer_json(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot read {}: {error}", path.display())).caused_by(error)
        })?;
        Self::from_tokenizer_json_bytes(&bytes)
    }

    /// Like [`from_tokenizer_json`](Encoding::from_tokenizer_json), from the bytes of the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tokenizer`] if the bytes are not a tokenizer or lack one of [`SpecialToken::REQUIRED`].
    #[cfg(feature = "tokenizers")]
    pub fn from_tokenizer_json_bytes(bytes: &[u8]) -> Result<Self> {
        let tokenizer = tokenizer_json::TokenizerJson::from_bytes(bytes)?;
        Self::new(Engine::TokenizerJson(std::sync::Arc::new(tokenizer)))
    }

    fn new(engine: Engine) -> Result<Self> {
        let mut this = Self {
            engine,
            markers: [None; SpecialToken::ALL.len()],
            marker_range: (TokenId::MAX, TokenId::MIN),
        };
        for (slot, token) in SpecialToken::ALL.into_iter().enumerate() {
            this.markers[slot] = this.special_id(token.as_str());
            if let Some(id) = this.markers[slot] {
                this.marker_range = (this.marker_range.0.min(id), this.marker_range.1.max(id));
            }
        }
        let missing: Vec<_> = SpecialToken::REQUIRED
            .into_iter()
            .filter(|&token| this.marker_id(token).is_none())
            .map(SpecialToken::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(Error::new(
                ErrorKind::Tokenizer,
                format!(
                    "a Harmony vocabulary must have the special tokens of the format, this one lacks {}; \
                     take the tokenizer.json of a gpt-oss model, or list them in `added_tokens`",
                    missing.join(", ")
                ),
            ));
        }
        Ok(this)
    }

    /// The name, `o200k_harmony` for the embedded one and `tokenizer.json` for any other.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.engine {
            Engine::O200k => "o200k_harmony",
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(_) => "tokenizer.json",
        }
    }

    /// The tokens of a text in which every spelling of a marker is ordinary text.
    #[must_use]
    pub fn encode_ordinary(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        self.encode_ordinary_into(text, &mut tokens);
        tokens
    }

    /// Appends the tokens of a text, as [`encode_ordinary`](Encoding::encode_ordinary).
    pub fn encode_ordinary_into(&self, text: &str, tokens: &mut Vec<TokenId>) {
        match &self.engine {
            Engine::O200k => o200k::encode(text, tokens),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.encode(text, tokens),
        }
    }

    /// The tokens of a text in which the spellings of allowed special tokens are those tokens.
    ///
    /// Only for text that a trusted renderer wrote: content from elsewhere could spell markers.
    #[must_use]
    pub fn encode(&self, text: &str, allowed: AllowedSpecial<'_>) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        let allowed = match allowed {
            AllowedSpecial::None => Some(Vec::new()),
            AllowedSpecial::Only(names) => {
                let mut ids: Vec<_> = names.iter().filter_map(|name| self.special_id(name)).collect();
                ids.sort_unstable();
                Some(ids)
            }
            AllowedSpecial::All => None,
        };
        if allowed.as_ref().is_some_and(Vec::is_empty) {
            self.encode_ordinary_into(text, &mut tokens);
            return tokens;
        }
        let mut rest = 0;
        let mut at = 0;
        while let Some(start) = self.special_start(text, at) {
            match self.special_at(&text.as_bytes()[start..]) {
                Some((length, id)) if allowed.as_ref().is_none_or(|ids| ids.binary_search(&id).is_ok()) => {
                    self.encode_ordinary_into(&text[rest..start], &mut tokens);
                    tokens.push(id);
                    rest = start + length;
                    at = rest;
                }
                _ => at = start + 1,
            }
        }
        self.encode_ordinary_into(&text[rest..], &mut tokens);
        tokens
    }

    /// The next place from `from` on at which a special token may begin.
    fn special_start(&self, text: &str, from: usize) -> Option<usize> {
        let bytes = text.as_bytes().get(from..)?;
        let offset = match &self.engine {
            Engine::O200k => bytes.iter().position(|&byte| byte == b'<')?,
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => {
                bytes.iter().position(|&byte| tokenizer.may_start_special(byte))?
            }
        };
        Some(from + offset)
    }

    /// The special token that `text` begins with, the longest if there are several: its length and id.
    fn special_at(&self, text: &[u8]) -> Option<(usize, TokenId)> {
        match &self.engine {
            Engine::O200k => o200k::special_at(text),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.special_at(text),
        }
    }

    /// The bytes of a token; a special token is its spelling. `None` if the vocabulary has no such id.
    #[must_use]
    pub fn token_bytes(&self, token: TokenId) -> Option<&[u8]> {
        match &self.engine {
            Engine::O200k => o200k::token_bytes(token),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.token_bytes(token),
        }
    }

    /// The bytes of a list of tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidToken`] with the place of the first id that the vocabulary does not have.
    pub fn decode_bytes(&self, tokens: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for (index, &token) in tokens.iter().enumerate() {
            bytes.extend_from_slice(self.token_bytes(token).ok_or_else(|| invalid_token(token, index))?);
        }
        Ok(bytes)
    }

    /// The text of a list of tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidToken`] as [`decode_bytes`](Encoding::decode_bytes), [`ErrorKind::InvalidUtf8`] if the bytes are not UTF-8.
    pub fn decode_utf8(&self, tokens: &[TokenId]) -> Result<String> {
        String::from_utf8(self.decode_bytes(tokens)?).map_err(|error| {
            let at = self.token_at_byte(tokens, error.utf8_error().valid_up_to());
            let error = error.utf8_error();
            Error::new(ErrorKind::InvalidUtf8, "the tokens must decode to UTF-8")
                .at(crate::Position::Token(at))
                .reference(format!("Invalid utf-8 sequence: {error}"))
                .caused_by(error)
        })
    }

    /// The text of a list of tokens, with U+FFFD for what is not UTF-8.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidToken`] as [`decode_bytes`](Encoding::decode_bytes).
    pub fn decode_lossy(&self, tokens: &[TokenId]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.decode_bytes(tokens)?).into_owned())
    }

    pub(crate) fn token_at_byte(&self, tokens: &[TokenId], byte: usize) -> usize {
        let mut end = 0;
        tokens
            .iter()
            .position(|&token| {
                end += self.token_bytes(token).map_or(0, <[u8]>::len);
                end > byte
            })
            .unwrap_or(tokens.len())
    }

    /// The id of a special token by its spelling, for example `<|start|>` or `<|reserved_200013|>`.
    #[must_use]
    pub fn special_id(&self, spelling: &str) -> Option<TokenId> {
        match &self.engine {
            Engine::O200k => o200k::special_id(spelling),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.special_id(spelling),
        }
    }

    /// Whether an id is that of a special token.
    #[must_use]
    pub fn is_special(&self, token: TokenId) -> bool {
        match &self.engine {
            Engine::O200k => o200k::is_special(token),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.is_special(token),
        }
    }

    /// All special tokens with their spelling, by ascending id.
    #[must_use]
    pub fn special_tokens(&self) -> Vec<(TokenId, String)> {
        match &self.engine {
            Engine::O200k => o200k::special_tokens(),
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.special_tokens(),
        }
    }

    /// The number of ids: one more than the greatest.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match &self.engine {
            Engine::O200k => o200k::VOCAB_SIZE,
            #[cfg(feature = "tokenizers")]
            Engine::TokenizerJson(tokenizer) => tokenizer.vocab_size(),
        }
    }

    /// The id of a marker; `None` only for one that is not in [`SpecialToken::REQUIRED`].
    #[must_use]
    pub fn marker_id(&self, marker: SpecialToken) -> Option<TokenId> {
        self.markers[marker as usize]
    }

    /// The id of a required marker.
    pub(crate) fn required(&self, marker: SpecialToken) -> TokenId {
        self.marker_id(marker).expect("Encoding::new checked the required markers")
    }

    /// The marker with this id, if it is one.
    #[must_use]
    #[inline]
    pub fn marker(&self, token: TokenId) -> Option<SpecialToken> {
        // Nearly all tokens are ordinary ones.
        if token < self.marker_range.0 || token > self.marker_range.1 {
            return None;
        }
        let slot = self.markers.iter().position(|&id| id == Some(token))?;
        Some(SpecialToken::ALL[slot])
    }

    /// The tokens at which a message ends: `<|return|>`, `<|call|>`, `<|end|>`.
    #[must_use]
    pub fn stop_tokens(&self) -> [TokenId; 3] {
        [SpecialToken::Return, SpecialToken::Call, SpecialToken::End].map(|marker| self.required(marker))
    }

    /// The tokens at which an assistant's turn ends: `<|return|>` and `<|call|>`.
    #[must_use]
    pub fn stop_tokens_for_assistant_actions(&self) -> [TokenId; 2] {
        [SpecialToken::Return, SpecialToken::Call].map(|marker| self.required(marker))
    }

    /// The tokens of prompt text: the markers of the format that it spells, everything else ordinary.
    ///
    /// Only for text that a trusted renderer wrote, or that an engine printed with its markers spelled out.
    #[must_use]
    pub fn encode_prompt(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        for (_, lexeme) in lex(text) {
            match lexeme {
                Lexeme::Text(text) => self.encode_ordinary_into(text, &mut tokens),
                Lexeme::Special(marker) => match self.marker_id(marker) {
                    Some(id) => tokens.push(id),
                    None => self.encode_ordinary_into(marker.as_str(), &mut tokens),
                },
            }
        }
        tokens
    }
}

fn invalid_token(token: TokenId, index: usize) -> Error {
    Error::new(ErrorKind::InvalidToken, format!("token ids must be in the vocabulary, {token} is not"))
        .at(crate::Position::Token(index))
        .reference(format!("Invalid token for decoding: {token}"))
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoding").field(&self.name()).finish()
    }
}
