/*
 * gptoss_dump.h: writes named arrays of a run as safetensors, for `gptoss golden check`.
 *
 * One header, C99 or C++, no dependencies. Arrays are written when they are given, so that nothing is kept in memory;
 * the header of the file is written into its reserved room by gptoss_dump_close.
 *
 *     gptoss_dump *dump = gptoss_dump_open("dump.safetensors", 4096);
 *     gptoss_dump_meta(dump, "profile", "bf16");
 *     gptoss_dump_meta(dump, "accumulate", "f32");
 *     gptoss_dump_tokens(dump, tokens, token_count);
 *     gptoss_dump_rows(dump, "layer.0.query", GPTOSS_F32, query, 0, token_count, 4096);
 *     if (gptoss_dump_close(dump) != 0) fprintf(stderr, "the dump is not complete\n");
 *
 * Names are those of `docs/golden-checks.md`: `embedding`, `layer.N.query`, `layer.N.layer_output`, `logits` and so on,
 * or any others with a table of names. A run in several passes gives the rows of each pass with their first position:
 * gptoss_dump_rows(dump, "layer.0.query", GPTOSS_F32, query, 128, 1, 4096).
 *
 * The machine must be little-endian, as GPUs and their hosts are. Apache-2.0.
 */
#ifndef GPTOSS_DUMP_H
#define GPTOSS_DUMP_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    GPTOSS_BF16,
    GPTOSS_F16,
    GPTOSS_F32,
    GPTOSS_F64,
    GPTOSS_I32,
    GPTOSS_I64
} gptoss_dtype;

typedef struct {
    FILE *file;
    char *text;       /* the JSON so far, without its last brace */
    char *meta;       /* the metadata so far */
    size_t text_len, text_room, meta_len, meta_room;
    uint64_t header_room; /* bytes of the header behind the first eight */
    uint64_t offset;      /* bytes of data so far */
    int failed;
} gptoss_dump;

static void gptoss_dump__append(gptoss_dump *dump, char **text, size_t *len, size_t *room, const char *more) {
    size_t add = strlen(more);
    if (*len + add + 1 > *room) {
        size_t wanted = 2 * (*len + add + 1);
        char *grown = (char *)realloc(*text, wanted);
        if (grown == NULL) {
            dump->failed = 1;
            return;
        }
        *text = grown;
        *room = wanted;
    }
    memcpy(*text + *len, more, add + 1);
    *len += add;
}

static void gptoss_dump__text(gptoss_dump *dump, const char *more) {
    gptoss_dump__append(dump, &dump->text, &dump->text_len, &dump->text_room, more);
}

/* Appends a JSON string. */
static void gptoss_dump__string(gptoss_dump *dump, char **text, size_t *len, size_t *room, const char *value) {
    char piece[8];
    gptoss_dump__append(dump, text, len, room, "\"");
    for (; *value != '\0'; ++value) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\') {
            piece[0] = '\\';
            piece[1] = (char)c;
            piece[2] = '\0';
        } else if (c < 0x20) {
            snprintf(piece, sizeof piece, "\\u%04x", c);
        } else {
            piece[0] = (char)c;
            piece[1] = '\0';
        }
        gptoss_dump__append(dump, text, len, room, piece);
    }
    gptoss_dump__append(dump, text, len, room, "\"");
}

/* Begins a file with room for about so many arrays. NULL if it cannot be written. */
static gptoss_dump *gptoss_dump_open(const char *path, size_t arrays) {
    gptoss_dump *dump = (gptoss_dump *)calloc(1, sizeof(gptoss_dump));
    uint64_t room, at;
    if (dump == NULL) return NULL;
    dump->file = fopen(path, "wb");
    if (dump->file == NULL) {
        free(dump);
        return NULL;
    }
    room = 65536 + 256 * (uint64_t)arrays;
    dump->header_room = (room + 63) / 64 * 64 - 8;
    for (at = 0; at < dump->header_room + 8; ++at) {
        if (fputc(' ', dump->file) == EOF) dump->failed = 1;
    }
    return dump;
}

/* Says something of the run: "profile", "accumulate", "generator", "weights". */
static void gptoss_dump_meta(gptoss_dump *dump, const char *name, const char *value) {
    gptoss_dump__append(dump, &dump->meta, &dump->meta_len, &dump->meta_room, dump->meta_len == 0 ? "" : ",");
    gptoss_dump__string(dump, &dump->meta, &dump->meta_len, &dump->meta_room, name);
    gptoss_dump__append(dump, &dump->meta, &dump->meta_len, &dump->meta_room, ":");
    gptoss_dump__string(dump, &dump->meta, &dump->meta_len, &dump->meta_room, value);
}

