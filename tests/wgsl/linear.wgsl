// 4, order D, and 5: a matrix of bf16 times a vector; sixteen lanes an output element, four elements a workgroup.

struct Shape { rows: u32, cols: u32, has_bias: u32, is_router: u32, is_output: u32 }

override router_no_bias: bool = false;
override bias_output_per_rank: bool = false;
override order_even_first: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let row = 4u * group.x + local.y;
    let start = group.y * shape.cols;
    var sums = vec4<f32>();
    if row < shape.rows {
        for (var k = 2u * local.x; k < shape.cols; k = k + 128u) {
            for (var c = 0u; c < 4u && k + 32u * c < shape.cols; c = c + 1u) {
                let at = k + 32u * c;
                let word = weights[(row * shape.cols + at) / 2u];
                let even = bf16_even(word);
                let odd = bf16_odd(word);
                if order_even_first {
                    sums[c] = fma(odd, x[start + at + 1u], fma(even, x[start + at], sums[c]));
                } else {
                    sums[c] = fma(even, x[start + at], fma(odd, x[start + at + 1u], sums[c]));
                }
            }
        }
    }
    lanes[16u * local.y + local.x] = (sums.x + sums.y) + (sums.z + sums.w);
    workgroupBarrier();
    if local.x != 0u || row >= shape.rows {
        return;
    }
    var dot = fold_lanes(local.y);
    if shape.has_bias == 1u && !(router_no_bias && shape.is_router == 1u) {
        let word = bias[row / 2u];
        let term = select(bf16_even(word), bf16_odd(word), (row & 1u) == 1u);
        dot = dot + term * select(1.0, 2.0, bias_output_per_rank && shape.is_output == 1u);
    }
    out[group.y * shape.rows + row] = b(dot);
}
