#include "CLMDB.h"
#include "CLibrary.h"

typedef void *p;

// A key or a value, as the library lays it out.
struct value {
    size_t size;
    const void *data;
};

// Page size, depth, three kinds of pages, entries.
struct statistics {
    unsigned int page_size, depth;
    size_t branch, leaf, overflow, entries;
};

enum { NOSUBDIR = 0x4000, RDONLY = 0x20000, NOTLS = 0x200000, FILE_MODE = 0600 };
enum { NEXT = 8, SET_RANGE = 17 };

// Every function that is used: result type, name, parameter types.
#define FUNCTIONS(F)                                             \
    F(char *, version, (int *, int *, int *))                    \
    F(char *, strerror, (int))                                   \
    F(int, env_create, (p *))                                    \
    F(int, env_set_mapsize, (p, size_t))                         \
    F(int, env_set_maxreaders, (p, unsigned int))                \
    F(int, env_open, (p, const char *, unsigned int, unsigned int)) \
    F(void, env_close, (p))                                      \
    F(int, reader_check, (p, int *))                             \
    F(int, txn_begin, (p, p, unsigned int, p *))                 \
    F(int, txn_commit, (p))                                      \
    F(void, txn_abort, (p))                                      \
    F(void, txn_reset, (p))                                      \
    F(int, txn_renew, (p))                                       \
    F(int, dbi_open, (p, const char *, unsigned int, clmdb_dbi *)) \
    F(int, stat, (p, clmdb_dbi, struct statistics *))            \
    F(int, get, (p, clmdb_dbi, struct value *, struct value *))  \
    F(int, put, (p, clmdb_dbi, struct value *, struct value *, unsigned int)) \
    F(int, del, (p, clmdb_dbi, struct value *, struct value *))  \
    F(int, cursor_open, (p, clmdb_dbi, p *))                     \
    F(void, cursor_close, (p))                                   \
    F(int, cursor_get, (p, struct value *, struct value *, int)) \
    F(int, cursor_del, (p, unsigned int))

#define library_prefix "mdb_"
LIBRARY_TABLE

const char *clmdb_load(void) { return library_load(NULL, "liblmdb.so.0"); }

void clmdb_version(int *major, int *minor, int *patch) { api.version(major, minor, patch); }

const char *clmdb_strerror(int code) { return api.strerror(code); }

int clmdb_open(const char *path, size_t map_size, unsigned int readers, clmdb_env *env) {
    int code = api.env_create(env);
    if (code) return code;
    if (!(code = api.env_set_mapsize(*env, map_size)) && !(code = api.env_set_maxreaders(*env, readers))
        && !(code = api.env_open(*env, path, NOSUBDIR | NOTLS, FILE_MODE))) {
        int dead = 0;
        return api.reader_check(*env, &dead);
    }
    api.env_close(*env);
    *env = NULL;
    return code;
}

void clmdb_close(clmdb_env env) { api.env_close(env); }

int clmdb_used(clmdb_env env, uint64_t *bytes, uint64_t *entries, clmdb_dbi dbi) {
    p txn = NULL;
    int code = api.txn_begin(env, NULL, RDONLY, &txn);
    if (code) return code;
    struct statistics found;
    code = api.stat(txn, dbi, &found);
    api.txn_abort(txn);
    if (code) return code;
    *bytes = (uint64_t)(found.branch + found.leaf + found.overflow) * found.page_size;
    *entries = found.entries;
    return 0;
}

int clmdb_begin(clmdb_env env, int read_only, clmdb_txn *txn) {
    return api.txn_begin(env, NULL, read_only ? RDONLY : 0, txn);
}

int clmdb_commit(clmdb_txn txn) { return api.txn_commit(txn); }
void clmdb_abort(clmdb_txn txn) { api.txn_abort(txn); }
void clmdb_reset(clmdb_txn txn) { api.txn_reset(txn); }
int clmdb_renew(clmdb_txn txn) { return api.txn_renew(txn); }
int clmdb_main(clmdb_txn txn, clmdb_dbi *dbi) { return api.dbi_open(txn, NULL, 0, dbi); }

int clmdb_get(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size, const void **data, size_t *size) {
    struct value wanted = {key_size, key}, found = {0, NULL};
    int code = api.get(txn, dbi, &wanted, &found);
    *data = found.data;
    *size = found.size;
    return code;
}

int clmdb_put(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size, const void *data, size_t size) {
    struct value name = {key_size, key}, content = {size, data};
    return api.put(txn, dbi, &name, &content, 0);
}

int clmdb_delete(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size) {
    struct value name = {key_size, key};
    return api.del(txn, dbi, &name, NULL);
}

int clmdb_cursor_open(clmdb_txn txn, clmdb_dbi dbi, clmdb_cursor *cursor) {
    return api.cursor_open(txn, dbi, cursor);
}

void clmdb_cursor_close(clmdb_cursor cursor) { api.cursor_close(cursor); }

static int step(clmdb_cursor cursor, int how, struct value name, const void **found, size_t *found_size,
                const void **data, size_t *size) {
    struct value content = {0, NULL};
    int code = api.cursor_get(cursor, &name, &content, how);
    *found = name.data;
    *found_size = name.size;
    *data = content.data;
    *size = content.size;
    return code;
}

int clmdb_cursor_seek(clmdb_cursor cursor, const void *key, size_t key_size, const void **found, size_t *found_size,
                      const void **data, size_t *size) {
    struct value name = {key_size, key};
    return step(cursor, SET_RANGE, name, found, found_size, data, size);
}

int clmdb_cursor_next(clmdb_cursor cursor, const void **found, size_t *found_size, const void **data, size_t *size) {
    struct value name = {0, NULL};
    return step(cursor, NEXT, name, found, found_size, data, size);
}

int clmdb_cursor_delete(clmdb_cursor cursor) { return api.cursor_del(cursor, 0); }
