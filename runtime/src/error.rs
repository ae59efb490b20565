//! What can go wrong, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// The kinds of errors of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read, mapped or written.
    Io,
    /// A file is no safetensors file, or its header breaks a rule of the format.
    Header,
    /// A configuration lacks a field, or a field's value is out of range or contradicts another.
    Config,
    /// A tensor that the configuration asks for is in no file.
    MissingTensor,
    /// A tensor stands twice.
    DuplicateTensor,
    /// A tensor has another shape than the configuration asks for.
    Shape,
    /// A tensor has a dtype that its place does not allow.
    Dtype,
    /// A weight is a NaN or infinite, or a scale byte is above 252.
    Weight,
    /// The machine lacks the instruction set that was asked for.
    Isa,
    /// A token id is outside the vocabulary, or there are no tokens.
    Token,
    /// The context is full, or a position is outside of it.
    Context,
    /// A hidden state or a logit is a NaN or infinite.
    NotFinite,
    /// A saved cache is damaged, or of another model, profile or contract version.
    Cache,
    /// A file of packed weights is damaged, or of other weights or another contract version.
    Packed,
    /// A dump of another program's values is damaged, or says what cannot be.
    Dump,
    /// A sampling option is out of range.
    Sampling,
    /// The caller interrupted the work.
    Interrupted,
}

/// An error of this crate: a rule that was broken, and the place.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    rule: String,
    file: Option<PathBuf>,
    tensor: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that states `rule`, without a place.
    pub(crate) fn new(kind: ErrorKind, rule: impl Into<String>) -> Self {
        Self { kind, rule: rule.into(), file: None, tensor: None, source: None }
    }

    /// The same error in `file`.
    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }

    /// The same error in the tensor `name`.
    pub(crate) fn in_tensor(mut self, name: impl Into<String>) -> Self {
        self.tensor.get_or_insert_with(|| name.into());
        self
    }

    /// The same error with what caused it.
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error of a dump, whatever its kind was.
    pub(crate) fn into_dump(mut self) -> Self {
        self.kind = ErrorKind::Dump;
        self
    }

    /// What kind of error this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file in which the error lies, if it lies in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The name of the tensor in which the error lies, as the file spells it.
    #[must_use]
    pub fn tensor(&self) -> Option<&str> {
        self.tensor.as_deref()
    }

    /// The rule that was broken, without the place.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(tensor) = &self.tensor {
            write!(f, "{tensor}: ")?;
        }
        f.write_str(&self.rule)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
