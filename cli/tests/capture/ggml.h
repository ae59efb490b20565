/*
 * What the capture helper for llama.cpp uses of llama.h, ggml.h and ggml-backend.h, declared as they declare it. The
 * library itself is llama.c beside this file. The helper is compiled with llama.cpp's own headers in .ci/run.
 */
#ifndef STAND_IN_GGML_H
#define STAND_IN_GGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GGML_MAX_NAME 64

enum ggml_type { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_I32, GGML_TYPE_BF16 };

enum ggml_op {
    GGML_OP_ADD,
    GGML_OP_MUL_MAT,
    GGML_OP_ROPE,
    GGML_OP_RESHAPE,
    GGML_OP_VIEW,
    GGML_OP_PERMUTE,
    GGML_OP_TRANSPOSE,
};

struct ggml_tensor {
    enum ggml_type type;
    int64_t ne[4];
    size_t nb[4];
    enum ggml_op op;
    char name[GGML_MAX_NAME];
    void *data;
};

size_t ggml_type_size(enum ggml_type type);
size_t ggml_nbytes(const struct ggml_tensor *tensor);
int64_t ggml_nelements(const struct ggml_tensor *tensor);
const char *ggml_op_name(enum ggml_op op);
void ggml_backend_tensor_get(const struct ggml_tensor *tensor, void *data, size_t offset, size_t size);

typedef bool (*ggml_backend_sched_eval_callback)(struct ggml_tensor *tensor, bool ask, void *user_data);

struct llama_model;
struct llama_context;
typedef int32_t llama_token;

struct llama_model_params {
    int32_t n_gpu_layers;
};

struct llama_context_params {
    uint32_t n_ctx;
    uint32_t n_batch;
    uint32_t n_ubatch;
    ggml_backend_sched_eval_callback cb_eval;
    void *cb_eval_user_data;
};

struct llama_batch {
    int32_t n_tokens;
    llama_token *token;
};

void llama_backend_init(void);
void llama_backend_free(void);
struct llama_model_params llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);
struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params);
void llama_model_free(struct llama_model *model);
struct llama_context *llama_init_from_model(struct llama_model *model, struct llama_context_params params);
void llama_free(struct llama_context *context);
struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t n_tokens);
int32_t llama_decode(struct llama_context *context, struct llama_batch batch);

#endif
