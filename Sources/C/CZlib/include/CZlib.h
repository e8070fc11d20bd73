#pragma once

#include <stddef.h>

// The part of zlib 1.2 that Aerie uses, reached by dlopen. Nothing else may be called before czlib_load has returned
// NULL. Each call is complete in itself; any thread.

// Results.
static const int CZLIB_DONE = 0, CZLIB_MALFORMED = 1, CZLIB_TOO_LONG = 2, CZLIB_NO_MEMORY = 3;

// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *czlib_load(void);

// Unpacks the whole of `input`. `window` is zlib's number for the format: 47 for gzip or zlib, -15 for bare deflate.
// `output` is memory of malloc's with `size` bytes, to be freed by the caller; NULL unless the result is CZLIB_DONE.
// CZLIB_MALFORMED if the stream is broken, cut short or followed by something else.
int czlib_unpack(const void *input, size_t count, int window, size_t limit, void **output, size_t *size);

// Packs the whole of `input` at the given level. `window`: 31 for gzip, 15 for zlib.
int czlib_pack(const void *input, size_t count, int window, int level, void **output, size_t *size);
