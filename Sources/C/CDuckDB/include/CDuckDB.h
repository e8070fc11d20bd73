#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The part of DuckDB's C API that Aerie uses, reached by dlopen: flat functions over handles that are plain pointers.
// Nothing here may be called before cduckdb_load has returned NULL. Functions that return int return 0 for success.

typedef void *cduckdb_handle;

// A result is passed by value to some functions, so its size matters: six words, of which only the library's own last
// one means anything to us.
typedef struct {
    uint64_t words[3];
    void *pointers[3];
} cduckdb_result;

// The identifiers of column types, as the library numbers them.
enum {
    CDUCKDB_INVALID = 0, CDUCKDB_BOOLEAN = 1, CDUCKDB_TINYINT = 2, CDUCKDB_SMALLINT = 3, CDUCKDB_INTEGER = 4,
    CDUCKDB_BIGINT = 5, CDUCKDB_UTINYINT = 6, CDUCKDB_USMALLINT = 7, CDUCKDB_UINTEGER = 8, CDUCKDB_UBIGINT = 9,
    CDUCKDB_FLOAT = 10, CDUCKDB_DOUBLE = 11, CDUCKDB_TIMESTAMP = 12, CDUCKDB_DATE = 13, CDUCKDB_TIME = 14,
    CDUCKDB_INTERVAL = 15, CDUCKDB_HUGEINT = 16, CDUCKDB_VARCHAR = 17, CDUCKDB_BLOB = 18, CDUCKDB_DECIMAL = 19,
    CDUCKDB_TIMESTAMP_S = 20, CDUCKDB_TIMESTAMP_MS = 21, CDUCKDB_TIMESTAMP_NS = 22, CDUCKDB_ENUM = 23,
    CDUCKDB_LIST = 24, CDUCKDB_STRUCT = 25, CDUCKDB_MAP = 26, CDUCKDB_UUID = 27, CDUCKDB_UNION = 28,
    CDUCKDB_BIT = 29, CDUCKDB_TIME_TZ = 30, CDUCKDB_TIMESTAMP_TZ = 31, CDUCKDB_UHUGEINT = 32, CDUCKDB_ARRAY = 33,
    CDUCKDB_SQLNULL = 36,
};

// Opens libpython (its symbols are wanted by DuckDB's extension module; no interpreter is started), then the library.
// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *cduckdb_load(const char *libpython, const char *path);
const char *cduckdb_version(void);

int cduckdb_create_config(cduckdb_handle *config);
int cduckdb_set_config(cduckdb_handle config, const char *name, const char *value);
void cduckdb_destroy_config(cduckdb_handle *config);
// On failure `*error` is a text to be freed with cduckdb_free.
int cduckdb_open(const char *path, cduckdb_handle *database, cduckdb_handle config, char **error);
void cduckdb_close(cduckdb_handle *database);
int cduckdb_connect(cduckdb_handle database, cduckdb_handle *connection);
void cduckdb_disconnect(cduckdb_handle *connection);
// These two may be called while another thread runs a statement on the connection.
void cduckdb_interrupt(cduckdb_handle connection);
// Percent of the running statement, negative if there is none or it is not known; only while
// enable_progress_bar is set.
double cduckdb_progress(cduckdb_handle connection);
void cduckdb_free(void *memory);

// Splits a text into statements; returns how many, 0 with an error text if it does not parse.
uint64_t cduckdb_extract(cduckdb_handle connection, const char *sql, cduckdb_handle *statements);
const char *cduckdb_extract_error(cduckdb_handle statements);
void cduckdb_destroy_extracted(cduckdb_handle *statements);
int cduckdb_prepare_extracted(
    cduckdb_handle connection, cduckdb_handle statements, uint64_t index, cduckdb_handle *prepared);
