//! Bytes in, complete characters out.
