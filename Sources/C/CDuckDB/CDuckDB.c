#include "CDuckDB.h"
#include "CLibrary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void *h;

// A timestamp is a struct of one number in the library's interface.
typedef struct {
    int64_t micros;
} timestamp;

// How far a statement is: percent, and rows done and to be done.
typedef struct {
    double percentage;
    uint64_t rows;
    uint64_t total;
} progress;

// Every function that is used: result type, name, parameter types.
#define FUNCTIONS(F)                                                       \
    F(const char *, library_version, (void))                              \
    F(int, create_config, (h *))                                          \
    F(int, set_config, (h, const char *, const char *))                   \
    F(void, destroy_config, (h *))                                        \
    F(int, open_ext, (const char *, h *, h, char **))                     \
    F(void, close, (h *))                                                 \
    F(int, connect, (h, h *))                                             \
    F(void, disconnect, (h *))                                            \
    F(void, interrupt, (h))                                               \
    F(progress, query_progress, (h))                                      \
    F(void, free, (void *))                                               \
    F(uint64_t, extract_statements, (h, const char *, h *))               \
    F(const char *, extract_statements_error, (h))                        \
    F(void, destroy_extracted, (h *))                                     \
    F(int, prepare_extracted_statement, (h, h, uint64_t, h *))            \
    F(int, prepare, (h, const char *, h *))                               \
    F(const char *, prepare_error, (h))                                   \
    F(void, destroy_prepare, (h *))                                       \
    F(uint64_t, nparams, (h))                                             \
    F(uint64_t, prepared_statement_column_count, (h))                     \
    F(int, prepared_statement_column_type, (h, uint64_t))                 \
    F(int, prepared_statement_type, (h))                                  \
    F(const char *, prepared_statement_column_name, (h, uint64_t))        \
    F(int, bind_null, (h, uint64_t))                                      \
    F(int, bind_boolean, (h, uint64_t, bool))                             \
    F(int, bind_int64, (h, uint64_t, int64_t))                            \
    F(int, bind_double, (h, uint64_t, double))                            \
    F(int, bind_varchar_length, (h, uint64_t, const char *, uint64_t))    \
    F(int, bind_timestamp, (h, uint64_t, timestamp))                      \
    F(int, execute_prepared, (h, cduckdb_result *))                       \
    F(int, pending_prepared, (h, h *))                                    \
    F(int, pending_execute_check_state, (h))                              \
    F(bool, pending_execution_is_finished, (int))                         \
    F(int, execute_pending, (h, cduckdb_result *))                        \
    F(void, destroy_pending, (h *))                                       \
    F(int, execute_prepared_streaming, (h, cduckdb_result *))             \
    F(const char *, result_error, (cduckdb_result *))                     \
    F(void, destroy_result, (cduckdb_result *))                           \
    F(uint64_t, column_count, (cduckdb_result *))                         \
    F(const char *, column_name, (cduckdb_result *, uint64_t))            \
    F(int, column_type, (cduckdb_result *, uint64_t))                     \
    F(h, column_logical_type, (cduckdb_result *, uint64_t))               \
    F(void, destroy_logical_type, (h *))                                  \
    F(uint8_t, decimal_width, (h))                                        \
    F(uint8_t, decimal_scale, (h))                                        \
    F(int, decimal_internal_type, (h))                                    \
    F(h, fetch_chunk, (cduckdb_result))                                   \
    F(void, destroy_data_chunk, (h *))                                    \
    F(uint64_t, data_chunk_get_size, (h))                                 \
    F(h, data_chunk_get_vector, (h, uint64_t))                            \
    F(void *, vector_get_data, (h))                                       \
    F(uint64_t *, vector_get_validity, (h))                               \
    F(int, arrow_array_scan, (h, const char *, h, h, h *))                \
    F(void, destroy_arrow_stream, (h *))                                  \
    F(h, result_get_arrow_options, (cduckdb_result *))                    \
    F(void, destroy_arrow_options, (h *))                                 \
    F(h, to_arrow_schema, (h, h *, const char **, uint64_t, h))           \
    F(h, data_chunk_to_arrow, (h, h, h))                                  \
    F(const char *, error_data_message, (h))                              \
    F(bool, error_data_has_error, (h))                                    \
    F(void, destroy_error_data, (h *))

