// 9: the greatest logits of a position, of equal ones the first, and their weights.

struct Shape { positions: u32, experts: u32, chosen: u32 }

override router_softmax_all: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

fn is_chosen(first: u32, count: u32, expert: u32) -> bool {
    for (var rank = 0u; rank < count; rank = rank + 1u) {
        if ids[first + rank] == expert {
            return true;
        }
    }
    return false;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.positions {
        return;
    }
    let row = id.x * shape.experts;
    let first = id.x * shape.chosen;
    for (var rank = 0u; rank < shape.chosen; rank = rank + 1u) {
        var best = shape.experts;
        for (var expert = 0u; expert < shape.experts; expert = expert + 1u) {
            if !is_chosen(first, rank, expert) {
                if best == shape.experts {
                    best = expert;
                } else if logits[row + expert] > logits[row + best] {
                    best = expert;
                }
            }
        }
        ids[first + rank] = best;
    }
    let greatest = logits[row + ids[first]];
    var sum = 0.0;
    for (var rank = 0u; rank < shape.chosen; rank = rank + 1u) {
        let term = exp_nearest(logits[row + ids[first + rank]] - greatest);
        weights[first + rank] = term;
        sum = sum + term;
    }
    if router_softmax_all {
        sum = 0.0;
        for (var expert = 0u; expert < shape.experts; expert = expert + 1u) {
            sum = sum + exp_nearest(logits[row + expert] - greatest);
        }
    }
    for (var rank = 0u; rank < shape.chosen; rank = rank + 1u) {
        weights[first + rank] = b(divide(weights[first + rank], sum));
    }
}
