use proptest::prelude::*;

use super::*;

/// The clause word by word: everything sorted, nothing skipped.
mod definition {
    use super::super::SamplerOptions;
    use crate::numerics::exp;

    pub(super) fn by_blocks(weights: &[f64]) -> f64 {
        let mut sums = vec![0.0; weights.len().div_ceil(256)];
        for (id, weight) in weights.iter().enumerate() {
            sums[id / 256] += weight;
        }
        sums.iter().fold(0.0, |total, sum| total + sum)
    }

    /// The weights after the filters.
    pub(super) fn filtered(logits: &[f32], options: &SamplerOptions) -> Vec<f64> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap().then(a.cmp(&b)));
        let greatest = f64::from(logits[order[0]]);
        let mut weights: Vec<f64> =
            logits.iter().map(|&l| exp((f64::from(l) - greatest) / options.temperature)).collect();
        if let Some(k) = options.top_k {
            for &id in order.iter().skip(k) {
                weights[id] = 0.0;
            }
        }
        if options.top_p < 1.0 {
            let goal = options.top_p * by_blocks(&weights);
            let mut sum = 0.0;
            let mut done = false;
            for &id in &order {
                if done {
                    weights[id] = 0.0;
                } else {
                    sum += weights[id];
                    done = sum >= goal;
                }
            }
        }
        for weight in &mut weights {
            if *weight < options.min_p {
                *weight = 0.0;
            }
        }
        weights
    }

    pub(super) fn draw(weights: &[f64], u: f64) -> u32 {
        let target = u * by_blocks(weights);
        for id in 0..weights.len() {
            let start = id / 256 * 256;
            let chain = weights[start..=id].iter().fold(0.0, |sum, weight| sum + weight);
            if by_blocks(&weights[..start]) + chain > target {
                return id as u32;
            }
        }
        panic!("nothing was drawn");
    }
}

/// Logits that look like those of a model: `count` numbers of a normal-like distribution of the given spread.
fn logits(count: usize, spread: f32, seed: u64) -> Vec<f32> {
    (0..count as u64)
        .map(|id| {
            let words = philox4x32_10([id as u32, 1, 2, 3], [seed as u32, 4]);
            words.iter().map(|&word| word as f32 / 4_294_967_296.0 - 0.5).sum::<f32>() * spread
        })
        .collect()
}

