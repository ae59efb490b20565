// 8: scores of each head, query and key; -inf for keys that are not visible. Four keys a workgroup.

struct Shape {
    positions: u32,
    heads: u32,
    group: u32,
    head_dim: u32,
    slides: u32,
    window: u32,
    decoded_from: u32,
    scale: f32,
}

override window_plus_one: bool = false;
override window_right_open: bool = false;
override window_absent: bool = false;
override window_parity: bool = false;
override mask_stride: bool = false;
override kv_not_written: bool = false;
override scale_absent: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn is_visible(query: u32, key: u32) -> bool {
    let slides = (shape.slides == 1u) != window_parity;
    if !slides || window_absent {
        return key <= query;
    }
    let window = shape.window + select(0u, 1u, window_plus_one);
    if window_right_open {
        return max(query, key) - min(query, key) < window;
    }
    if mask_stride {
        let place = query * window + key;
        let column = place % shape.positions;
        let row = place / shape.positions;
        return column <= row && row - column < window;
    }
    return key <= query && query - key < window;
}

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let key = 4u * group.x + local.y;
    let query = group.y;
    let head = group.z;
    let sees = key < shape.positions && is_visible(query, key);
    let query_start = (query * shape.heads + head) * shape.head_dim;
    let key_start = (key * (shape.heads / shape.group) + head / shape.group) * shape.head_dim;
    let is_written = !(kv_not_written && key >= shape.decoded_from);
    var sums = vec4<f32>();
    if sees && is_written {
        for (var k = 2u * local.x; k < shape.head_dim; k = k + 128u) {
            for (var c = 0u; c < 4u && k + 32u * c < shape.head_dim; c = c + 1u) {
                let at = k + 32u * c;
                let odd = fma(queries[query_start + at + 1u], keys[key_start + at + 1u], sums[c]);
                sums[c] = fma(queries[query_start + at], keys[key_start + at], odd);
            }
        }
    }
    lanes[16u * local.y + local.x] = (sums.x + sums.y) + (sums.z + sums.w);
    workgroupBarrier();
    if local.x != 0u || key >= shape.positions {
        return;
    }
    let dot = fold_lanes(local.y);
    let score = b(b(dot) * select(shape.scale, 1.0, scale_absent));
    out[(head * shape.positions + query) * shape.positions + key] = select(from_bits(0xff800000u), score, sees);
}
