#include "CZlib.h"
#include "CLibrary.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

// The stream as the library lays it out; its size is checked by the library itself.
struct stream {
    const unsigned char *next_in;
    unsigned int available_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned int available_out;
    unsigned long total_out;
    const char *message;
    void *state;
    void *(*allocate)(void *, unsigned int, unsigned int);
    void (*release)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long checksum, reserved;
};

enum { NO_FLUSH = 0, FINISH = 4, OK = 0, STREAM_END = 1, MEMORY_ERROR = -4, BUFFER_ERROR = -5, DEFLATED = 8 };

#define FUNCTIONS(F)                                                                            \
    F(const char *, zlibVersion, (void))                                                        \
    F(int, inflateInit2_, (struct stream *, int, const char *, int))                            \
    F(int, inflate, (struct stream *, int))                                                     \
    F(int, inflateReset, (struct stream *))                                                     \
    F(int, inflateEnd, (struct stream *))                                                       \
    F(int, deflateInit2_, (struct stream *, int, int, int, int, int, const char *, int))        \
    F(unsigned long, deflateBound, (struct stream *, unsigned long))                            \
    F(int, deflate, (struct stream *, int))                                                     \
    F(int, deflateEnd, (struct stream *))

#define library_prefix ""
LIBRARY_TABLE

const char *czlib_load(void) { return library_load(NULL, "libz.so.1"); }

// Gives the output twice the room, up to one byte past the limit.
static bool grow(struct stream *stream, unsigned char **base, size_t *capacity, size_t limit) {
    size_t used = (size_t)(stream->next_out - *base);
    size_t larger = *capacity * 2 > limit + 1 ? limit + 1 : *capacity * 2;
    if (larger - used > UINT_MAX) larger = used + UINT_MAX;
    unsigned char *moved = realloc(*base, larger);
    if (!moved) return false;
    *base = moved;
    *capacity = larger;
    stream->next_out = moved + used;
    stream->available_out = (unsigned int)(larger - used);
    return true;
}

int czlib_unpack(const void *input, size_t count, int window, size_t limit, void **output, size_t *size) {
    *output = NULL;
    if (count > UINT_MAX || limit > UINT_MAX - 1) return CZLIB_TOO_LONG;
    struct stream stream;
    memset(&stream, 0, sizeof stream);
    stream.next_in = input;
    stream.available_in = (unsigned int)count;
    if (api.inflateInit2_(&stream, window, api.zlibVersion(), (int)sizeof stream) != OK) return CZLIB_NO_MEMORY;
    size_t capacity = count * 4 < 1024 ? 1024 : count * 4;
    if (capacity > limit + 1) capacity = limit + 1;
    unsigned char *base = malloc(capacity);
    int result = base ? CZLIB_MALFORMED : CZLIB_NO_MEMORY;
    stream.next_out = base;
    stream.available_out = (unsigned int)capacity;
    while (base) {
        int code = api.inflate(&stream, NO_FLUSH);
        size_t used = (size_t)(stream.next_out - base);
        if (used > limit) {
            result = CZLIB_TOO_LONG;
            break;
        }
        if (code == STREAM_END) {
            // gzip may have several members, one behind the other.
            if (stream.available_in > 0 && window > 15 && stream.next_in[0] == 0x1f && api.inflateReset(&stream) == OK) continue;
            if (stream.available_in == 0) result = CZLIB_DONE;
            break;
        }
        if (code != OK && code != BUFFER_ERROR) {
            if (code == MEMORY_ERROR) result = CZLIB_NO_MEMORY;
            break;
        }
        if (stream.available_out > 0) break;
        if (!grow(&stream, &base, &capacity, limit)) {
            result = CZLIB_NO_MEMORY;
            break;
        }
    }
    *size = base ? (size_t)(stream.next_out - base) : 0;
    api.inflateEnd(&stream);
    if (result == CZLIB_DONE) {
        *output = base;
    } else {
        free(base);
    }
    return result;
}

int czlib_pack(const void *input, size_t count, int window, int level, void **output, size_t *size) {
    *output = NULL;
    if (count > UINT_MAX / 2) return CZLIB_TOO_LONG;
    struct stream stream;
    memset(&stream, 0, sizeof stream);
    if (api.deflateInit2_(&stream, level, DEFLATED, window, 8, 0, api.zlibVersion(), (int)sizeof stream) != OK)
        return CZLIB_NO_MEMORY;
    size_t capacity = api.deflateBound(&stream, (unsigned long)count);
    unsigned char *base = malloc(capacity);
    int code = BUFFER_ERROR;
    if (base) {
        stream.next_in = input;
        stream.available_in = (unsigned int)count;
        stream.next_out = base;
        stream.available_out = (unsigned int)capacity;
        code = api.deflate(&stream, FINISH);
        *size = (size_t)(stream.next_out - base);
    }
    api.deflateEnd(&stream);
    if (code != STREAM_END) {
        free(base);
        return CZLIB_NO_MEMORY;
    }
    *output = base;
    return CZLIB_DONE;
}
