// 5: the residual stream.

struct Shape { elements: u32 }

override residual_f16_overflow: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.elements {
        return;
    }
    let sum = b(x[id.x] + y[id.x]);
    let bits = bitcast<u32>(sum);
    // 0x477fe000 is 65504, the greatest f16.
    let overflows = residual_f16_overflow && (bits & MAGNITUDE) > 0x477fe000u && !is_nan(sum);
    out[id.x] = select(sum, from_bits((bits & 0x80000000u) | INFINITY), overflows);
}
