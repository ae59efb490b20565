// 6: RMS norm; a workgroup of sixteen lanes a position.

struct Shape { hidden: u32, eps: f32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = group.x * shape.hidden;
    var sums = vec4<f32>();
    for (var k = 2u * lane; k < shape.hidden; k = k + 128u) {
        for (var c = 0u; c < 4u && k + 32u * c < shape.hidden; c = c + 1u) {
            let even = x[start + k + 32u * c];
            let odd = x[start + k + 32u * c + 1u];
            sums[c] = fma(even, even, fma(odd, odd, sums[c]));
        }
    }
    lanes[lane] = (sums.x + sums.y) + (sums.z + sums.w);
    workgroupBarrier();
    let dot = fold_lanes(0u);
    let divisor = root(divide(dot, f32(shape.hidden)) + shape.eps);
    for (var word = lane; word < shape.hidden / 2u; word = word + 16u) {
        let at = start + 2u * word;
        out[at] = b(divide(x[at], divisor) * bf16_even(scale[word]));
        out[at + 1u] = b(divide(x[at + 1u], divisor) * bf16_odd(scale[word]));
    }
}
