//! Conversion: what a target can hold comes back, and what it cannot is named.

mod convert {
    mod answers;
    mod documents;
    mod errors;
    mod fixtures;
    mod properties;
}
