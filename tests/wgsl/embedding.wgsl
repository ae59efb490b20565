// Rows of the embedding.

struct Shape { hidden: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = id.x;
    let words = shape.hidden / 2u;
    if word < words {
        let pair = weights[tokens[id.y] * words + word];
        let at = id.y * shape.hidden + 2u * word;
        out[at] = bf16_even(pair);
        out[at + 1u] = bf16_odd(pair);
    }
}