int cduckdb_prepare(cduckdb_handle connection, const char *sql, cduckdb_handle *prepared);
const char *cduckdb_prepare_error(cduckdb_handle prepared);
void cduckdb_destroy_prepare(cduckdb_handle *prepared);
uint64_t cduckdb_parameter_count(cduckdb_handle prepared);
bool cduckdb_is_select(cduckdb_handle prepared);
// 0 while the type of a parameter is open.
uint64_t cduckdb_prepared_column_count(cduckdb_handle prepared);
int cduckdb_prepared_column_type(cduckdb_handle prepared, uint64_t column);
// To be freed with cduckdb_free; may be NULL.
const char *cduckdb_prepared_column_name(cduckdb_handle prepared, uint64_t column);

// Parameters are counted from 1.
int cduckdb_bind_null(cduckdb_handle prepared, uint64_t index);
int cduckdb_bind_bool(cduckdb_handle prepared, uint64_t index, bool value);
int cduckdb_bind_int64(cduckdb_handle prepared, uint64_t index, int64_t value);
int cduckdb_bind_double(cduckdb_handle prepared, uint64_t index, double value);
int cduckdb_bind_text(cduckdb_handle prepared, uint64_t index, const char *bytes, uint64_t count);
int cduckdb_bind_timestamp(cduckdb_handle prepared, uint64_t index, int64_t microseconds);

int cduckdb_execute(cduckdb_handle prepared, cduckdb_result *result);
// The rows come as they are fetched, and only fetching tells what fails on the way.
int cduckdb_execute_streaming(cduckdb_handle prepared, cduckdb_result *result);
const char *cduckdb_result_error(cduckdb_result *result);
void cduckdb_destroy_result(cduckdb_result *result);
uint64_t cduckdb_column_count(cduckdb_result *result);
const char *cduckdb_column_name(cduckdb_result *result, uint64_t column);
int cduckdb_column_type(cduckdb_result *result, uint64_t column);
// Width, scale and the identifier of the type that a DECIMAL column is stored as.
void cduckdb_column_decimal(cduckdb_result *result, uint64_t column, int *width, int *scale, int *storage);

// The next rows of a result; NULL after the last.
cduckdb_handle cduckdb_fetch_chunk(cduckdb_result *result);
void cduckdb_destroy_chunk(cduckdb_handle *chunk);
uint64_t cduckdb_chunk_size(cduckdb_handle chunk);
const void *cduckdb_chunk_data(cduckdb_handle chunk, uint64_t column);
// One bit a row, set if the row is not null; NULL if no row is.
const uint64_t *cduckdb_chunk_validity(cduckdb_handle chunk, uint64_t column);

// Arrow's C data interface: tables as trees of buffers. Layout and meaning are those of arrow.apache.org, "The Arrow C
// data interface".
typedef struct cduckdb_arrow_schema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct cduckdb_arrow_schema **children;
    struct cduckdb_arrow_schema *dictionary;
    void (*release)(struct cduckdb_arrow_schema *);
    void *private_data;
} cduckdb_arrow_schema;

typedef struct cduckdb_arrow_array {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct cduckdb_arrow_array **children;
    struct cduckdb_arrow_array *dictionary;
    void (*release)(struct cduckdb_arrow_array *);
    void *private_data;
} cduckdb_arrow_array;

// For structs whose memory the caller keeps for as long as the library may look at it: their release frees nothing.
void cduckdb_keep_arrow(cduckdb_arrow_schema *schema, cduckdb_arrow_array *array);
void cduckdb_release_schema(cduckdb_arrow_schema *schema);
void cduckdb_release_array(cduckdb_arrow_array *array);

// Makes a view, which can be read once, over rows in the caller's memory. The view is to be dropped, then the stream
// destroyed, before the memory goes.
int cduckdb_arrow_view(
    cduckdb_handle connection, const char *name, cduckdb_arrow_schema *schema, cduckdb_arrow_array *array,
    cduckdb_handle *stream);
void cduckdb_destroy_arrow_stream(cduckdb_handle *stream);

// The columns of a result, and the rows of one of its chunks; both are to be released. Return 0, or write the library's
// words into `error`.
int cduckdb_result_schema(cduckdb_result *result, cduckdb_arrow_schema *schema, char *error, uint64_t capacity);
int cduckdb_chunk_array(
    cduckdb_result *result, cduckdb_handle chunk, cduckdb_arrow_array *array, char *error, uint64_t capacity);
