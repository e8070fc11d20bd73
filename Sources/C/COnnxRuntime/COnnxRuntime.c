#include "COnnxRuntime.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *h;

// The library gives one table of functions, whose order never changes: new ones are added at its end. These are the
// places in it of those used here; the version asked for is the oldest that has them all.
enum {
    API_VERSION = 11,
    GET_ERROR_CODE = 1,
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_OPTIMIZED_MODEL_FILE_PATH = 11,
    SET_SESSION_LOG_SEVERITY_LEVEL = 22,
    SET_SESSION_GRAPH_OPTIMIZATION_LEVEL = 23,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    SESSION_GET_INPUT_COUNT = 30,
    SESSION_GET_OUTPUT_COUNT = 31,
    SESSION_GET_INPUT_TYPE_INFO = 33,
    SESSION_GET_OUTPUT_TYPE_INFO = 34,
    SESSION_GET_INPUT_NAME = 36,
    SESSION_GET_OUTPUT_NAME = 37,
    CREATE_TENSOR_AS_ORT_VALUE = 48,
    CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE = 49,
    GET_TENSOR_MUTABLE_DATA = 51,
    FILL_STRING_TENSOR = 52,
    GET_STRING_TENSOR_DATA_LENGTH = 53,
    GET_STRING_TENSOR_CONTENT = 54,
    CAST_TYPE_INFO_TO_TENSOR_INFO = 55,
    GET_ONNX_TYPE_FROM_TYPE_INFO = 56,
    GET_TENSOR_ELEMENT_TYPE = 60,
    GET_DIMENSIONS_COUNT = 61,
    GET_DIMENSIONS = 62,
    GET_TENSOR_SHAPE_ELEMENT_COUNT = 64,
    GET_TENSOR_TYPE_AND_SHAPE = 65,
    GET_VALUE_TYPE = 67,
    CREATE_CPU_MEMORY_INFO = 69,
    ALLOCATOR_FREE = 76,
    GET_ALLOCATOR_WITH_DEFAULT_OPTIONS = 78,
    GET_VALUE = 80,
    GET_VALUE_COUNT = 81,
    RELEASE_STATUS = 93,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_TYPE_INFO = 98,
    RELEASE_TENSOR_TYPE_AND_SHAPE_INFO = 99,
    RELEASE_SESSION_OPTIONS = 100,
    CAST_TYPE_INFO_TO_MAP_TYPE_INFO = 103,
    CAST_TYPE_INFO_TO_SEQUENCE_TYPE_INFO = 104,
    GET_MAP_KEY_TYPE = 105,
    GET_MAP_VALUE_TYPE = 106,
    GET_SEQUENCE_ELEMENT_TYPE = 107,
    GET_AVAILABLE_PROVIDERS = 125,
    RELEASE_AVAILABLE_PROVIDERS = 126,
    APPEND_TENSORRT = 170,
    CREATE_TENSORRT_OPTIONS = 171,
    RELEASE_TENSORRT_OPTIONS = 174,
    APPEND_CUDA = 204,
    CREATE_CUDA_OPTIONS = 205,
    RELEASE_CUDA_OPTIONS = 208,
};

enum { LOG_FATAL = 4, ARENA_ALLOCATOR = 1, DEFAULT_MEMORY = 0 };

typedef struct {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} api_base;

static void *const *table;
static const api_base *base;
static h environment;
static h memory_info;
static h allocator;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded = false;
static char problem[1024];

// Calls place `index` of the table as a function of `parameters` that returns a status (NULL for success).
#define CALL(index, parameters) ((h(*) parameters)table[index])
#define RELEASE(index, handle) ((void (*)(h))table[index])(handle)

static cort_status take(h status) {
    cort_status result = {0, NULL};
    if (!status) return result;
    int code = ((int (*)(h))table[GET_ERROR_CODE])(status);
    result.code = code == 0 ? 1 : code;
    result.message = strdup(((const char *(*)(h))table[GET_ERROR_MESSAGE])(status));
    RELEASE(RELEASE_STATUS, status);
    return result;
}

