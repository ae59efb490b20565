// 8: from scores to probabilities, with the sink of the head; a workgroup of sixteen lanes a head and query.

struct Shape { positions: u32 }

override sink_absent: bool = false;
override sink_log_base: bool = false;
override sink_twice: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> sinks: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn is_masked(score: f32) -> bool {
    return bitcast<u32>(score) == 0xff800000u;
}

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = group.y;
    let start = (head * shape.positions + group.x) * shape.positions;
    let word = sinks[head / 2u];
    var sink = select(bf16_even(word), bf16_odd(word), (head & 1u) == 1u);
    if sink_log_base {
        sink = sink * 0.6931472;
    }

    var most = sink;
    for (var key = lane; key < shape.positions; key = key + 16u) {
        most = max(most, scores[start + key]);
    }
    lanes[lane] = most;
    workgroupBarrier();
    for (var other = 0u; other < 16u; other = other + 1u) {
        most = max(most, lanes[other]);
    }
    workgroupBarrier();

    var sum = 0.0;
    for (var key = lane; key < shape.positions; key = key + 16u) {
        let score = scores[start + key];
        if !is_masked(score) {
            let term = exp_nearest(score - most);
            sum = sum + term;
            out[start + key] = term;
        }
    }
    lanes[lane] = sum;
    workgroupBarrier();
    var total = fold_lanes(0u);
    let of_sink = exp_nearest(sink - most);
    if !sink_absent {
        total = total + of_sink;
    }
    if sink_twice {
        total = total + of_sink;
    }
    for (var key = lane; key < shape.positions; key = key + 16u) {
        let is_hidden = is_masked(scores[start + key]);
        out[start + key] = select(b(divide(out[start + key], total)), 0.0, is_hidden);
    }
}
