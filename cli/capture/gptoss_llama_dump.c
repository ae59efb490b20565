/*
 * Writes what llama.cpp computes for a gpt-oss model as safetensors, for `gptoss golden check`.
 *
 * Build it against llama.cpp, with gptoss_dump.h beside it:
 *
 *     cc -O2 gptoss_llama_dump.c -I llama.cpp/include -I llama.cpp/ggml/include -L llama.cpp/build/bin \
 *         -lllama -lggml -lggml-base -o gptoss-llama-dump
 *     gptoss-llama-dump model.gguf 200006,1428,200008 dump.safetensors [GPU-LAYERS]
 *
 * One pass over the given ids. Each named node of the graph is written as `NAME-LAYER@OPERATION`, as llama.cpp uses one
 * name for the product, the sum with the bias and the rotated vector. Apache-2.0.
 */
#include "gptoss_dump.h"

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"

static const char *const wanted[] = {
    "embd", "attn_norm", "Qcur", "Kcur", "Vcur", "kqv_out", "attn_out", "ffn_inp", "attn_post_norm",
    "ffn_moe_probs", "ffn_moe_topk", "ffn_moe_weights_softmax", "ffn_moe_gate_biased", "ffn_moe_up_biased",
    "ffn_moe_swiglu_oai", "ffn_moe_swiglu", "ffn_moe_down_biased", "ffn_moe_out", "l_out", "result_norm",
    "result_output",
};

/* Whether a node has one of these names, with `-LAYER` behind it or alone. */
static int is_wanted(const char *name) {
    size_t index;
    for (index = 0; index < sizeof wanted / sizeof *wanted; ++index) {
        size_t len = strlen(wanted[index]);
        if (strncmp(name, wanted[index], len) == 0 && (name[len] == '\0' || name[len] == '-')) return 1;
    }
    return 0;
}

/* Names that mean another value with another operation. */
static int is_reused(const char *name) {
    return strncmp(name, "Qcur", 4) == 0 || strncmp(name, "Kcur", 4) == 0 || strncmp(name, "Vcur", 4) == 0;
}

static void write_node(gptoss_dump *dump, struct ggml_tensor *node) {
    size_t shape[4], size = ggml_type_size(node->type), at = 0;
    size_t count = (size_t)ggml_nelements(node), bytes = ggml_nbytes(node);
    gptoss_dtype dtype;
    char name[GGML_MAX_NAME + 32];
    char *strided, *data;
    int64_t i0, i1, i2, i3;
    switch (node->type) {
        case GGML_TYPE_F32: dtype = GPTOSS_F32; break;
        case GGML_TYPE_F16: dtype = GPTOSS_F16; break;
        case GGML_TYPE_BF16: dtype = GPTOSS_BF16; break;
        case GGML_TYPE_I32: dtype = GPTOSS_I32; break;
        default: return;
    }
    strided = (char *)malloc(bytes);
    data = (char *)malloc(count * size);
    if (strided == NULL || data == NULL) {
        dump->failed = 1;
        free(strided);
        free(data);
        return;
    }
    ggml_backend_tensor_get(node, strided, 0, bytes);
    for (i3 = 0; i3 < node->ne[3]; ++i3)
        for (i2 = 0; i2 < node->ne[2]; ++i2)
            for (i1 = 0; i1 < node->ne[1]; ++i1)
                for (i0 = 0; i0 < node->ne[0]; ++i0, at += size)
                    memcpy(data + at,
                        strided + i0 * node->nb[0] + i1 * node->nb[1] + i2 * node->nb[2] + i3 * node->nb[3], size);
    /* ggml counts axes from the closest one. */
    for (i0 = 0; i0 < 4; ++i0) shape[i0] = (size_t)node->ne[3 - i0];
    if (is_reused(node->name)) {
        snprintf(name, sizeof name, "%s@%s", node->name, ggml_op_name(node->op));
    } else {
        snprintf(name, sizeof name, "%s", node->name);
    }
    gptoss_dump_array(dump, name, dtype, data, 4, shape);
    free(strided);
    free(data);
}

static bool on_node(struct ggml_tensor *node, bool ask, void *state) {
    /* A reshaped or permuted view has the name of what it shows. */
    int is_view = node->op == GGML_OP_RESHAPE || node->op == GGML_OP_VIEW || node->op == GGML_OP_PERMUTE
        || node->op == GGML_OP_TRANSPOSE;
    int is_named_view = strncmp(node->name, "ffn_moe_topk", 12) == 0 || strncmp(node->name, "kqv_out", 7) == 0
        || strncmp(node->name, "ffn_moe_weights_softmax", 23) == 0;
    int take = is_wanted(node->name) && (!is_view || is_named_view);
    if (!ask && take) write_node((gptoss_dump *)state, node);
    return ask ? take : true;
}

int main(int argc, char **argv) {
    llama_token *tokens;
    int32_t count = 0;
    char *rest;
    gptoss_dump *dump;
    struct llama_model_params model_params;
    struct llama_context_params params;
    struct llama_model *model;
    struct llama_context *context;
    int failed;
    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL.gguf ID,ID,... DUMP.safetensors [GPU-LAYERS]\n", argv[0]);
        return 2;
    }
    /* An id takes a digit and a comma at least. */
    tokens = (llama_token *)malloc((strlen(argv[2]) / 2 + 1) * sizeof *tokens);
    if (tokens == NULL) return 1;
    for (rest = argv[2]; *rest != '\0';) {
        char *end;
        tokens[count++] = (llama_token)strtol(rest, &end, 10);
        if (end == rest) {
            fprintf(stderr, "token ids are whole numbers with commas between\n");
            return 2;
        }
        rest = *end == ',' ? end + 1 : end;
    }
    if (count == 0) {
        fprintf(stderr, "there are no token ids\n");
        return 2;
    }
    dump = gptoss_dump_open(argv[3], 16384);
    if (dump == NULL) {
        fprintf(stderr, "cannot write %s\n", argv[3]);
        return 1;
    }
    gptoss_dump_meta(dump, "generator", "llama.cpp");
    gptoss_dump_tokens(dump, tokens, (size_t)count);

    llama_backend_init();
    model_params = llama_model_default_params();
    model_params.n_gpu_layers = argc > 4 ? atoi(argv[4]) : 0;
    model = llama_model_load_from_file(argv[1], model_params);
    if (model == NULL) return 1;
    params = llama_context_default_params();
    params.n_ctx = (uint32_t)count;
    params.n_batch = (uint32_t)count;
    params.n_ubatch = (uint32_t)count;
    params.cb_eval = on_node;
    params.cb_eval_user_data = dump;
    context = llama_init_from_model(model, params);
    if (context == NULL) return 1;
    failed = llama_decode(context, llama_batch_get_one(tokens, count)) != 0;
    llama_free(context);
    llama_model_free(model);
    llama_backend_free();
    free(tokens);
    failed = gptoss_dump_close(dump) != 0 || failed;
    if (failed) fprintf(stderr, "the dump is not complete\n");
    return failed;
}