#define TRY(call)                                  \
    do {                                           \
        cort_status attempt = take(call);          \
        if (attempt.code != 0) return attempt;     \
    } while (0)

static const cort_status success = {0, NULL};

static cort_status prepare(void) {
    TRY(CALL(CREATE_ENV, (int, const char *, h *))(LOG_FATAL, "aerie", &environment));
    TRY(CALL(CREATE_CPU_MEMORY_INFO, (int, int, h *))(ARENA_ALLOCATOR, DEFAULT_MEMORY, &memory_info));
    TRY(CALL(GET_ALLOCATOR_WITH_DEFAULT_OPTIONS, (h *))(&allocator));
    return success;
}

static const char *load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(problem, sizeof problem, "%s", dlerror());
        return problem;
    }
    const api_base *(*get_base)(void) = NULL;
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    base = get_base ? get_base() : NULL;
    table = base ? base->get_api(API_VERSION) : NULL;
    if (!table) {
        snprintf(problem, sizeof problem, "%s has no ONNX Runtime API of version %d", path, API_VERSION);
        return problem;
    }
    cort_status status = prepare();
    if (status.code != 0) {
        snprintf(problem, sizeof problem, "%s", status.message ? status.message : "no environment");
        free(status.message);
        return problem;
    }
    loaded = true;
    return NULL;
}

const char *cort_load(const char *path) {
    pthread_mutex_lock(&lock);
    const char *result = loaded ? NULL : load(path);
    pthread_mutex_unlock(&lock);
    return result;
}

const char *cort_version(void) { return base->get_version(); }

cort_status cort_providers(int32_t *set) {
    char **names = NULL;
    int count = 0;
    *set = 0;
    TRY(CALL(GET_AVAILABLE_PROVIDERS, (char ***, int *))(&names, &count));
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], "CUDAExecutionProvider") == 0) *set |= CORT_CUDA;
        if (strcmp(names[i], "TensorrtExecutionProvider") == 0) *set |= CORT_TENSORRT;
    }
    TRY(CALL(RELEASE_AVAILABLE_PROVIDERS, (char **, int))(names, count));
    return success;
}

// With the provider's own defaults: the first device.
static cort_status append(h options, int create, int add, int release) {
    h settings = NULL;
    TRY(CALL(create, (h *))(&settings));
    cort_status status = take(CALL(add, (h, h))(options, settings));
    RELEASE(release, settings);
    return status;
}

static cort_status configure(h options, const cort_session_options *wanted) {
    TRY(CALL(SET_SESSION_LOG_SEVERITY_LEVEL, (h, int))(options, LOG_FATAL));
    TRY(CALL(SET_SESSION_GRAPH_OPTIMIZATION_LEVEL, (h, int))(options, wanted->optimization));
    TRY(CALL(SET_INTRA_OP_NUM_THREADS, (h, int))(options, wanted->threads));
    TRY(CALL(SET_INTER_OP_NUM_THREADS, (h, int))(options, 1));
    if (wanted->optimized_path) {
        TRY(CALL(SET_OPTIMIZED_MODEL_FILE_PATH, (h, const char *))(options, wanted->optimized_path));
    }
    for (size_t i = 0; i < sizeof wanted->providers / sizeof *wanted->providers; i++) {
        cort_status status = success;
        if (wanted->providers[i] == CORT_CUDA) {
            status = append(options, CREATE_CUDA_OPTIONS, APPEND_CUDA, RELEASE_CUDA_OPTIONS);
        } else if (wanted->providers[i] == CORT_TENSORRT) {
            status = append(options, CREATE_TENSORRT_OPTIONS, APPEND_TENSORRT, RELEASE_TENSORRT_OPTIONS);
        }
        if (status.code != 0) return status;
    }
    return success;
}

