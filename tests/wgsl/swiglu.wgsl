// 10: SwiGLU with its limits. Gates and ups take turns.

struct Shape { elements: u32, intermediate: u32, limit: f32 }

override moe_concat: bool = false;
override moe_swap: bool = false;
override swiglu_limit_zero: bool = false;
override swiglu_no_limit: bool = false;
override swiglu_alpha_one: bool = false;
override swiglu_no_plus_one: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.elements {
        return;
    }
    let j = id.x % shape.intermediate;
    let row = 2u * (id.x - j);
    var gate = x[row + 2u * j];
    var up = x[row + 2u * j + 1u];
    if moe_swap {
        gate = x[row + 2u * j + 1u];
        up = x[row + 2u * j];
    }
    if moe_concat {
        gate = x[row + j];
        up = x[row + shape.intermediate + j];
    }
    if !swiglu_no_limit {
        let limit = select(shape.limit, 0.0, swiglu_limit_zero);
        gate = select(gate, limit, gate > limit);
        up = select(select(up, -limit, up < -limit), limit, up > limit);
    }
    // 1.702
    let alpha = select(from_bits(0x3fd9db23u), 1.0, swiglu_alpha_one);
    let gated = b(gate * b(sigmoid(b(alpha * gate))));
    out[id.x] = b(gated * b(up + select(1.0, 0.0, swiglu_no_plus_one)));
}
