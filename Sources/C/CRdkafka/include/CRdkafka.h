#pragma once

#include <stddef.h>
#include <stdint.h>

// The part of librdkafka 2 that Aerie uses, a consumer of one topic in a group, reached by dlopen. Nothing else may be
// called before crdkafka_load has returned NULL. One thread polls a consumer and closes it; the others may be called
// from any.

typedef void *crdkafka;
typedef void *crdkafka_handle;

typedef struct {
    // 0 for a message, else librdkafka's number of the problem, of which `payload` is the text.
    int32_t error;
    int32_t partition;
    int64_t offset;
    // Milliseconds since 1970 by the broker or the producer; -1 if neither says.
    int64_t timestamp;
    // NULL for a message without a value.
    const void *payload;
    size_t size;
} crdkafka_message;

// Where a partition is to be read from, when it is given to this consumer; -1 for its beginning. Called by the thread
// that polls.
typedef int64_t (*crdkafka_position)(void *context, int32_t partition);
// A partition is taken away. Likewise.
typedef void (*crdkafka_revoked)(void *context, int32_t partition);
// Something is wrong that is tried again, such as brokers that are away. Likewise.
typedef void (*crdkafka_failed)(void *context, const char *reason);

// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *crdkafka_load(void);

// Joins the group that the settings name. NULL after an error, which is then in `problem`.
crdkafka crdkafka_open(const char *const *names, const char *const *values, int count, const char *topic,
                       crdkafka_position position, crdkafka_revoked revoked, crdkafka_failed failed, void *context,
                       char *problem, size_t problem_size);

// Waits for a message or a problem. Returns NULL if there was none in time, else what is to be given back to
// crdkafka_release once the message has been used.
crdkafka_handle crdkafka_poll(crdkafka consumer, int timeout_ms, crdkafka_message *message);
void crdkafka_release(crdkafka_handle handle);

// Tells the group how far a partition has been read, without waiting. For those who look at the group; this consumer
// itself begins where `position` says.
void crdkafka_commit(crdkafka consumer, int32_t partition, int64_t next);

// The offset after the last message of a partition as last heard from the broker; -1 if it was not heard of.
int64_t crdkafka_end(crdkafka consumer, int32_t partition);

// Leaves the group. Returns 1 once it has, 0 after `timeout_ms`: the group then finds out by itself.
int crdkafka_leave(crdkafka consumer, int timeout_ms);

// Frees a consumer that was told to leave. Takes some seconds if it could not.
void crdkafka_free(crdkafka consumer);
