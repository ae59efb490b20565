//! A folder or a file of safetensors to tensors by canonical name.
