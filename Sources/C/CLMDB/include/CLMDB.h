#pragma once

#include <stddef.h>
#include <stdint.h>

// The part of LMDB 0.9 that Aerie uses, reached by dlopen. Nothing else may be called before clmdb_load has returned
// NULL. Results are 0 or LMDB's own error number. One writing transaction at a time, bound to the thread that began it;
// reading transactions may go from thread to thread (the environment is opened without thread-local ones).

typedef void *clmdb_env;
typedef void *clmdb_txn;
typedef void *clmdb_cursor;
typedef unsigned int clmdb_dbi;

// Of the type of the results, which an anonymous enumeration is not in Swift.
static const int CLMDB_NOTFOUND = -30798, CLMDB_MAP_FULL = -30792;

// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *clmdb_load(void);
void clmdb_version(int *major, int *minor, int *patch);
const char *clmdb_strerror(int code);

// Opens (and makes) the file `path`; `map_size` is the most it may grow to, in bytes of address space.
int clmdb_open(const char *path, size_t map_size, unsigned int readers, clmdb_env *env);
void clmdb_close(clmdb_env env);
// Bytes in pages that are in use.
int clmdb_used(clmdb_env env, uint64_t *bytes, uint64_t *entries, clmdb_dbi dbi);

int clmdb_begin(clmdb_env env, int read_only, clmdb_txn *txn);
int clmdb_commit(clmdb_txn txn);
void clmdb_abort(clmdb_txn txn);
// Lets go of a reading transaction's snapshot, to be taken up anew by clmdb_renew.
void clmdb_reset(clmdb_txn txn);
int clmdb_renew(clmdb_txn txn);
// The unnamed database of the file.
int clmdb_main(clmdb_txn txn, clmdb_dbi *dbi);

// The data belongs to the file and is valid until the transaction ends or writes.
int clmdb_get(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size, const void **data, size_t *size);
int clmdb_put(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size, const void *data, size_t size);
int clmdb_delete(clmdb_txn txn, clmdb_dbi dbi, const void *key, size_t key_size);

int clmdb_cursor_open(clmdb_txn txn, clmdb_dbi dbi, clmdb_cursor *cursor);
void clmdb_cursor_close(clmdb_cursor cursor);
// The first entry whose key is not below `key`.
int clmdb_cursor_seek(clmdb_cursor cursor, const void *key, size_t key_size, const void **found, size_t *found_size,
                      const void **data, size_t *size);
int clmdb_cursor_next(clmdb_cursor cursor, const void **found, size_t *found_size, const void **data, size_t *size);
int clmdb_cursor_delete(clmdb_cursor cursor);
