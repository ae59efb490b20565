// 2, 4 in order E, and 5: one matrix of the chosen experts, in MXFP4; sixteen lanes an output element, four elements a
// workgroup. A lane takes eight codes at a time, which are one word.

struct Shape { rows: u32, cols: u32, ranks: u32, is_down: u32 }

override mxfp4_nibble: bool = false;
override mxfp4_high_first: bool = false;
override mxfp4_scale_linear: bool = false;
override mxfp4_scale_nan: bool = false;
override bias_gate_up_absent: bool = false;
override bias_down_per_rank: bool = false;
override order_even_first: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> blocks: array<u32>;
@group(0) @binding(4) var<storage, read> scales: array<u32>;
@group(0) @binding(5) var<storage, read> bias: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// Eight codes of a block from element `first` on, the first one lowest.
fn codes(block: u32, first: u32) -> u32 {
    if !mxfp4_nibble {
        let word = blocks[4u * block + first / 8u];
        if mxfp4_high_first {
            return ((word & 0x0f0f0f0fu) << 4u) | ((word >> 4u) & 0x0f0f0f0fu);
        }
        return word;
    }
    var word = 0u;
    for (var element = first; element < first + 8u; element = element + 1u) {
        let byte = element % 16u;
        let code = (blocks[4u * block + byte / 4u] >> (8u * (byte % 4u) + 4u * (element / 16u))) & 15u;
        word = word | (code << (4u * (element - first)));
    }
    return word;
}

// 2: the element of a code and a scale byte, flushed. Its exponent is the scale and what the code adds to it.
fn element(code: u32, scale: u32) -> f32 {
    if mxfp4_scale_nan && scale == 134u {
        return from_bits(QUIET_NAN);
    }
    let two = code & 7u;
    let field = (two >> 1u) + select(scale, 127u, mxfp4_scale_linear) - 1u;
    let fraction = select(0u, (two & 1u) << 22u, two > 1u);
    let bits = ((code & 8u) << 28u) | (field << 23u) | fraction;
    // Exponents below 0 wrap, and stand above all.
    let value = from_bits(select(flush(bits), 0u, two == 0u || field > 254u));
    return value * select(1.0, f32(scale), mxfp4_scale_linear);
}

fn four(word: u32, scale: u32) -> vec4<f32> {
    return vec4<f32>(
        element(word & 15u, scale),
        element((word >> 4u) & 15u, scale),
        element((word >> 8u) & 15u, scale),
        element((word >> 12u) & 15u, scale),
    );
}

fn four_of_x(at: u32) -> vec4<f32> {
    return vec4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
}

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let row = 4u * group.x + local.y;
    let slot = group.z * shape.ranks + group.y;
    let matrix_row = ids[slot] * shape.rows + row;
    // All experts of a position read the same row before them, and each its own after.
    let start = select(group.z, slot, shape.is_down == 1u) * shape.cols;
    var sums = vec4<f32>();
    if row < shape.rows {
        for (var k = 8u * local.x; k < shape.cols; k = k + 128u) {
            let block = (matrix_row * shape.cols + k) / 32u;
            let scale = (scales[block / 4u] >> (8u * (block % 4u))) & 0xffu;
            let word = codes(block, k % 32u);
            let even = four(word, scale);
            let odd = four(word >> 16u, scale);
            if order_even_first {
                sums = fma(odd, four_of_x(start + k + 4u), fma(even, four_of_x(start + k), sums));
            } else {
                sums = fma(even, four_of_x(start + k), fma(odd, four_of_x(start + k + 4u), sums));
            }
        }
    }
    lanes[16u * local.y + local.x] = (sums.x + sums.y) + (sums.z + sums.w);
    workgroupBarrier();
    if local.x != 0u || row >= shape.rows {
        return;
    }
    var dot = b(fold_lanes(local.y));
    if !(bias_gate_up_absent && shape.is_down == 0u) {
        let word = bias[matrix_row / 2u];
        let term = select(bf16_even(word), bf16_odd(word), (matrix_row & 1u) == 1u);
        dot = b(dot + term * select(1.0, 2.0, bias_down_per_rank && shape.is_down == 1u));
    }
    out[slot * shape.rows + row] = dot;
}
