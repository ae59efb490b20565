// 9: the weighted sum of the chosen experts, by rank.

struct Shape { positions: u32, hidden: u32, ranks: u32 }

override bias_down_unweighted: bool = false;
override moe_no_gate_weight: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.hidden {
        return;
    }
    var sum = 0.0;
    for (var rank = 0u; rank < shape.ranks; rank = rank + 1u) {
        let slot = id.y * shape.ranks + rank;
        let weight = select(weights[slot], 1.0, moe_no_gate_weight);
        sum = fma(weight, x[slot * shape.hidden + id.x], sum);
        if bias_down_unweighted {
            let at = ids[slot] * shape.hidden + id.x;
            let word = bias[at / 2u];
            sum = sum + (1.0 - weight) * select(bf16_even(word), bf16_odd(word), (at & 1u) == 1u);
        }
    }
    out[id.y * shape.hidden + id.x] = b(sum);
}
