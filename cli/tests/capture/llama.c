/* Stands in for llama.cpp: one layer of a graph whose nodes have its names, types, views and strides. */
#include "llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shape of fixtures/golden/a64. */
enum { HIDDEN = 64, HEADS = 4, KV_HEADS = 2, DIM = 32, EXPERTS = 8, CHOSEN = 4 };

struct llama_model {
    int32_t gpu_layers;
};

struct llama_context {
    struct llama_context_params params;
};

size_t ggml_type_size(enum ggml_type type) {
    return type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 ? 2 : 4;
}

int64_t ggml_nelements(const struct ggml_tensor *tensor) {
    return tensor->ne[0] * tensor->ne[1] * tensor->ne[2] * tensor->ne[3];
}

/* From the first to the last byte: a view has gaps. */
size_t ggml_nbytes(const struct ggml_tensor *tensor) {
    size_t bytes = ggml_type_size(tensor->type), axis;
    for (axis = 0; axis < 4; ++axis) bytes += (size_t)(tensor->ne[axis] - 1) * tensor->nb[axis];
    return bytes;
}

const char *ggml_op_name(enum ggml_op op) {
    static const char *const names[] = {"ADD", "MUL_MAT", "ROPE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE"};
    return names[op];
}

void ggml_backend_tensor_get(const struct ggml_tensor *tensor, void *data, size_t offset, size_t size) {
    memcpy(data, (const char *)tensor->data + offset, size);
}

void llama_backend_init(void) {}
void llama_backend_free(void) {}

struct llama_model_params llama_model_default_params(void) {
    struct llama_model_params params = {99};
    return params;
}

struct llama_context_params llama_context_default_params(void) {
    struct llama_context_params params = {512, 512, 512, NULL, NULL};
    return params;
}

struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params) {
    struct llama_model *model;
    if (strcmp(path, "model.gguf") != 0) return NULL;
    model = (struct llama_model *)malloc(sizeof *model);
    if (model != NULL) model->gpu_layers = params.n_gpu_layers;
    return model;
}

void llama_model_free(struct llama_model *model) {
    free(model);
}

struct llama_context *llama_init_from_model(struct llama_model *model, struct llama_context_params params) {
    struct llama_context *context = (struct llama_context *)malloc(sizeof *context);
    (void)model;
    if (context != NULL) context->params = params;
    return context;
}

void llama_free(struct llama_context *context) {
    free(context);
}

struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t n_tokens) {
    struct llama_batch batch;
    batch.n_tokens = n_tokens;
    batch.token = tokens;
    return batch;
}

/* A node of `ne0` by `ne1` by `ne2`; rows of the data may be longer than those of the node. */
static void node(
    struct llama_context *context, const char *name, enum ggml_op op, enum ggml_type type, int64_t ne0, int64_t ne1,
    int64_t ne2, int64_t row
) {
    struct ggml_tensor tensor;
    ggml_backend_sched_eval_callback on_node = context->params.cb_eval;
    void *state = context->params.cb_eval_user_data;
    size_t size = ggml_type_size(type), count = (size_t)(row * ne1 * ne2), index;
    static unsigned last = 1;
    memset(&tensor, 0, sizeof tensor);
    tensor.type = type;
    tensor.op = op;
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    tensor.ne[0] = ne0;
    tensor.ne[1] = ne1;
    tensor.ne[2] = ne2;
    tensor.ne[3] = 1;
    tensor.nb[0] = size;
    tensor.nb[1] = size * (size_t)row;
    tensor.nb[2] = tensor.nb[1] * (size_t)ne1;
    tensor.nb[3] = tensor.nb[2] * (size_t)ne2;
    tensor.data = calloc(count, size);
    if (tensor.data == NULL) exit(1);
    for (index = 0; index < count; ++index) {
        if (type == GGML_TYPE_I32) {
            ((int32_t *)tensor.data)[index] = (int32_t)(index % (size_t)row);
        } else {
            last = last * 1103515245u + 12345u;
            ((float *)tensor.data)[index] = ((float)(last >> 16 & 0x7fff) - 16384.0f) / 8192.0f;
        }
    }
    /* The first element of each position tells which it is. */
    if (type == GGML_TYPE_F32 && ne2 == 1) {
        for (index = 0; index < (size_t)ne1; ++index) ((float *)tensor.data)[index * (size_t)row] = 100.0f + (float)index;
    }
    if (on_node(&tensor, true, state)) on_node(&tensor, false, state);
    free(tensor.data);
}

int32_t llama_decode(struct llama_context *context, struct llama_batch batch) {
    int64_t n = batch.n_tokens, q = HEADS * DIM, kv = KV_HEADS * DIM;
    /* A context that is too short for its tokens, or none at all. */
    if (context->params.n_ubatch < (uint32_t)n || n == 0) return 1;
    node(context, "embd", GGML_OP_ADD, GGML_TYPE_F32, HIDDEN, n, 1, HIDDEN);
    node(context, "attn_norm-0", GGML_OP_ADD, GGML_TYPE_F32, HIDDEN, n, 1, HIDDEN);
    node(context, "Qcur-0", GGML_OP_MUL_MAT, GGML_TYPE_F32, q, n, 1, q);
    node(context, "Qcur-0", GGML_OP_ADD, GGML_TYPE_F32, q, n, 1, q);
    node(context, "Kcur-0", GGML_OP_ADD, GGML_TYPE_F32, kv, n, 1, kv);
    node(context, "Vcur-0", GGML_OP_ADD, GGML_TYPE_F32, kv, n, 1, kv);
    node(context, "Qcur-0", GGML_OP_RESHAPE, GGML_TYPE_F32, DIM, HEADS, n, DIM);
    node(context, "Qcur-0", GGML_OP_ROPE, GGML_TYPE_F32, DIM, HEADS, n, DIM);
    node(context, "Kcur-0", GGML_OP_ROPE, GGML_TYPE_F32, DIM, KV_HEADS, n, DIM);
    node(context, "a node of no interest", GGML_OP_ADD, GGML_TYPE_F32, HIDDEN, n, 1, HIDDEN);
    /* The first CHOSEN of EXPERTS ids of each row. */
    node(context, "ffn_moe_topk-0", GGML_OP_VIEW, GGML_TYPE_I32, CHOSEN, n, 1, EXPERTS);
    node(context, "l_out-0", GGML_OP_ADD, GGML_TYPE_F32, HIDDEN, n, 1, HIDDEN);
    return 0;
}