cort_status cort_session_create(const char *path, const cort_session_options *wanted, h *session) {
    h options = NULL;
    TRY(CALL(CREATE_SESSION_OPTIONS, (h *))(&options));
    cort_status status = configure(options, wanted);
    if (status.code == 0) {
        status = take(CALL(CREATE_SESSION, (h, const char *, h, h *))(environment, path, options, session));
    }
    RELEASE(RELEASE_SESSION_OPTIONS, options);
    return status;
}

void cort_session_release(h session) { RELEASE(RELEASE_SESSION, session); }

cort_status cort_session_counts(h session, size_t *inputs, size_t *outputs) {
    TRY(CALL(SESSION_GET_INPUT_COUNT, (h, size_t *))(session, inputs));
    TRY(CALL(SESSION_GET_OUTPUT_COUNT, (h, size_t *))(session, outputs));
    return success;
}

static cort_status read_tensor(h info, cort_type *type) {
    size_t rank = 0;
    TRY(CALL(GET_TENSOR_ELEMENT_TYPE, (h, int32_t *))(info, &type->element));
    TRY(CALL(GET_DIMENSIONS_COUNT, (h, size_t *))(info, &rank));
    type->rank = rank;
    if (rank > CORT_MAXIMUM_RANK) {
        cort_status status = {1, strdup("a tensor has more than 16 dimensions")};
        return status;
    }
    if (rank > 0) TRY(CALL(GET_DIMENSIONS, (h, int64_t *, size_t))(info, type->dimensions, rank));
    return success;
}

static cort_status read_map(h info, cort_type *type) {
    h map = NULL, value = NULL, tensor = NULL;
    TRY(CALL(CAST_TYPE_INFO_TO_MAP_TYPE_INFO, (h, h *))(info, &map));
    if (!map) return success;
    TRY(CALL(GET_MAP_KEY_TYPE, (h, int32_t *))(map, &type->key));
    TRY(CALL(GET_MAP_VALUE_TYPE, (h, h *))(map, &value));
    cort_status status = take(CALL(CAST_TYPE_INFO_TO_TENSOR_INFO, (h, h *))(value, &tensor));
    if (status.code == 0 && tensor) {
        status = take(CALL(GET_TENSOR_ELEMENT_TYPE, (h, int32_t *))(tensor, &type->element));
    }
    RELEASE(RELEASE_TYPE_INFO, value);
    return status;
}

static cort_status read_sequence(h info, cort_type *type) {
    h sequence = NULL, element = NULL;
    TRY(CALL(CAST_TYPE_INFO_TO_SEQUENCE_TYPE_INFO, (h, h *))(info, &sequence));
    if (!sequence) return success;
    TRY(CALL(GET_SEQUENCE_ELEMENT_TYPE, (h, h *))(sequence, &element));
    cort_status status = take(CALL(GET_ONNX_TYPE_FROM_TYPE_INFO, (h, int32_t *))(element, &type->inner_kind));
    if (status.code == 0 && type->inner_kind == CORT_KIND_MAP) status = read_map(element, type);
    RELEASE(RELEASE_TYPE_INFO, element);
    return status;
}

static cort_status read_type(h info, cort_type *type) {
    memset(type, 0, sizeof *type);
    TRY(CALL(GET_ONNX_TYPE_FROM_TYPE_INFO, (h, int32_t *))(info, &type->kind));
    if (type->kind == CORT_KIND_TENSOR) {
        h tensor = NULL;
        TRY(CALL(CAST_TYPE_INFO_TO_TENSOR_INFO, (h, h *))(info, &tensor));
        if (tensor) return read_tensor(tensor, type);
    }
    if (type->kind == CORT_KIND_SEQUENCE) return read_sequence(info, type);
    return success;
}