#[test]
fn philox_gives_the_published_known_answers() {
    // Random123 1.14.0, tests/kat_vectors, lines `philox4x32 10`.
    let ones = u32::MAX;
    assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32_10([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn u_is_made_of_the_first_two_words() {
    // 0xe169c58d6627e8d5 without its last 11 bits, over 2^53.
    assert_eq!(philox::uniform(0, 0), (0xe169_c58d_6627_e8d5_u64 >> 11) as f64 / 9_007_199_254_740_992.0);
    // Both halves of seed and step count.
    let numbers = [(0, 0), (1, 0), (1 << 32, 0), (0, 1), (0, 1 << 32)].map(|(k, n)| philox::uniform(k, n));
    for (index, number) in numbers.iter().enumerate() {
        assert!(!numbers[..index].contains(number));
    }
}

#[test]
fn greedy_takes_the_lower_id_of_equals_and_heeds_nothing_else() {
    let options = SamplerOptions { top_k: Some(1), min_p: 1.0, seed: 5, ..SamplerOptions::greedy() };
    let greedy = Sampler::new(options).unwrap();
    for step in 0..20 {
        assert_eq!(greedy.sample(&[1.0_f32, 3.0, 2.0, 3.0], step).unwrap(), 1);
        assert_eq!(greedy.sample(&[-0.0_f32, 0.0], step).unwrap(), 0);
        assert_eq!(greedy.sample(&[f64::NEG_INFINITY, -4.0, -3.0], step).unwrap(), 2);
        // Equal in f32, but not in f64.
        assert_eq!(greedy.sample(&[1.0, 1.0 + f64::EPSILON], step).unwrap(), 1);
    }
}

#[test]
fn logits_that_are_no_numbers_are_errors() {
    for options in [SamplerOptions::greedy(), SamplerOptions::default()] {
        let sampler = Sampler::new(options).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            for place in 0..3 {
                let mut row = [1.0_f32, 2.0, 3.0];
                row[place] = bad;
                let error = sampler.sample(&row, 0).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFinite);
                assert!(error.rule().contains(&format!("token {place}")), "{error}");
                assert_eq!(LogSoftmax::new(&row).unwrap_err().kind(), ErrorKind::NotFinite);
            }
        }
        assert_eq!(sampler.sample(&[f32::NEG_INFINITY; 3], 0).unwrap_err().kind(), ErrorKind::NotFinite);
        assert_eq!(sampler.sample::<f32>(&[], 0).unwrap_err().kind(), ErrorKind::Sampling);
    }
}

#[test]
fn options_out_of_range_are_errors() {
    let valid = SamplerOptions::default();
    let with_temperature = |temperature| SamplerOptions { temperature, ..valid };
    let with_top_p = |top_p| SamplerOptions { top_p, ..valid };
    let with_min_p = |min_p| SamplerOptions { min_p, ..valid };
    let mut refused = vec![SamplerOptions { top_k: Some(0), ..valid }];
    refused.extend([-0.1, f64::NAN, f64::INFINITY].map(with_temperature));
    refused.extend([-0.1, 0.0, 1.000_001, f64::NAN].map(with_top_p));
    refused.extend([-0.1, 1.000_001, f64::NAN].map(with_min_p));
    for options in refused {
        assert_eq!(Sampler::new(options).unwrap_err().kind(), ErrorKind::Sampling, "{options:?}");
    }
    for options in [with_temperature(-0.0), with_temperature(1e-320), with_top_p(1e-320), with_min_p(1.0)] {
        assert_eq!(Sampler::new(options).unwrap().sample(&[1.0_f32, 2.0, 0.5], 9).unwrap(), 1);
    }
}

#[test]
fn barred_tokens_are_never_drawn() {
    let mut row = vec![f32::NEG_INFINITY; 600];
    (row[3], row[300], row[599]) = (0.5, 1.0, 0.0);
    let options =
        SamplerOptions { temperature: 1e6, top_k: Some(500), top_p: 0.999_999, ..Default::default() };
    let sampler = Sampler::new(options).unwrap();
    let mut seen = [0; 600];
    for step in 0..300 {
        seen[sampler.sample(&row, step).unwrap() as usize] += 1;
    }
    assert!([3, 300, 599].iter().all(|&id| seen[id] > 50));
    assert_eq!(seen.iter().sum::<i32>(), seen[3] + seen[300] + seen[599]);
    assert_eq!(LogSoftmax::new(&row).unwrap().of(0).value, f64::NEG_INFINITY);
}

#[test]
fn top_p_ends_with_the_candidate_that_reaches_the_goal() {
    let kept = |top_p| {
        let sampler = Sampler::new(SamplerOptions { top_p, ..Default::default() }).unwrap();
        let row = [2.0_f32; 4];
        let mut weights = sampler.weights(&row, 0);
        sampler.filter(&row, &mut weights);
        weights
    };
    // Quarters are exact, so the goal of 0.5 is met by two.
    assert_eq!(kept(0.5), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(kept(0.500_001), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(kept(1e-9), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn frequencies_are_the_probabilities() {
    let row: Vec<f32> = (0..16).map(|id| (id * 7 % 16) as f32 * 0.2).collect();
    let options = SamplerOptions { temperature: 1.3, seed: 0x1234_5678_9abc_def0, ..Default::default() };
    let sampler = Sampler::new(options).unwrap();
    const DRAWS: u64 = 200_000;
    let mut counts = [0_u64; 16];
    for step in 0..DRAWS {
        counts[sampler.sample(&row, step).unwrap() as usize] += 1;
    }
    let weights = definition::filtered(&row, &options);
    let total: f64 = weights.iter().sum();
    let chi_square: f64 = counts
        .iter()
        .zip(weights)
        .map(|(&count, weight)| {
            let expected = weight / total * DRAWS as f64;
            (count as f64 - expected) * (count as f64 - expected) / expected
        })
        .sum();
    // The 99.9 % point of chi-square with 15 degrees of freedom is 37.70; the 0.1 % point is 3.48.
    assert!((3.48..37.70).contains(&chi_square), "{chi_square}");
}

#[test]
fn draws_of_a_large_vocabulary_keep_their_tokens() {
    // From a program in another language, written from the clause alone.
    let row = logits(201_088, 24.0, 1);
    let draws = |options: SamplerOptions| -> [u32; 6] {
        let sampler = Sampler::new(options).unwrap();
        std::array::from_fn(|index| sampler.sample(&row, 1000 + index as u64).unwrap())
    };
    let options = SamplerOptions { seed: 42, ..SamplerOptions::default() };
    let found = [
        draws(options),
        draws(SamplerOptions { top_k: Some(40), ..options }),
        draws(SamplerOptions { top_p: 0.9, ..options }),
        draws(SamplerOptions { min_p: 0.05, temperature: 0.7, ..options }),
    ];
    let expected = [
        [129_079, 135_826, 34_132, 102_970, 76_554, 15_012],
        [129_079, 135_826, 24_198, 106_118, 76_554, 15_012],
        [129_079, 135_826, 27_808, 102_970, 76_554, 15_012],
        [129_079, 135_826, 16_681, 129_079, 76_554, 15_012],
    ];
    assert_eq!(found, expected);
}

#[test]
fn ln_has_the_bits_of_the_clause() {
    // From the same program; each lies within one unit in the last place of the true logarithm.
    for (value, bits) in [
        (1.0, 0),
        (1.000_000_1, 0x3e7a_d7f2_847b_6492),
        (1.4999, 0x3fd9_f20c_4b92_ee84),
        (1.5, 0x3fd9_f323_ecbf_984c),
        (3.0, 0x3ff1_93ea_7aad_030b),
        (77.25, 0x4011_6360_4445_c633),
        (1e5, 0x4027_069e_2aa2_aa5b),
        (201_088.0, 0x4028_6c49_73fa_07d0),
    ] {
        assert_eq!(log_softmax::ln(value).to_bits(), bits, "{value}");
    }
}

#[test]
fn log_probabilities_are_those_of_the_logits_alone() {
    let row = logits(1000, 10.0, 3);
    let softmax = LogSoftmax::new(&row).unwrap();
    let sum: f64 = (0..1000).map(|token| exp(softmax.of(token).value)).sum();
    assert!((sum - 1.0).abs() < 1e-13, "{sum}");
    let best = softmax.best(20);
    assert_eq!(best.len(), 20);
    assert_eq!(best[0].token, Sampler::new(SamplerOptions::greedy()).unwrap().sample(&row, 0).unwrap());
    assert!(best.windows(2).all(|pair| pair[0].value >= pair[1].value));
    assert_eq!(softmax.best(2000).len(), 1000);
    assert!(softmax.best(0).is_empty());
    // From the same program as the draws.
    for (token, bits) in
        [(0, 0xc02d_d3e7_b17d_7fcc), (500, 0xc036_a899_e0be_bfe6), (999, 0xc033_1111_e4be_bfe6)]
    {
        assert_eq!(softmax.of(token).value.to_bits(), bits);
    }
    // A certain token has log-probability 0, not nearly 0.
    assert_eq!(LogSoftmax::new(&[900.0_f32, 0.0]).unwrap().of(0).value.to_bits(), 0);
}

prop_compose! {
    /// Rows with many equal logits, some of them barred.
    fn row()(
        values in prop::collection::vec(prop_oneof![
            8 => (-40..40_i32).prop_map(|n| n as f32 / 4.0),
            4 => -12.0..12.0_f32,
            1 => Just(f32::NEG_INFINITY),
        ], 1..700),
        one in any::<prop::sample::Index>(),
    ) -> Vec<f32> {
        let mut values = values;
        // At least one token may come.
        let one = one.index(values.len());
        if values[one] == f32::NEG_INFINITY {
            values[one] = 1.0;
        }
        values
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn filters_and_draws_are_those_of_the_definition(
        row in row(),
        temperature in prop_oneof![Just(1.0), 0.01..5.0, 5.0..1e6],
        top_k in prop::option::of(1..800_usize),
        top_p in prop_oneof![Just(1.0), 0.001..1.0, 0.99..1.0],
        min_p in prop_oneof![Just(0.0), Just(1.0), 0.0..0.2],
        seed in any::<u64>(),
        step in any::<u64>(),
    ) {
        let options = SamplerOptions { temperature, top_k, top_p, min_p, seed };
        let sampler = Sampler::new(options).unwrap();
        let mut weights = sampler.weights(&row, first(&row).unwrap());
        sampler.filter(&row, &mut weights);
        let bits = |weights: &[f64]| weights.iter().map(|weight| weight.to_bits()).collect::<Vec<_>>();
        let expected = definition::filtered(&row, &options);
        prop_assert_eq!(bits(&weights), bits(&expected));
        prop_assert_eq!(sums::total(&weights).to_bits(), definition::by_blocks(&expected).to_bits());
        let token = definition::draw(&expected, philox::uniform(seed, step));
        prop_assert_eq!(sampler.sample(&row, step).unwrap(), token);
        // f32 logits mean the same when they come as f64.
        let wide: Vec<f64> = row.iter().map(|&logit| f64::from(logit)).collect();
        prop_assert_eq!(sampler.sample(&wide, step).unwrap(), token);
    }

    #[test]
    fn the_first_in_order_are_those_of_a_sort(row in row(), count in 0..800_usize) {
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|&a, &b| row[b as usize].partial_cmp(&row[a as usize]).unwrap().then(a.cmp(&b)));
        order.truncate(count);
        prop_assert_eq!(order::best(&row, count), order);
    }

    #[test]
    fn the_greatest_u_draws_too(row in row()) {
        let weights = definition::filtered(&row, &SamplerOptions::default());
        let token = sums::draw(&weights, 1.0 - f64::EPSILON / 2.0);
        prop_assert!(weights[token as usize] > 0.0);
        let least = sums::draw(&weights, 0.0);
        prop_assert_eq!(Some(least as usize), weights.iter().position(|&weight| weight > 0.0));
    }
}
