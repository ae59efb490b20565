//! JSON Schema -> TypeScript.