static cort_status describe(h session, size_t index, int name_call, int type_call, char **name, cort_type *type) {
    char *theirs = NULL;
    h info = NULL;
    TRY(CALL(name_call, (h, size_t, h, char **))(session, index, allocator, &theirs));
    *name = strdup(theirs);
    TRY(CALL(ALLOCATOR_FREE, (h, void *))(allocator, theirs));
    TRY(CALL(type_call, (h, size_t, h *))(session, index, &info));
    cort_status status = read_type(info, type);
    RELEASE(RELEASE_TYPE_INFO, info);
    return status;
}

cort_status cort_session_input(h session, size_t index, char **name, cort_type *type) {
    return describe(session, index, SESSION_GET_INPUT_NAME, SESSION_GET_INPUT_TYPE_INFO, name, type);
}

cort_status cort_session_output(h session, size_t index, char **name, cort_type *type) {
    return describe(session, index, SESSION_GET_OUTPUT_NAME, SESSION_GET_OUTPUT_TYPE_INFO, name, type);
}

cort_status cort_session_run(
    h session, const char *const *input_names, const h *inputs, size_t input_count, const char *const *output_names,
    size_t output_count, h *results) {
    memset(results, 0, output_count * sizeof *results);
    return take(CALL(
        RUN, (h, h, const char *const *, const h *, size_t, const char *const *, size_t, h *))(
        session, NULL, input_names, inputs, input_count, output_names, output_count, results));
}

cort_status cort_tensor(
    void *data, size_t byte_count, const int64_t *dimensions, size_t rank, int32_t element, h *value) {
    return take(CALL(
        CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE, (h, void *, size_t, const int64_t *, size_t, int, h *))(
        memory_info, data, byte_count, dimensions, rank, element, value));
}

cort_status cort_string_tensor(
    const char *const *strings, size_t count, const int64_t *dimensions, size_t rank, h *value) {
    TRY(CALL(CREATE_TENSOR_AS_ORT_VALUE, (h, const int64_t *, size_t, int, h *))(
        allocator, dimensions, rank, CORT_STRING, value));
    cort_status status = take(CALL(FILL_STRING_TENSOR, (h, const char *const *, size_t))(*value, strings, count));
    if (status.code != 0) RELEASE(RELEASE_VALUE, *value);
    return status;
}

void cort_value_release(h value) {
    if (value) RELEASE(RELEASE_VALUE, value);
}

cort_status cort_value_kind(h value, int32_t *kind) { return take(CALL(GET_VALUE_TYPE, (h, int32_t *))(value, kind)); }

cort_status cort_value_shape(h value, cort_type *type, size_t *count) {
    h info = NULL;
    memset(type, 0, sizeof *type);
    type->kind = CORT_KIND_TENSOR;
    TRY(CALL(GET_TENSOR_TYPE_AND_SHAPE, (h, h *))(value, &info));
    cort_status status = read_tensor(info, type);
    if (status.code == 0) status = take(CALL(GET_TENSOR_SHAPE_ELEMENT_COUNT, (h, size_t *))(info, count));
    RELEASE(RELEASE_TENSOR_TYPE_AND_SHAPE_INFO, info);
    return status;
}

cort_status cort_value_data(h value, void **data) {
    return take(CALL(GET_TENSOR_MUTABLE_DATA, (h, void **))(value, data));
}

cort_status cort_value_text_size(h value, size_t *byte_count) {
    return take(CALL(GET_STRING_TENSOR_DATA_LENGTH, (h, size_t *))(value, byte_count));
}

cort_status cort_value_text(h value, void *text, size_t byte_count, size_t *offsets, size_t count) {
    return take(CALL(GET_STRING_TENSOR_CONTENT, (h, void *, size_t, size_t *, size_t))(
        value, text, byte_count, offsets, count));
}

cort_status cort_value_count(h value, size_t *count) {
    return take(CALL(GET_VALUE_COUNT, (h, size_t *))(value, count));
}

cort_status cort_value_element(h value, int32_t index, h *element) {
    return take(CALL(GET_VALUE, (h, int, h, h *))(value, index, allocator, element));
}
