use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::*;
use crate::checkpoint::Checkpoint;
use crate::golden::{Accumulator, Declared, Dump, Source};
use crate::model::ModelOptions;
use crate::reference;
use crate::weights::Weights;

fn checkpoint() -> Checkpoint {
    Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/a64")).unwrap()
}

fn model(profile: Profile) -> Model {
    let checkpoint = checkpoint();
    let weights = Weights::load(&checkpoint).unwrap();
    let options = ModelOptions { profile, ..ModelOptions::default() };
    Model::new(checkpoint.config().clone(), weights, options).unwrap()
}

fn tokens(count: u32) -> Vec<u32> {
    (0..count).map(|index| (7919 * index + 1) % 512).collect()
}

/// Records to a file of its own.
fn recorded(model: &Model, tokens: &[u32], selection: &Selection) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.safetensors");
    let file = std::fs::File::create(&path).unwrap();
    record(model, tokens, selection, Some([7; 32]), file, &|| false).unwrap();
    (folder, path)
}

/// Everything that the plain loops compute.
#[derive(Default)]
struct All(HashMap<Site, Vec<Vec<f64>>>);

impl Tap for All {
    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let rows = match values {
            TapValues::F32(rows) => {
                rows.rows().into_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
            }
            TapValues::F64(rows) => rows.rows().into_iter().map(|row| row.to_vec()).collect(),
        };
        let part = site.slot.map(|slot| match site.point {
            TapPoint::Scores | TapPoint::Probabilities => Part::Head(slot as u32),
            _ => Part::Rank(slot as u32),
        });
        self.0.insert(Site { layer: site.layer.map(|layer| layer as u32), point: site.point, part }, rows);
    }
}

#[test]
fn every_value_of_the_reference_is_in_the_file_bit_by_bit() {
    // More than one chunk, so that rows of a tensor are written in two pieces.
    let tokens = tokens(CHUNK as u32 + 3);
    for profile in Profile::ALL {
        let model = model(profile);
        let mut expected = All::default();
        reference::forward(model.config(), model.weights(), profile, &tokens, &mut expected).unwrap();
        let (_folder, path) = recorded(&model, &tokens, &Selection::of(TapPoint::ALL));
        let dump = Dump::open(&path, model.config(), None).unwrap();
        assert_eq!(dump.matching().unmatched.len(), 0, "{:?}", dump.matching().unmatched);
        let sites = Source::sites(&dump);
        assert_eq!(sites.len(), expected.0.len());
        for site in sites {
            let values = dump.read(&site).unwrap().unwrap();
            let rows = &expected.0[&site];
            assert_eq!(values.positions, (0..tokens.len() as u32).collect::<Vec<_>>());
            for (index, row) in rows.iter().enumerate() {
                let bits = |row: &[f64]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(values.row(index)), bits(row), "{profile} {site} row {index}");
            }
        }
    }
}

#[test]
fn the_file_says_what_it_is_of() {
    let model = model(Profile::Bf16);
    let (_folder, path) = recorded(&model, &tokens(3), &Selection::layers());
    let dump = Dump::open(&path, model.config(), None).unwrap();
    assert_eq!(dump.tokens(), Some(&tokens(3)[..]));
    let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
    assert_eq!(dump.declared(), Some(declared));
    assert_eq!(dump.meta().contract, Some(crate::numerics::CONTRACT_VERSION));
    assert_eq!(dump.meta().weights.as_deref(), Some("07".repeat(32).as_str()));
    assert_eq!(dump.meta().format.as_deref(), Some(FORMAT));
}

#[test]
fn layers_positions_and_points_are_chosen() {
    let model = model(Profile::F32);
    let tokens = tokens(9);
    let whole = Selection::of([TapPoint::Query, TapPoint::Logits, TapPoint::GateUp, TapPoint::Scores]);
    let part = Selection { layers: Some([1].into()), positions: Some([2, 5, 6].into()), ..whole.clone() };
    let (_folder, path) = recorded(&model, &tokens, &whole);
    let whole = Dump::open(&path, model.config(), None).unwrap();
    let (_folder, path) = recorded(&model, &tokens, &part);
    let len = std::fs::metadata(&path).unwrap().len();
    assert_eq!(Plan::new(model.config(), Profile::F32, &tokens, &part).unwrap().file_len(), len);
    let part = Dump::open(&path, model.config(), None).unwrap();
    assert!(part.sites().count() > 3);
    for site in part.sites() {
        assert!(site.layer.is_none_or(|layer| layer == 1), "{site}");
        let (found, all) = (part.read(site).unwrap().unwrap(), whole.read(site).unwrap().unwrap());
        assert_eq!(found.positions, [2, 5, 6]);
        for &position in &found.positions {
            assert_eq!(found.at(position), all.at(position), "{site} {position}");
        }
    }
}

#[test]
fn what_the_run_does_not_have_is_refused() {
    let model = model(Profile::Bf16);
    let plan =
        |tokens: &[u32], selection: &Selection| Plan::new(model.config(), Profile::Bf16, tokens, selection);
    let layers = |layer| Selection { layers: Some([layer].into()), ..Selection::of([TapPoint::Query]) };
    assert_eq!(plan(&[1], &layers(99)).unwrap_err().kind(), ErrorKind::Dump);
    let positions = Selection { positions: Some([3].into()), ..Selection::logits() };
    assert_eq!(plan(&[1, 2, 3], &positions).unwrap_err().kind(), ErrorKind::Dump);
    assert_eq!(plan(&[1], &Selection::default()).unwrap_err().kind(), ErrorKind::Dump);
    assert_eq!(plan(&[], &Selection::logits()).unwrap_err().kind(), ErrorKind::Token);
}

#[test]
fn a_disk_that_is_full_is_the_error_that_is_told() {
    struct Full(Cursor<Vec<u8>>);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.position() + bytes.len() as u64 > 20_000 {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => self.0.write(bytes),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Seek for Full {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    let full = Full(Cursor::new(Vec::new()));
    let model = model(Profile::Bf16);
    let error = record(&model, &tokens(40), &Selection::ops(), None, full, &|| false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let error = record(&model, &[1], &Selection::ops(), None, Cursor::new(vec![]), &|| true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
}
