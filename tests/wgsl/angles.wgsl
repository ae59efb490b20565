// 7: cosine and sine of each position and pair, with the concentration of YaRN.

struct Shape { positions: u32, pairs: u32, concentration: f32 }

override yarn_no_mscale: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> frequencies: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.positions * shape.pairs {
        return;
    }
    let turn = cos_sin(f32(id.x / shape.pairs) * frequencies[id.x % shape.pairs]);
    let concentration = select(shape.concentration, 1.0, yarn_no_mscale);
    out[id.x] = vec2<f32>(b(turn.x * concentration), b(turn.y * concentration));
}