/* Says the token ids of the run, from position 0 on. */
static void gptoss_dump_tokens(gptoss_dump *dump, const int32_t *tokens, size_t count) {
    char *list = (char *)malloc(12 * count + 3);
    size_t at = 0, index;
    if (list == NULL) {
        dump->failed = 1;
        return;
    }
    list[at++] = '[';
    for (index = 0; index < count; ++index) {
        at += (size_t)snprintf(list + at, 13, "%s%" PRId32, index == 0 ? "" : ",", tokens[index]);
    }
    list[at++] = ']';
    list[at] = '\0';
    gptoss_dump_meta(dump, "tokens", list);
    free(list);
}

static size_t gptoss_dump__size(gptoss_dtype dtype) {
    return dtype == GPTOSS_BF16 || dtype == GPTOSS_F16 ? 2 : dtype == GPTOSS_F32 || dtype == GPTOSS_I32 ? 4 : 8;
}

/* Writes an array of any shape, its last axis closest. */
static void gptoss_dump_array(
    gptoss_dump *dump, const char *name, gptoss_dtype dtype, const void *data, size_t axes, const size_t *shape
) {
    static const char *const names[] = {"BF16", "F16", "F32", "F64", "I32", "I64"};
    char number[64];
    size_t elements = 1, axis;
    uint64_t bytes;
    for (axis = 0; axis < axes; ++axis) elements *= shape[axis];
    bytes = (uint64_t)elements * gptoss_dump__size(dtype);
    if (fwrite(data, 1, (size_t)bytes, dump->file) != (size_t)bytes) dump->failed = 1;
    gptoss_dump__text(dump, ",");
    gptoss_dump__string(dump, &dump->text, &dump->text_len, &dump->text_room, name);
    gptoss_dump__text(dump, ":{\"dtype\":\"");
    gptoss_dump__text(dump, names[dtype]);
    gptoss_dump__text(dump, "\",\"shape\":[");
    for (axis = 0; axis < axes; ++axis) {
        snprintf(number, sizeof number, "%s%" PRIu64, axis == 0 ? "" : ",", (uint64_t)shape[axis]);
        gptoss_dump__text(dump, number);
    }
    snprintf(number, sizeof number, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", dump->offset, dump->offset + bytes);
    gptoss_dump__text(dump, number);
    dump->offset += bytes;
}

/* Writes rows [count, width] of a value, the first of them at this absolute position. */
static void gptoss_dump_rows(
    gptoss_dump *dump, const char *name, gptoss_dtype dtype, const void *data, size_t first, size_t count, size_t width
) {
    /* "p", at most 20 digits, "/" and the end. */
    size_t room = strlen(name) + 23, shape[2];
    char *full = (char *)malloc(room);
    if (full == NULL) {
        dump->failed = 1;
        return;
    }
    shape[0] = count;
    shape[1] = width;
    snprintf(full, room, "p%" PRIu64 "/%s", (uint64_t)first, name);
    gptoss_dump_array(dump, full, dtype, data, 2, shape);
    free(full);
}

/* Writes the header and closes the file. 0 if the file is complete. */
static int gptoss_dump_close(gptoss_dump *dump) {
    int failed;
    uint64_t len, at;
    char *meta = dump->meta, *text = dump->text;
    const char *start = "{\"__metadata__\":{";
    len = strlen(start) + dump->meta_len + 1 + dump->text_len + 1;
    /* More arrays than there was room for. */
    if (len > dump->header_room) dump->failed = 1;
    if (!dump->failed && fseek(dump->file, 0, SEEK_SET) == 0) {
        for (at = 0; at < 8; ++at) fputc((int)(dump->header_room >> (8 * at) & 0xff), dump->file);
        fputs(start, dump->file);
        if (meta != NULL) fputs(meta, dump->file);
        fputs("}", dump->file);
        if (text != NULL) fputs(text, dump->file);
        fputs("}", dump->file);
    } else {
        dump->failed = 1;
    }
    failed = ferror(dump->file) != 0 || dump->failed;
    if (fclose(dump->file) != 0) failed = 1;
    free(meta);
    free(text);
    free(dump);
    return failed;
}

#ifdef __cplusplus
}
#endif

#endif
