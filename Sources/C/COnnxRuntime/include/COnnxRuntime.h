#pragma once

#include <stddef.h>
#include <stdint.h>

// The part of ONNX Runtime's C API that Aerie uses, reached by dlopen: flat functions over handles. Nothing may be
// called before cort_load has returned NULL. All functions may be called from any thread.

typedef void *cort_handle;

// `code` is 0 for success; otherwise `message` is the library's text, to be freed with free().
typedef struct {
    int32_t code;
    char *message;
} cort_status;

enum {
    CORT_KIND_UNKNOWN = 0, CORT_KIND_TENSOR = 1, CORT_KIND_SEQUENCE = 2, CORT_KIND_MAP = 3, CORT_KIND_OPAQUE = 4,
    CORT_KIND_SPARSE = 5, CORT_KIND_OPTIONAL = 6,
};

// The element types of tensors, as the ONNX standard numbers them.
enum {
    CORT_FLOAT = 1, CORT_UINT8 = 2, CORT_INT8 = 3, CORT_UINT16 = 4, CORT_INT16 = 5, CORT_INT32 = 6, CORT_INT64 = 7,
    CORT_STRING = 8, CORT_BOOL = 9, CORT_FLOAT16 = 10, CORT_DOUBLE = 11, CORT_UINT32 = 12, CORT_UINT64 = 13,
    CORT_BFLOAT16 = 16,
};

// More dimensions than any tensor we accept.
#define CORT_MAXIMUM_RANK 16

typedef struct {
    int32_t kind;
    // Of a tensor: its element type. Of a sequence of maps: the maps' value type.
    int32_t element;
    // Of a sequence: the kind of its elements. 0 otherwise.
    int32_t inner_kind;
    // Of a sequence of maps: the type of the keys. 0 otherwise.
    int32_t key;
    uint64_t rank;
    // -1 where the model leaves a dimension open.
    int64_t dimensions[CORT_MAXIMUM_RANK];
} cort_type;

// Opens the library and makes its one environment. Returns NULL, or what is wrong; the text lives as long as the
// process. The first success lasts.
const char *cort_load(const char *path);
const char *cort_version(void);

// Execution providers besides the processor, as bits of a set.
enum { CORT_CUDA = 1, CORT_TENSORRT = 2 };

// The providers that the library was built with. Those that need other libraries may still fail in a session.
cort_status cort_providers(int32_t *set);

enum { CORT_OPTIMIZE_NONE = 0, CORT_OPTIMIZE_BASIC = 1, CORT_OPTIMIZE_EXTENDED = 2, CORT_OPTIMIZE_ALL = 99 };

typedef struct {
    int32_t threads;
    // Of the graph, when the session is made.
    int32_t optimization;
    // Where the optimized graph is written; NULL for nowhere.
    const char *optimized_path;
    // In the order of preference; the processor comes behind them by itself.
    int32_t providers[2];
} cort_session_options;

cort_status cort_session_create(const char *path, const cort_session_options *options, cort_handle *session);
void cort_session_release(cort_handle session);
cort_status cort_session_counts(cort_handle session, size_t *inputs, size_t *outputs);
// `*name` is to be freed with free().
cort_status cort_session_input(cort_handle session, size_t index, char **name, cort_type *type);
cort_status cort_session_output(cort_handle session, size_t index, char **name, cort_type *type);
// Runs the model; each element of `results` is to be released with cort_value_release.
cort_status cort_session_run(
    cort_handle session, const char *const *input_names, const cort_handle *inputs, size_t input_count,
    const char *const *output_names, size_t output_count, cort_handle *results);

// A tensor over the caller's memory, which must outlive it.
cort_status cort_tensor(
    void *data, size_t byte_count, const int64_t *dimensions, size_t rank, int32_t element, cort_handle *value);
cort_status cort_string_tensor(
    const char *const *strings, size_t count, const int64_t *dimensions, size_t rank, cort_handle *value);
void cort_value_release(cort_handle value);
cort_status cort_value_kind(cort_handle value, int32_t *kind);
// Element type, shape and number of elements of a tensor.
cort_status cort_value_shape(cort_handle value, cort_type *type, size_t *count);
cort_status cort_value_data(cort_handle value, void **data);
cort_status cort_value_text_size(cort_handle value, size_t *byte_count);
// All strings of a tensor one after the other, and where each begins.
cort_status cort_value_text(cort_handle value, void *text, size_t byte_count, size_t *offsets, size_t count);
// Elements of a sequence; keys (0) and values (1) of a map. To be released.
cort_status cort_value_count(cort_handle value, size_t *count);
cort_status cort_value_element(cort_handle value, int32_t index, cort_handle *element);
