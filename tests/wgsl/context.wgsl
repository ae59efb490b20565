// 8: what attention reads: blocks of 256 keys, each summed from 0. A probability of 0 adds nothing.

struct Shape { positions: u32, heads: u32, group: u32, head_dim: u32, slides: u32, window: u32, decoded_from: u32 }

override kv_not_written: bool = false;
override window_stale_v: bool = false;
override attention_not_stored: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> probabilities: array<f32>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let width = shape.heads * shape.head_dim;
    let position = id.y;
    if id.x >= width {
        return;
    }
    let head = id.x / shape.head_dim;
    let start = (head * shape.positions + position) * shape.positions;
    let value_width = width / shape.group;
    let element = head / shape.group * shape.head_dim + id.x % shape.head_dim;
    let keys = select(shape.positions, min(shape.positions, shape.decoded_from), kv_not_written);
    var total = 0.0;
    for (var block = 0u; block < keys; block = block + 256u) {
        var sum = 0.0;
        for (var key = block; key < min(keys, block + 256u); key = key + 1u) {
            sum = fma(probabilities[start + key], values[key * value_width + element], sum);
        }
        total = total + sum;
    }
    if window_stale_v && shape.slides == 1u && position >= shape.window {
        total = from_bits(QUIET_NAN);
    }
    if attention_not_stored && position >= shape.decoded_from {
        total = 0.0;
    }
    out[position * width + id.x] = b(total);
}
