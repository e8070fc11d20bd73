#pragma once

#include <stdint.h>

// The part of libpq that Aerie uses, reached by dlopen. Nothing else may be called before cpg_load has returned NULL.
// A connection is used by one thread at a time; results belong to whoever asked for them.

typedef void *cpg_connection;
typedef void *cpg_result;

enum { CPG_COMMAND_OK = 1, CPG_TUPLES_OK = 2, CPG_COPY_OUT = 3 };

// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *cpg_load(void);
// Such as 150003 for 15.3.
int cpg_version(void);

// Connects and waits for it. Never NULL but for lack of memory; cpg_is_connected tells whether it worked.
cpg_connection cpg_connect(const char *url);
int cpg_is_connected(cpg_connection connection);
const char *cpg_connection_error(cpg_connection connection);
void cpg_close(cpg_connection connection);

// One or several statements without arguments.
cpg_result cpg_execute(cpg_connection connection, const char *sql);
// Parses a statement under a name, to be run by cpg_run.
cpg_result cpg_prepare(cpg_connection connection, const char *name, const char *sql);
// `values` are text, NULL for a null. `lengths` are ignored for text.
cpg_result cpg_run(cpg_connection connection, const char *name, int count, const char *const *values);

int cpg_status(cpg_result result);
// The five characters of SQLSTATE, or NULL where the connection failed.
const char *cpg_sqlstate(cpg_result result);
const char *cpg_error(cpg_result result);
int cpg_rows(cpg_result result);
int cpg_columns(cpg_result result);
uint32_t cpg_type(cpg_result result, int column);
int cpg_is_null(cpg_result result, int row, int column);
const char *cpg_text(cpg_result result, int row, int column);
int cpg_length(cpg_result result, int row, int column);
// How many rows a statement changed, as text; empty where it says nothing.
const char *cpg_changed(cpg_result result);
void cpg_clear(cpg_result result);

// After a COPY … TO STDOUT: the next row, to be freed with cpg_copy_free, and its length; negative when there is none,
// and cpg_next_result says how it ended.
int cpg_copy_next(cpg_connection connection, char **bytes);
void cpg_copy_free(char *bytes);
cpg_result cpg_next_result(cpg_connection connection);
