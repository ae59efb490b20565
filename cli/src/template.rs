//! A chat template of Hugging Face beside this renderer: the same conversation through both, each difference explained.

pub(crate) mod catalog;
pub(crate) mod compare;
pub(crate) mod jinja;
mod message;
mod python_json;
mod sections;
mod strftime;

pub(crate) use strftime::Moment;
