// 7: the rotation of each pair of each head.

struct Shape { heads: u32, pairs: u32 }

override rope_interleaved: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> turns: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= shape.heads * shape.pairs {
        return;
    }
    let pair = id.x % shape.pairs;
    let head = 2u * (id.y * shape.heads * shape.pairs + id.x - pair);
    var first = head + pair;
    var second = first + shape.pairs;
    if rope_interleaved {
        first = head + 2u * pair;
        second = first + 1u;
    }
    let turn = turns[id.y * shape.pairs + pair];
    let p = x[first];
    let r = x[second];
    out[first] = b(b(p * turn.x) - b(r * turn.y));
    out[second] = b(b(r * turn.x) + b(p * turn.y));
}
