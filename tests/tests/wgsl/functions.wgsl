// One function of numbers.wgsl for each pair of arguments.

struct Shape { count: u32, function: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> y: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.count {
        return;
    }
    let a = from_bits(x[id.x]);
    let c = from_bits(y[id.x]);
    var value = 0.0;
    switch shape.function {
        case 0u: { value = b(a); }
        case 1u: { value = exp_nearest(a); }
        case 2u: { value = divide(a, c); }
        case 3u: { value = root(a); }
        case 4u: { value = cos_sin(a * c).x; }
        case 5u: { value = cos_sin(a * c).y; }
        default: { value = sigmoid(a); }
    }
    out[id.x] = value;
}
