#include "CPostgres.h"
#include "CLibrary.h"

typedef void *p;

enum { CONNECTION_OK = 0, SQLSTATE = 'C', SILENT = 0 };

// Every function that is used: result type, name, parameter types.
#define FUNCTIONS(F)                                                                              \
    F(int, libVersion, (void))                                                                    \
    F(p, connectdb, (const char *))                                                               \
    F(int, status, (p))                                                                           \
    F(char *, errorMessage, (p))                                                                  \
    F(void, finish, (p))                                                                          \
    F(p, setNoticeProcessor, (p, void (*)(void *, const char *), void *))                         \
    F(p, exec, (p, const char *))                                                                 \
    F(p, prepare, (p, const char *, const char *, int, const unsigned *))                         \
    F(p, execPrepared, (p, const char *, int, const char *const *, const int *, const int *, int)) \
    F(int, resultStatus, (p))                                                                     \
    F(char *, resultErrorField, (p, int))                                                         \
    F(char *, resultErrorMessage, (p))                                                            \
    F(int, ntuples, (p))                                                                          \
    F(int, nfields, (p))                                                                          \
    F(unsigned, ftype, (p, int))                                                                  \
    F(int, getisnull, (p, int, int))                                                              \
    F(char *, getvalue, (p, int, int))                                                            \
    F(int, getlength, (p, int, int))                                                              \
    F(char *, cmdTuples, (p))                                                                     \
    F(int, getCopyData, (p, char **, int))                                                        \
    F(void, freemem, (void *))                                                                    \
    F(p, getResult, (p))                                                                          \
    F(void, clear, (p))

#define library_prefix "PQ"
LIBRARY_TABLE

const char *cpg_load(void) { return library_load(NULL, "libpq.so.5"); }

int cpg_version(void) { return api.libVersion(); }

static void be_silent(void *unused, const char *message) {
    (void)unused;
    (void)message;
}

cpg_connection cpg_connect(const char *url) {
    p connection = api.connectdb(url);
    if (connection) api.setNoticeProcessor(connection, be_silent, NULL);
    return connection;
}

int cpg_is_connected(cpg_connection connection) { return connection && api.status(connection) == CONNECTION_OK; }
const char *cpg_connection_error(cpg_connection connection) { return api.errorMessage(connection); }
void cpg_close(cpg_connection connection) { api.finish(connection); }

cpg_result cpg_execute(cpg_connection connection, const char *sql) { return api.exec(connection, sql); }

cpg_result cpg_prepare(cpg_connection connection, const char *name, const char *sql) {
    return api.prepare(connection, name, sql, 0, NULL);
}

cpg_result cpg_run(cpg_connection connection, const char *name, int count, const char *const *values) {
    return api.execPrepared(connection, name, count, values, NULL, NULL, 0);
}

int cpg_status(cpg_result result) { return api.resultStatus(result); }
const char *cpg_sqlstate(cpg_result result) { return api.resultErrorField(result, SQLSTATE); }
const char *cpg_error(cpg_result result) { return api.resultErrorMessage(result); }
int cpg_rows(cpg_result result) { return api.ntuples(result); }
int cpg_columns(cpg_result result) { return api.nfields(result); }
uint32_t cpg_type(cpg_result result, int column) { return api.ftype(result, column); }
int cpg_is_null(cpg_result result, int row, int column) { return api.getisnull(result, row, column); }
const char *cpg_text(cpg_result result, int row, int column) { return api.getvalue(result, row, column); }
int cpg_length(cpg_result result, int row, int column) { return api.getlength(result, row, column); }
const char *cpg_changed(cpg_result result) { return api.cmdTuples(result); }
void cpg_clear(cpg_result result) { api.clear(result); }

int cpg_copy_next(cpg_connection connection, char **bytes) { return api.getCopyData(connection, bytes, 0); }
void cpg_copy_free(char *bytes) { api.freemem(bytes); }
cpg_result cpg_next_result(cpg_connection connection) { return api.getResult(connection); }
