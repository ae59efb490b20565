//! One operation a vector.

use super::{Data, Level, Random, Tensor, Vector};
use crate::numerics::{
    Bf16, LANES, Order, Rope, dot, exp, expert_weights, fma, inverse_sqrt, rms_norm, round_bf16, sigmoid,
    softmax_with_sink, swiglu, top_k, visible, weighted_sum,
};
use crate::synth::gpt_oss_20b;

/// What vectors are made of before they have their level.
type Named = Vec<(&'static str, Tensor)>;

fn vector(
    name: impl Into<String>,
    clause: u8,
    about: &'static str,
    inputs: Named,
    expected: Named,
) -> Vector {
    Vector { name: name.into(), level: Level::Operations, clause, about, inputs, expected }
}

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    dots(&mut vectors);
    norms(&mut vectors);
    rotations(&mut vectors);
    attention(&mut vectors);
    router(&mut vectors);
    activations(&mut vectors);
    vectors
}

/// Clauses 4 and 5.
fn dots(vectors: &mut Vec<Vector>) {
    let mut random = Random(2);
    for (order, letter) in [(Order::D, 'd'), (Order::E, 'e')] {
        for len in [1, 31, 32, 33, 64, 127, 128, 129, 257, 2880] {
            let (a, b) = (random.bf16(len, 8.0), random.bf16(len, 8.0));
            let sum = dot(order, &a, &b);
            vectors.push(vector(
                format!("dot.{letter}.{len}"),
                4,
                "lanes, accumulators and the fold fix every bit of the sum; order E is that of the experts' matrices, D \
                 that of all others",
                vec![("a", Tensor::bf16(a)), ("b", Tensor::bf16(b))],
                vec![("sum", Tensor::f32(vec![sum])), ("rounded", Tensor::bf16(vec![round_bf16(sum)]))],
            ));
        }
        // Big numbers that cancel: any other order gives another sum.
        let len = 4 * order.group();
        let mut a = random.bf16(len, 1.0);
        let b = vec![1.0; len];
        for pair in 0..len / 8 {
            let size = 2f32.powi(20 + (pair % 4) as i32);
            (a[pair], a[len - 1 - pair]) = (size, -size);
        }
        let sum = dot(order, &a, &b);
        vectors.push(vector(
            format!("dot.{letter}.cancel"),
            4,
            "large terms cancel, so that any other order of the sum shows",
            vec![("a", Tensor::bf16(a)), ("b", Tensor::bf16(b))],
            vec![("sum", Tensor::f32(vec![sum]))],
        ));
    }
    let (sums, biases) = (random.bf16(64, 40.0), random.bf16(64, 3.0));
    let sums: Vec<f32> = sums.iter().map(|sum| sum + random.unit() / 128.0).collect();
    let each =
        |add: fn(f32, f32) -> f32| sums.iter().zip(&biases).map(|(&sum, &bias)| add(sum, bias)).collect();
    vectors.push(vector(
        "bias",
        5,
        "attention and router add the bias before the one rounding, experts round before and after",
        vec![("sums", Tensor::f32(sums.clone())), ("biases", Tensor::bf16(biases.clone()))],
        vec![
            ("dense", Tensor::bf16(each(|sum, bias| round_bf16(sum + bias)))),
            ("expert", Tensor::bf16(each(|sum, bias| round_bf16(round_bf16(sum) + bias)))),
        ],
    ));
}

/// Clause 6.
fn norms(vectors: &mut Vec<Vector>) {
    let mut random = Random(3);
    for (name, len, size) in
        [("small", 64, 2.0), ("wide", 2880, 4.0), ("large", 2880, 30000.0), ("tiny", 64, 1e-4)]
    {
        let (x, scale) = (random.bf16(len, size), random.bf16(len, 2.0));
        let mut out = vec![0.0; len];
        rms_norm::<Bf16>(&x, &scale, 1e-5, &mut out);
        vectors.push(vector(
            format!("rms_norm.{name}"),
            6,
            "x / sqrt(mean of squares + eps), then times scale, then one rounding",
            vec![("x", Tensor::bf16(x)), ("scale", Tensor::bf16(scale)), ("eps", Tensor::f32(vec![1e-5]))],
            vec![("out", Tensor::bf16(out))],
        ));
    }
}

