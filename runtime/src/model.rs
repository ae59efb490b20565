//! The model.

pub mod kv_cache;
