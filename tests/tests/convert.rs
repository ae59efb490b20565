//! Conversion: what a target can hold comes back, and what it cannot is named.

mod convert {
    mod properties;
}