/// Clause 7.
fn rotations(vectors: &mut Vec<Vector>) {
    let config = gpt_oss_20b();
    let (dim, rope) = (config.head_dim, Rope::<Bf16>::new(&config.rope, config.head_dim));
    vectors.push(vector(
        "yarn.frequencies",
        7,
        "the 32 frequencies of the released models, and the factor of cosine and sine; the bounds of the ramp are not \
         rounded",
        vec![],
        vec![
            ("inverse_frequencies", Tensor::f32(rope.inverse_frequencies().to_vec())),
            ("concentration", Tensor::f32(vec![rope.concentration()])),
        ],
    ));
    let mut random = Random(4);
    let positions = [0, 1, 2, 127, 128, 1000, 4095, 4096, 32_767, 131_071];
    let heads = random.bf16(positions.len() * dim, 4.0);
    let (mut cos, mut sin, mut rotated) = (Vec::new(), Vec::new(), heads.clone());
    for (&position, head) in positions.iter().zip(rotated.chunks_exact_mut(dim)) {
        let pairs: Vec<_> = (0..dim / 2).map(|pair| rope.cos_sin(position, pair)).collect();
        Rope::<Bf16>::rotate(head, &pairs);
        cos.extend(pairs.iter().map(|pair| pair.0));
        sin.extend(pairs.iter().map(|pair| pair.1));
    }
    let count = positions.len();
    vectors.push(vector(
        "yarn.rotation",
        7,
        "element i turns with element i + 32; positions within and beyond the original context",
        vec![("positions", Tensor::i32(positions)), ("heads", Tensor::new([count, dim], Data::Bf16(heads)))],
        vec![
            ("cos", Tensor::new([count, dim / 2], Data::Bf16(cos))),
            ("sin", Tensor::new([count, dim / 2], Data::Bf16(sin))),
            ("rotated", Tensor::new([count, dim], Data::Bf16(rotated))),
        ],
    ));
}

/// Clause 8.
fn attention(vectors: &mut Vec<Vector>) {
    let mut random = Random(5);
    for (name, first, len, sink) in [
        ("one_key", 0, 1, 0.5),
        ("sink_low", 0, 40, -20.0),
        ("sink_high", 0, 40, 20.0),
        ("window", 73, 128, 2.0),
        ("far_lane", LANES + 3, 300, 1.0),
    ] {
        let scores = random.bf16(len, 6.0);
        let mut probabilities = scores.clone();
        softmax_with_sink::<Bf16>(&mut probabilities, first, sink);
        vectors.push(vector(
            format!("softmax.{name}"),
            8,
            "the sink is a score without a value: it takes part in the greatest and in the sum; `first` is the position \
             of the first key",
            vec![
                ("scores", Tensor::bf16(scores)),
                ("sink", Tensor::bf16(vec![sink])),
                ("first", Tensor::i32([first])),
            ],
            vec![("probabilities", Tensor::bf16(probabilities))],
        ));
    }
    let window = 128;
    let queries = [0_usize, 1, 126, 127, 128, 129, 255, 256, 1000];
    let least = |window: Option<usize>| {
        queries.map(|query| (0..=query).find(|&key| visible(query, key, window)).unwrap_or(query))
    };
    vectors.push(vector(
        "window",
        8,
        "a sliding layer sees exactly 128 keys, the query's own included; key j is visible from `least` to the query",
        vec![("queries", Tensor::i32(queries)), ("window", Tensor::i32([window]))],
        vec![("least_sliding", Tensor::i32(least(Some(window)))), ("least_full", Tensor::i32(least(None)))],
    ));
    let keys = 600;
    let mut probabilities = random.bf16(keys, 1.0);
    probabilities.iter_mut().for_each(|probability| *probability = round_bf16(probability.abs() / 300.0));
    let values = random.bf16(keys, 3.0);
    let terms = probabilities.iter().zip(&values).enumerate().map(|(key, (&p, &v))| (key, p, v));
    let context = weighted_sum::<Bf16>(terms);
    let (query, key) = (random.bf16(64, 4.0), random.bf16(64, 4.0));
    let product = dot(Order::D, &query, &key);
    let scale = inverse_sqrt::<f32>(64);
    vectors.push(vector(
        "attention.score",
        8,
        "the product is rounded, and again after it is scaled",
        vec![("query", Tensor::bf16(query)), ("key", Tensor::bf16(key)), ("scale", Tensor::f32(vec![scale]))],
        vec![("score", Tensor::bf16(vec![round_bf16(round_bf16(product) * scale)]))],
    ));
    vectors.push(vector(
        "attention.context",
        8,
        "a chain of fused multiply-adds over each block of 256 positions, the blocks summed in order",
        vec![("probabilities", Tensor::bf16(probabilities)), ("values", Tensor::bf16(values))],
        vec![("context", Tensor::bf16(vec![context]))],
    ));
}

