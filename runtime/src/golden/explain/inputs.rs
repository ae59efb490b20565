//! What one value is computed from: rows of the dump, rows of weights, constants.

use std::ops::Range;
use std::sync::Arc;

use super::{Explained, Input, Number, Origin, Unexplained};
use crate::golden::bounds::{Bounded, Bounds};
use crate::golden::graph::{Evaluator, Given, hidden_before};
use crate::golden::local::Judge;
use crate::golden::number::Machine as _;
use crate::golden::record::stored;
use crate::golden::{Dtype, Part, Site};
use crate::tap::TapPoint;
use crate::weights::{Layer, Linear, Matrix};

pub(super) struct Collector<'a> {
    pub(super) judge: &'a Judge<'a>,
    pub(super) given: &'a Given<'a, Bounds>,
    pub(super) evaluator: &'a Evaluator<'a, Bounds>,
    pub(super) rows: &'a Arc<[u32]>,
    pub(super) site: Site,
    /// One element, and not a row.
    pub(super) single: bool,
    /// Its elements, of the whole row.
    pub(super) range: Range<usize>,
}

type Done = Result<(), Unexplained>;

impl Collector<'_> {
    pub(super) fn collect(&self, to: &mut Explained) -> Done {
        use TapPoint as P;
        let config = self.judge.config;
        let weights = self.judge.weights;
        let number = self.site.layer.unwrap_or(0);
        let layer = &weights.layers[number as usize];
        let at = |point| Site { layer: self.site.layer, point, part: None };
        let part = |point| Site { point, ..self.site };
        let own = self.range.clone();
        match self.site.point {
            P::Embedding => {
                let Some(token) = to.token else { return Ok(()) };
                to.inputs.push(whole("token", Origin::Dump, f64::from(token)));
                self.matrix_row(
                    to,
                    "model.embed_tokens.weight",
                    &weights.embedding,
                    token as usize,
                    Some(own),
                );
            }
            P::AttentionNorm => {
                self.norm(to, hidden_before(number), "input_layernorm", &layer.attention_norm)?;
            }
            P::MlpNorm => {
                self.norm(to, at(P::AttentionResidual), "post_attention_layernorm", &layer.mlp_norm)?;
            }
            P::FinalNorm => {
                self.norm(to, hidden_before(config.num_layers() as u32), "", &weights.norm)?;
            }
            P::Query => {
                self.linear(to, at(P::AttentionNorm), "self_attn.q_proj", &layer.query)?;
            }
            P::Key => {
                self.linear(to, at(P::AttentionNorm), "self_attn.k_proj", &layer.key)?;
            }
            P::Value => {
                self.linear(to, at(P::AttentionNorm), "self_attn.v_proj", &layer.value)?;
            }
            P::AttentionOutput => {
                self.linear(to, at(P::Context), "self_attn.o_proj", &layer.output)?;
            }
            P::RouterLogits => {
                self.linear(to, at(P::MlpNorm), "mlp.router", &layer.router)?;
            }
            P::Logits => {
                self.row(to, Site::alone(P::FinalNorm), None)?;
                let row = self.single.then_some(own.start);
                self.maybe_row(to, "lm_head.weight", &weights.unembedding, row);
            }
            P::QueryRotated => {
                self.rotation(to, at(P::Query))?;
            }
            P::KeyRotated => {
                self.rotation(to, at(P::Key))?;
            }
            P::Scores => {
                self.scores(to)?;
            }
            P::Probabilities => {
                self.visible(to, part(P::Scores))?;
                let head = self.head();
                let name = format!("model.layers.{number}.self_attn.sinks[{head}]");
                to.inputs.push(of_weights(name, &layer.sinks[head..=head]));
            }
            P::Context => {
                self.context(to)?;
            }
            P::AttentionResidual => {
                self.row(to, hidden_before(number), Some(own.clone()))?;
                self.row(to, at(P::AttentionOutput), Some(own))?;
            }
            P::LayerOutput => {
                self.row(to, at(P::AttentionResidual), Some(own.clone()))?;
                self.row(to, at(P::MlpOutput), Some(own))?;
            }
            P::ExpertIds => {
                self.row(to, at(P::RouterLogits), None)?;
            }
            P::ExpertWeights => {
                let chosen = self.chosen(to)?;
                for id in chosen {
                    self.row(to, at(P::RouterLogits), Some(id..id + 1))?;
                }
            }
            P::GateUp | P::Down => {
                self.expert(to, layer)?;
            }
            P::Activation => {
                self.row(to, part(P::GateUp), Some(2 * own.start..2 * own.end))?;
                constant(to, "alpha", 1.702);
                constant(to, "swiglu_limit", config.swiglu_limit);
            }
            P::MlpOutput => {
                let chosen = self.chosen(to)?;
                self.row(to, at(P::ExpertWeights), None)?;
                for rank in 0..chosen.len() as u32 {
                    self.row(to, at(P::Down).with(Part::Rank(rank)), Some(own.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Elements of a row at the position; all of them without a range.
    fn row(&self, to: &mut Explained, site: Site, elements: Option<Range<usize>>) -> Done {
        self.row_at(to, site, elements, self.rows[0])
    }

    fn row_at(&self, to: &mut Explained, site: Site, elements: Option<Range<usize>>, position: u32) -> Done {
        let rows: Arc<[u32]> = Arc::from([position]);
        let Some(block) = self.evaluator.value(site, &rows)? else { return Ok(()) };
        let range = elements.unwrap_or(0..block.width);
        let Some(values) = block.row(0).get(range.clone()) else { return Ok(()) };
        let place = match (range.len(), range.len() == block.width) {
            (_, true) => String::new(),
            (1, _) => format!("[{}]", range.start),
            _ => format!("[{}..{}]", range.start, range.end),
        };
        let beside =
            if position == self.rows[0] { String::new() } else { format!(" at position {position}") };
        to.inputs.push(self.input(format!("{site}{place}{beside}"), site, values)?);
        Ok(())
    }

    fn input(&self, name: String, site: Site, values: &[Bounded]) -> Result<Input, Unexplained> {
        let from = if self.given.has(&site) { Origin::Dump } else { Origin::Computed };
        let profile = self.judge.options.declared.profile;
        let dtype = self.given.dtype(&site)?.unwrap_or_else(|| stored(profile, site.point));
        let values = values.iter().map(|x| Number::new(self.judge.machine.value(*x), dtype)).collect();
        Ok(Input { name, from, dtype, values })
    }

    /// The experts that the position chose, by rank.
    fn chosen(&self, to: &mut Explained) -> Result<Vec<usize>, Unexplained> {
        let layer = self.site.layer.unwrap_or(0);
        let Some(choices) = self.evaluator.choices(layer, self.rows)? else { return Ok(Vec::new()) };
        let Some((chosen, certain)) = choices.into_iter().next() else { return Ok(Vec::new()) };
        if !certain {
            to.notes.push(
                "which experts were chosen is not in the dump, and its logits leave it open".to_owned(),
            );
        }
        let ids = Site::of_layer(layer, TapPoint::ExpertIds);
        to.inputs.push(Input {
            name: ids.to_string(),
            from: if self.given.has(&ids) { Origin::Dump } else { Origin::Computed },
            dtype: Dtype::Int,
            values: chosen.iter().map(|&id| Number::new(id as f64, Dtype::Int)).collect(),
        });
        Ok(chosen)
    }

    fn norm(&self, to: &mut Explained, x: Site, name: &str, scale: &[f32]) -> Done {
        self.row(to, x, None)?;
        let name = match self.site.layer {
            Some(layer) => format!("model.layers.{layer}.{name}.weight"),
            None => "model.norm.weight".to_owned(),
        };
        to.inputs.push(of_weights(indexed(name, &self.range, scale.len()), &scale[self.range.clone()]));
        constant(to, "rms_norm_eps", self.judge.config.rms_norm_eps);
        Ok(())
    }

    fn linear(&self, to: &mut Explained, x: Site, name: &str, linear: &Linear) -> Done {
        self.row(to, x, None)?;
        let name = format!("model.layers.{}.{name}", self.site.layer.unwrap_or(0));
        self.maybe_row(
            to,
            &format!("{name}.weight"),
            &linear.matrix,
            self.single.then_some(self.range.start),
        );
        self.bias(to, format!("{name}.bias"), linear);
        Ok(())
    }

    fn bias(&self, to: &mut Explained, name: String, linear: &Linear) {
        if let Some(bias) = &linear.bias {
            to.inputs.push(of_weights(indexed(name, &self.range, bias.len()), &bias[self.range.clone()]));
        }
    }

    /// One row of a matrix, or the matrix by name.
    fn maybe_row(&self, to: &mut Explained, name: &str, matrix: &Matrix, row: Option<usize>) {
        match row {
            Some(row) => self.matrix_row(to, name, matrix, row, None),
            None => {
                let rows = if self.range.len() == matrix.rows {
                    String::new()
                } else {
                    format!("[{}..{}]", self.range.start, self.range.end)
                };
                to.inputs.push(Input {
                    name: format!("{name}{rows}"),
                    from: Origin::Weights,
                    dtype: Dtype::Bf16,
                    values: Vec::new(),
                });
            }
        }
    }

    fn matrix_row(
        &self,
        to: &mut Explained,
        name: &str,
        matrix: &Matrix,
        row: usize,
        part: Option<Range<usize>>,
    ) {
        if row >= matrix.rows {
            return;
        }
        let mut values = vec![0.0; matrix.cols];
        matrix.row(row, &mut values);
        let part = part.unwrap_or(0..matrix.cols);
        to.inputs.push(of_weights(indexed(format!("{name}[{row}]"), &part, matrix.cols), &values[part]));
    }

    /// Both elements of the pair, and its angle; of a whole row the whole row.
    fn rotation(&self, to: &mut Explained, x: Site) -> Done {
        if !self.single {
            self.row(to, x, Some(self.range.clone()))?;
            constant(to, "m", self.evaluator.formulas.constants.concentration);
            return Ok(());
        }
        let head_dim = self.judge.config.head_dim;
        let half = head_dim / 2;
        let start = self.range.start / head_dim * head_dim;
        let pair = self.range.start % head_dim % half;
        for element in [start + pair, start + pair + half] {
            self.row(to, x, Some(element..element + 1))?;
        }
        let constants = &self.evaluator.formulas.constants;
        constant(to, &format!("inv_freq[{pair}]"), constants.frequencies[pair]);
        constant(to, "m", constants.concentration);
        let machine = &self.judge.machine;
        let (cos, sin) = machine.cos_sin(self.rows[0], constants.frequencies[pair], constants.concentration);
        let dtype = stored(self.judge.options.declared.profile, self.site.point);
        for (name, value) in [("cos", cos), ("sin", sin)] {
            let value = machine.value(machine.round(value));
            to.inputs.push(Input {
                name: format!("{name}[{pair}]"),
                from: Origin::Computed,
                dtype,
                values: vec![Number::new(value, dtype)],
            });
        }
        Ok(())
    }

    fn head(&self) -> usize {
        match self.site.part {
            Some(Part::Head(head)) => head as usize,
            _ => 0,
        }
    }

    /// Where a query head's key head lies in rows of keys and values.
    fn key_head(&self, head: usize) -> Range<usize> {
        let config = self.judge.config;
        let group = config.num_attention_heads / config.num_key_value_heads;
        let start = head / group * config.head_dim;
        start..start + config.head_dim
    }

    fn scores(&self, to: &mut Explained) -> Done {
        let config = self.judge.config;
        let layer = self.site.layer.unwrap_or(0);
        let head = self.head();
        let queries = Site::of_layer(layer, TapPoint::QueryRotated);
        let keys = Site::of_layer(layer, TapPoint::KeyRotated);
        self.row(to, queries, Some(head * config.head_dim..(head + 1) * config.head_dim))?;
        let formulas = &self.evaluator.formulas;
        let query = self.rows[0] as usize;
        let all = self.judge.all.len();
        let visible: Vec<usize> =
            self.range.clone().filter(|&key| formulas.visible(layer as usize, query, key, all)).collect();
        for &key in &visible {
            self.row_at(to, keys, Some(self.key_head(head)), key as u32)?;
        }
        if self.single && visible.is_empty() {
            let key = self.range.start;
            to.notes.push(format!("the key at position {key} is not visible from position {query}"));
        }
        constant(to, "a", formulas.constants.attention_scale);
        Ok(())
    }

    /// The part of a row of scores or probabilities that is visible.
    fn visible(&self, to: &mut Explained, site: Site) -> Done {
        let layer = self.site.layer.unwrap_or(0) as usize;
        let query = self.rows[0] as usize;
        let all = self.judge.all.len();
        let mut keys = (0..all).filter(|&key| self.evaluator.formulas.visible(layer, query, key, all));
        let first = keys.next().unwrap_or(0);
        let last = keys.next_back().unwrap_or(first);
        self.row(to, site, Some(first..last + 1))
    }

    fn context(&self, to: &mut Explained) -> Done {
        let config = self.judge.config;
        let layer = self.site.layer.unwrap_or(0);
        let heads = self.range.start / config.head_dim..self.range.end.div_ceil(config.head_dim);
        let values = Site::of_layer(layer, TapPoint::Value);
        let query = self.rows[0] as usize;
        for head in heads {
            let probabilities = Site::of_layer(layer, TapPoint::Probabilities).with(Part::Head(head as u32));
            self.visible(to, probabilities)?;
        }
        if !self.single {
            to.notes.push(format!("and the rows of {values} at the positions that are visible"));
            return Ok(());
        }
        let head = self.range.start / config.head_dim;
        let element = self.key_head(head).start + self.range.start % config.head_dim;
        let Some(block) = self.evaluator.value(values, &self.judge.all)? else { return Ok(()) };
        let all = self.judge.all.len();
        let visible: Vec<(u32, Bounded)> = block
            .rows()
            .filter(|&(key, _)| self.evaluator.formulas.visible(layer as usize, query, key as usize, all))
            .map(|(key, row)| (key, row[element]))
            .collect();
        let (Some(&(first, _)), Some(&(last, _))) = (visible.first(), visible.last()) else { return Ok(()) };
        let column: Vec<Bounded> = visible.into_iter().map(|(_, value)| value).collect();
        let name = format!("{values}[{element}] at positions {first} to {last}");
        to.inputs.push(self.input(name, values, &column)?);
        Ok(())
    }

    fn expert(&self, to: &mut Explained, layer: &Layer) -> Done {
        let number = self.site.layer.unwrap_or(0);
        let is_down = self.site.point == TapPoint::Down;
        let input = match is_down {
            true => Site { point: TapPoint::Activation, ..self.site },
            false => Site::of_layer(number, TapPoint::MlpNorm),
        };
        self.row(to, input, None)?;
        let expert = match self.site.part {
            Some(Part::Expert(expert)) => Some(expert as usize),
            Some(Part::Rank(rank)) => self.chosen(to)?.get(rank as usize).copied(),
            _ => None,
        };
        let Some((id, expert)) = expert.and_then(|id| Some((id, layer.experts.get(id)?))) else {
            return Ok(());
        };
        let (linear, name) = match is_down {
            true => (&expert.down, "down_proj"),
            false => (&expert.gate_up, "gate_up_proj"),
        };
        let name = format!("model.layers.{number}.mlp.experts.{name}");
        let row = self.single.then_some(self.range.start);
        self.maybe_row(to, &format!("{name}[{id}]"), &linear.matrix, row);
        self.bias(to, format!("{name}_bias[{id}]"), linear);
        Ok(())
    }
}

fn indexed(name: String, range: &Range<usize>, width: usize) -> String {
    match range.len() {
        len if len == width => name,
        1 => format!("{name}[{}]", range.start),
        _ => format!("{name}[{}..{}]", range.start, range.end),
    }
}

/// Weights, which are numbers of bf16 in every checkpoint.
fn of_weights(name: String, values: &[f32]) -> Input {
    let values = values.iter().map(|&value| Number::new(f64::from(value), Dtype::Bf16)).collect();
    Input { name, from: Origin::Weights, dtype: Dtype::Bf16, values }
}

fn whole(name: &str, from: Origin, value: f64) -> Input {
    Input { name: name.to_owned(), from, dtype: Dtype::Int, values: vec![Number::new(value, Dtype::Int)] }
}

fn constant(to: &mut Explained, name: &str, value: f64) {
    let values = vec![Number::new(value, Dtype::F64)];
    to.inputs.push(Input { name: name.to_owned(), from: Origin::Constant, dtype: Dtype::F64, values });
}
