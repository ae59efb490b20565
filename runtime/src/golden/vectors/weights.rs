//! What stored weights stand for.

use super::{Data, Level, Random, Tensor, Vector};
use crate::dtype::mxfp4::{BLOCK_BYTES, BLOCK_LEN, E2M1, MAX_SCALE, unpack};
use crate::numerics::{flush, round_bf16};

pub(super) fn vectors() -> Vec<Vector> {
    let vector = |name: &str, clause, about, inputs, expected| Vector {
        name: name.to_owned(),
        level: Level::Weights,
        clause,
        about,
        inputs,
        expected,
    };
    let scales: Vec<u8> = (0..=MAX_SCALE).collect();
    let table: Vec<f32> = scales
        .iter()
        .flat_map(|&scale| {
            // Sixteen bytes with each code in both halves: codes 0 to 15 are the first elements of pairs.
            let block: [u8; BLOCK_BYTES] = std::array::from_fn(|code| code as u8 | (code as u8) << 4);
            let values = unpack(&block, scale).expect("the scale is allowed");
            values.into_iter().step_by(2).map(flush).collect::<Vec<_>>()
        })
        .collect();
    let mut random = Random(1);
    let blocks: Vec<u8> = (0..8 * BLOCK_BYTES).map(|_| (random.next() >> 56) as u8).collect();
    let block_scales = [0_u8, 1, 78, 120, 127, 128, 251, 252];
    let unpacked: Vec<f32> = blocks
        .as_chunks::<BLOCK_BYTES>()
        .0
        .iter()
        .zip(block_scales)
        .flat_map(|(block, scale)| unpack(block, scale).expect("the scale is allowed"))
        .map(flush)
        .collect();
    vec![
        vector(
            "mxfp4.table",
            2,
            "every code with every scale byte that is allowed, 253 to 255 being refused: E2M1 times 2^(scale - 127), \
             then what is below 2^-50 becomes +0",
            vec![
                ("codes", Tensor::row(Data::U8((0..16).collect()))),
                ("codes_alone", Tensor::f32(E2M1.to_vec())),
                ("scales", Tensor::row(Data::U8(scales.clone()))),
            ],
            vec![("values", Tensor::new([scales.len(), 16], Data::Bf16(table)))],
        ),
        vector(
            "mxfp4.blocks",
            2,
            "the lower half of a byte is the earlier element",
            vec![
                ("blocks", Tensor::new([8, BLOCK_BYTES], Data::U8(blocks))),
                ("scales", Tensor::row(Data::U8(block_scales.to_vec()))),
            ],
            vec![("values", Tensor::new([8, BLOCK_LEN], Data::Bf16(unpacked)))],
        ),
        {
            let values: Vec<f32> = [
                0x3f80_0000_u32,
                0x3f80_8000,
                0x3f81_8000,
                0x3f80_7fff,
                0x3f80_8001,
                0xbf80_8000,
                0x7f7f_ffff,
                0x7f7f_7fff,
                0x8000_0000,
                0x2680_0000,
                0x267f_8000,
                0x267f_0000,
                0xa67f_ffff,
                0x2600_0000,
                0x0000_0001,
                0x4780_ffff,
            ]
            .into_iter()
            .map(f32::from_bits)
            .collect();
            let rounded = values.iter().map(|&value| round_bf16(value)).collect();
            vector(
                "bf16.round",
                3,
                "to the nearest, ties to even, then what is below 2^-50 becomes +0",
                vec![("values", Tensor::f32(values))],
                vec![("rounded", Tensor::bf16(rounded))],
            )
        },
    ]
}