/// Clause 9.
fn router(vectors: &mut Vec<Vector>) {
    let mut random = Random(6);
    let mut ties = vec![0.5; 32];
    (ties[20], ties[9], ties[25]) = (2.0, 1.0, 1.0);
    let mut edge = random.bf16(32, 4.0);
    edge.fill(-0.0);
    edge[31] = 0.0;
    for (name, logits) in [
        ("plain", random.bf16(32, 8.0)),
        ("many", random.bf16(128, 8.0)),
        ("ties", ties),
        ("zeros", edge),
        ("all_equal", vec![-3.0; 32]),
        ("far_apart", (0..32).map(|index| round_bf16(-12.5 * index as f32)).collect()),
    ] {
        let ids = top_k(&logits, 4);
        let weights = expert_weights::<Bf16>(&ids.iter().map(|&id| logits[id]).collect::<Vec<_>>());
        vectors.push(vector(
            format!("router.{name}"),
            9,
            "the four greatest, of equal ones the lower id; weights are a softmax over these four",
            vec![("logits", Tensor::bf16(logits))],
            vec![("ids", Tensor::i32(ids)), ("weights", Tensor::bf16(weights))],
        ));
    }
    let (rows, weights) = (random.bf16(4 * 64, 6.0), [0.5, 0.25, 0.125, 0.125]);
    let sum = (0..64)
        .map(|element| {
            let add = |sum: f32, rank: usize| fma(weights[rank], rows[64 * rank + element], sum);
            round_bf16((0..4).fold(0.0, add))
        })
        .collect();
    vectors.push(vector(
        "experts.sum",
        9,
        "fused multiply-adds by rank from +0, then one rounding",
        vec![("rows", Tensor::new([4, 64], Data::Bf16(rows))), ("weights", Tensor::bf16(weights.to_vec()))],
        vec![("sum", Tensor::bf16(sum))],
    ));
}

/// Clauses 10 and 11.
fn activations(vectors: &mut Vec<Vector>) {
    let edges = [
        -200.0, -100.0, -30.0, -7.0625, -7.0, -6.96875, -1.0, -0.125, -0.0, 0.0, 0.125, 1.0, 1.703_125,
        6.968_75, 7.0, 7.0625, 8.0, 30.0, 200.0,
    ];
    let pairs: Vec<(f32, f32)> =
        edges.iter().flat_map(|&gate| edges.iter().map(move |&up| (gate, up))).collect();
    let out = pairs.iter().map(|&(gate, up)| swiglu::<Bf16>(gate, up, 7.0)).collect();
    vectors.push(vector(
        "swiglu",
        10,
        "the gate is clamped above alone, the up value on both sides, and has 1 added; alpha is 1.702",
        vec![
            ("gate", Tensor::bf16(pairs.iter().map(|pair| pair.0).collect())),
            ("up", Tensor::bf16(pairs.iter().map(|pair| pair.1).collect())),
            ("limit", Tensor::f32(vec![7.0])),
        ],
        vec![("out", Tensor::bf16(out))],
    ));
    let mut random = Random(7);
    let mut x: Vec<f32> = (0..200).map(|_| random.unit() * 90.0).collect();
    x.extend([0.0, -0.0, 1.0, -1.0, 88.722_83, 88.722_84, -87.0, -87.000_01, -103.0]);
    vectors.push(vector(
        "exp",
        11,
        "the f32 nearest to e^x; +0 below -87, infinite from 88.72284 on",
        vec![("x", Tensor::f32(x.clone()))],
        vec![
            ("exp", Tensor::f32(x.iter().map(|&x| exp(x)).collect())),
            ("sigmoid", Tensor::f32(x.iter().map(|&x| sigmoid(x)).collect())),
        ],
    ));
}