// Pauses double from one to the other.
#define FIRST_PAUSE_NS 20000
#define LONGEST_PAUSE_NS 1000000

#define library_prefix "duckdb_"
LIBRARY_TABLE

// The interpreter for everybody, because the extension module names no library for the symbols of it that it wants.
const char *cduckdb_load(const char *libpython, const char *path) { return library_load(libpython, path); }

const char *cduckdb_version(void) { return api.library_version(); }
int cduckdb_create_config(h *config) { return api.create_config(config); }
int cduckdb_set_config(h config, const char *name, const char *value) { return api.set_config(config, name, value); }
void cduckdb_destroy_config(h *config) { api.destroy_config(config); }
int cduckdb_open(const char *path, h *database, h config, char **error) {
    return api.open_ext(path, database, config, error);
}
void cduckdb_close(h *database) { api.close(database); }
int cduckdb_connect(h database, h *connection) { return api.connect(database, connection); }
void cduckdb_disconnect(h *connection) { api.disconnect(connection); }
void cduckdb_interrupt(h connection) { api.interrupt(connection); }
double cduckdb_progress(h connection) { return api.query_progress(connection).percentage; }
void cduckdb_free(void *memory) { api.free(memory); }

uint64_t cduckdb_extract(h connection, const char *sql, h *statements) {
    return api.extract_statements(connection, sql, statements);
}
const char *cduckdb_extract_error(h statements) { return api.extract_statements_error(statements); }
void cduckdb_destroy_extracted(h *statements) { api.destroy_extracted(statements); }
int cduckdb_prepare_extracted(h connection, h statements, uint64_t index, h *prepared) {
    return api.prepare_extracted_statement(connection, statements, index, prepared);
}
int cduckdb_prepare(h connection, const char *sql, h *prepared) { return api.prepare(connection, sql, prepared); }
const char *cduckdb_prepare_error(h prepared) { return api.prepare_error(prepared); }
void cduckdb_destroy_prepare(h *prepared) { api.destroy_prepare(prepared); }
uint64_t cduckdb_parameter_count(h prepared) { return api.nparams(prepared); }
uint64_t cduckdb_prepared_column_count(h prepared) { return api.prepared_statement_column_count(prepared); }
bool cduckdb_is_select(h prepared) { return api.prepared_statement_type(prepared) == 1; }
int cduckdb_prepared_column_type(h prepared, uint64_t column) {
    return api.prepared_statement_column_type(prepared, column);
}
const char *cduckdb_prepared_column_name(h prepared, uint64_t column) {
    return api.prepared_statement_column_name(prepared, column);
}

int cduckdb_bind_null(h prepared, uint64_t index) { return api.bind_null(prepared, index); }
int cduckdb_bind_bool(h prepared, uint64_t index, bool value) { return api.bind_boolean(prepared, index, value); }
int cduckdb_bind_int64(h prepared, uint64_t index, int64_t value) { return api.bind_int64(prepared, index, value); }
int cduckdb_bind_double(h prepared, uint64_t index, double value) { return api.bind_double(prepared, index, value); }
int cduckdb_bind_text(h prepared, uint64_t index, const char *bytes, uint64_t count) {
    return api.bind_varchar_length(prepared, index, bytes, count);
}
int cduckdb_bind_timestamp(h prepared, uint64_t index, int64_t microseconds) {
    timestamp value = {microseconds};
    return api.bind_timestamp(prepared, index, value);
}

