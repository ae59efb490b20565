//! The formula of each point, and where the contract has it.

use crate::tap::TapPoint;

/// The formula. b() is the rounding point of the profile.
pub(super) const fn formula(point: TapPoint) -> &'static str {
    use TapPoint as P;
    match point {
        P::Embedding => "x_i = b(E[token, i])",
        P::AttentionNorm => "t_i = b((x_i / s) × scale_i), s = √(Σ_k x_k² / n + eps)",
        P::Query => "q_i = b(Σ_k Wq[i, k] × t_k + bias_i), one rounding after the bias",
        P::Key => "k_i = b(Σ_k Wk[i, k] × t_k + bias_i), one rounding after the bias",
        P::Value => "v_i = b(Σ_k Wv[i, k] × t_k + bias_i), one rounding after the bias",
        P::QueryRotated | P::KeyRotated => {
            "of each head, for i < d/2: a' = b(b(a × cos_i) − b(c × sin_i)), c' = b(b(c × cos_i) + b(a × sin_i)), \
             a = head[i], c = head[i + d/2], cos_i = b(m × cos(p × inv_freq_i)), sin_i = b(m × sin(p × inv_freq_i))"
        }
        P::Scores => {
            "S_j = b(b(Σ_k q_k × k_j,k) × a), a = 1/√d; −∞ where j > p, or p − j ≥ window in a sliding layer"
        }
        P::Probabilities => {
            "P_j = b(exp(S_j − M) / (Σ_l exp(S_l − M) + exp(sink − M))), M = max(sink, S); 0 where S_j = −∞"
        }
        P::Context => "o_i = b(Σ_j P_j × v_j,i) over the visible keys j",
        P::AttentionOutput => "y_i = b(Σ_k Wo[i, k] × o_k + bias_i), one rounding after the bias",
        P::AttentionResidual => "x'_i = b(x_i + y_i)",
        P::MlpNorm => "t_i = b((x_i / s) × scale_i), s = √(Σ_k x_k² / n + eps)",
        P::RouterLogits => "g_e = b(Σ_k Wr[e, k] × t_k + bias_e), one rounding after the bias",
        P::ExpertIds => {
            "the experts of the greatest logits, the greatest first; of equal ones the lower id first"
        }
        P::ExpertWeights => "w_r = b(exp(g_r − g_0) / Σ_l exp(g_l − g_0)) over the chosen experts alone",
        P::GateUp => {
            "u_i = b(b(Σ_k W1[i, k] × t_k) + bias_i), rounded before and after the bias; row 2j is gate j, row 2j + 1 up j"
        }
        P::Activation => {
            "y_j = b(b(g × b(sigmoid(b(alpha × g)))) × b(u + 1)), g = min(gate_j, limit), u = clamp(up_j, −limit, limit)"
        }
        P::Down => "z_i = b(b(Σ_k W2[i, k] × y_k) + bias_i), rounded before and after the bias",
        P::MlpOutput => "m_i = b(Σ_r w_r × z_r,i)",
        P::LayerOutput => "x_i = b(x'_i + m_i)",
        P::FinalNorm => "t_i = b((x_i / s) × scale_i), s = √(Σ_k x_k² / n + eps)",
        P::Logits => "l_i = b(Σ_k Wunembed[i, k] × t_k), no bias",
    }
}

/// The step of the forward pass and the clauses of `docs/numerics.md`.
pub(super) const fn clause(point: TapPoint) -> &'static str {
    use TapPoint as P;
    match point {
        P::Embedding => "step 1, clause 3",
        P::AttentionNorm => "step 2, clause 6",
        P::Query | P::Key | P::Value => "step 3, clauses 4 and 5",
        P::QueryRotated | P::KeyRotated => "step 4, clause 7",
        P::Scores => "step 5, clauses 4 and 8",
        P::Probabilities => "step 5, clauses 8 and 11",
        P::Context => "step 5, clause 8",
        P::AttentionOutput => "step 6, clauses 4 and 5",
        P::AttentionResidual => "step 6, clause 5",
        P::MlpNorm => "step 7, clause 6",
        P::RouterLogits => "step 8, clauses 4 and 5",
        P::ExpertIds => "step 8, clause 9",
        P::ExpertWeights => "step 8, clauses 9 and 11",
        P::GateUp => "step 9, clauses 2, 4 and 5",
        P::Activation => "step 10, clauses 10 and 11",
        P::Down => "step 11, clauses 2, 4 and 5",
        P::MlpOutput => "step 11, clause 9",
        P::LayerOutput => "step 11, clause 5",
        P::FinalNorm => "step 12, clause 6",
        P::Logits => "step 12, clause 4",
    }
}