// The library's own waiting takes a whole core while other threads work, so this looks now and again whether they are
// done. What fails before it starts has its words from the plain way.
int cduckdb_execute(h prepared, cduckdb_result *result) {
    memset(result, 0, sizeof *result);
    h pending = NULL;
    int failed = api.pending_prepared(prepared, &pending);
    if (failed) {
        failed = api.execute_prepared(prepared, result);
    } else {
        struct timespec pause = {0, FIRST_PAUSE_NS};
        while (!api.pending_execution_is_finished(api.pending_execute_check_state(pending))) {
            nanosleep(&pause, NULL);
            if (pause.tv_nsec < LONGEST_PAUSE_NS) pause.tv_nsec *= 2;
        }
        failed = api.execute_pending(pending, result);
    }
    api.destroy_pending(&pending);
    return failed;
}
int cduckdb_execute_streaming(h prepared, cduckdb_result *result) {
    memset(result, 0, sizeof *result);
    return api.execute_prepared_streaming(prepared, result);
}
const char *cduckdb_result_error(cduckdb_result *result) { return api.result_error(result); }
void cduckdb_destroy_result(cduckdb_result *result) { api.destroy_result(result); }
uint64_t cduckdb_column_count(cduckdb_result *result) { return api.column_count(result); }
const char *cduckdb_column_name(cduckdb_result *result, uint64_t column) { return api.column_name(result, column); }
int cduckdb_column_type(cduckdb_result *result, uint64_t column) { return api.column_type(result, column); }
void cduckdb_column_decimal(cduckdb_result *result, uint64_t column, int *width, int *scale, int *storage) {
    h type = api.column_logical_type(result, column);
    *width = api.decimal_width(type);
    *scale = api.decimal_scale(type);
    *storage = api.decimal_internal_type(type);
    api.destroy_logical_type(&type);
}

h cduckdb_fetch_chunk(cduckdb_result *result) { return api.fetch_chunk(*result); }
void cduckdb_destroy_chunk(h *chunk) { api.destroy_data_chunk(chunk); }
uint64_t cduckdb_chunk_size(h chunk) { return api.data_chunk_get_size(chunk); }
const void *cduckdb_chunk_data(h chunk, uint64_t column) {
    return api.vector_get_data(api.data_chunk_get_vector(chunk, column));
}
const uint64_t *cduckdb_chunk_validity(h chunk, uint64_t column) {
    return api.vector_get_validity(api.data_chunk_get_vector(chunk, column));
}

static void keep_schema(cduckdb_arrow_schema *schema) { schema->release = NULL; }
static void keep_array(cduckdb_arrow_array *array) { array->release = NULL; }

void cduckdb_keep_arrow(cduckdb_arrow_schema *schema, cduckdb_arrow_array *array) {
    schema->release = keep_schema;
    array->release = keep_array;
}

void cduckdb_release_schema(cduckdb_arrow_schema *schema) {
    if (schema->release) schema->release(schema);
}

void cduckdb_release_array(cduckdb_arrow_array *array) {
    if (array->release) array->release(array);
}

int cduckdb_arrow_view(
    h connection, const char *name, cduckdb_arrow_schema *schema, cduckdb_arrow_array *array, h *stream) {
    return api.arrow_array_scan(connection, name, schema, array, stream);
}

void cduckdb_destroy_arrow_stream(h *stream) { api.destroy_arrow_stream(stream); }

// 0 if it is no error; the words and the end of the error otherwise.
static int told(h data, char *error, uint64_t capacity) {
    if (!data) return 0;
    int failed = api.error_data_has_error(data);
    if (failed) snprintf(error, capacity, "%s", api.error_data_message(data));
    api.destroy_error_data(&data);
    return failed;
}

int cduckdb_result_schema(cduckdb_result *result, cduckdb_arrow_schema *schema, char *error, uint64_t capacity) {
    uint64_t count = api.column_count(result);
    h *types = calloc(count + 1, sizeof(h));
    const char **names = calloc(count + 1, sizeof(char *));
    int failed = 1;
    if (types && names) {
        for (uint64_t i = 0; i < count; i++) {
            types[i] = api.column_logical_type(result, i);
            names[i] = api.column_name(result, i);
        }
        h options = api.result_get_arrow_options(result);
        failed = told(api.to_arrow_schema(options, types, names, count, schema), error, capacity);
        api.destroy_arrow_options(&options);
        for (uint64_t i = 0; i < count; i++) api.destroy_logical_type(&types[i]);
    } else {
        snprintf(error, capacity, "there is not enough memory");
    }
    free(types);
    free(names);
    return failed;
}

int cduckdb_chunk_array(cduckdb_result *result, h chunk, cduckdb_arrow_array *array, char *error, uint64_t capacity) {
    h options = api.result_get_arrow_options(result);
    int failed = told(api.data_chunk_to_arrow(options, chunk, array), error, capacity);
    api.destroy_arrow_options(&options);
    return failed;
}
