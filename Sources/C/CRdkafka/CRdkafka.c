#include "CRdkafka.h"
#include "CLibrary.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void *p;

// As the library lays them out.
struct message {
    int32_t error;
    p topic;
    int32_t partition;
    void *payload;
    size_t size;
    void *key;
    size_t key_size;
    int64_t offset;
    p own;
};

struct partition {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata;
    size_t metadata_size;
    void *opaque;
    int32_t error;
    p own;
};

struct partitions {
    int count, capacity;
    struct partition *elements;
};

enum { CONSUMER = 1, OK = 0, ASSIGN = -175, OFFSET_BEGINNING = -2, DESTROY_WITHOUT_CLOSE = 8 };

typedef void (*rebalance_callback)(p, int32_t, struct partitions *, void *);
typedef void (*error_callback)(p, int, const char *, void *);

// Every function that is used: result type, name, parameter types.
#define FUNCTIONS(F)                                                         \
    F(p, conf_new, (void))                                                   \
    F(int, conf_set, (p, const char *, const char *, char *, size_t))        \
    F(void, conf_destroy, (p))                                               \
    F(void, conf_set_opaque, (p, void *))                                    \
    F(void, conf_set_rebalance_cb, (p, rebalance_callback))                  \
    F(void, conf_set_error_cb, (p, error_callback))                          \
    F(p, new, (int, p, char *, size_t))                                      \
    F(int32_t, poll_set_consumer, (p))                                       \
    F(int32_t, subscribe, (p, const struct partitions *))                    \
    F(struct message *, consumer_poll, (p, int))                             \
    F(void, message_destroy, (struct message *))                             \
    F(int64_t, message_timestamp, (const struct message *, int *))           \
    F(const char *, message_errstr, (const struct message *))                \
    F(const char *, err2str, (int32_t))                                      \
    F(struct partitions *, topic_partition_list_new, (int))                  \
    F(struct partition *, topic_partition_list_add, (struct partitions *, const char *, int32_t)) \
    F(void, topic_partition_list_destroy, (struct partitions *))             \
    F(int32_t, assign, (p, const struct partitions *))                       \
    F(p, incremental_assign, (p, const struct partitions *))                 \
    F(p, incremental_unassign, (p, const struct partitions *))               \
    F(void, error_destroy, (p))                                              \
    F(const char *, rebalance_protocol, (p))                                 \
    F(int32_t, commit, (p, const struct partitions *, int))                  \
    F(int32_t, get_watermark_offsets, (p, const char *, int32_t, int64_t *, int64_t *)) \
    F(p, queue_get_consumer, (p))                                            \
    F(void, queue_destroy, (p))                                              \
    F(p, consumer_close_queue, (p, p))                                       \
    F(int, consumer_closed, (p))                                             \
    F(void, destroy, (p))                                                    \
    F(void, destroy_flags, (p, int))

#define library_prefix "rd_kafka_"
LIBRARY_TABLE

struct consumer {
    p client;
    char *topic;
    crdkafka_position position;
    crdkafka_revoked revoked;
    crdkafka_failed failed;
    void *context;
};

const char *crdkafka_load(void) { return library_load(NULL, "librdkafka.so.1"); }

static void rebalanced(p client, int32_t what, struct partitions *list, void *opaque) {
    struct consumer *consumer = opaque;
    const char *protocol = api.rebalance_protocol(client);
    int is_incremental = protocol && !strcmp(protocol, "COOPERATIVE");
    p error = NULL;
    if (what == ASSIGN) {
        for (int i = 0; i < list->count; i++) {
            int64_t next = consumer->position(consumer->context, list->elements[i].partition);
            list->elements[i].offset = next < 0 ? OFFSET_BEGINNING : next;
        }
        if (is_incremental)
            error = api.incremental_assign(client, list);
        else
            api.assign(client, list);
    } else {
        for (int i = 0; i < list->count; i++) consumer->revoked(consumer->context, list->elements[i].partition);
        if (is_incremental)
            error = api.incremental_unassign(client, list);
        else
            api.assign(client, NULL);
    }
    if (error) api.error_destroy(error);
}

static void failed(p client, int code, const char *reason, void *opaque) {
    struct consumer *consumer = opaque;
    (void)client, (void)code;
    consumer->failed(consumer->context, reason);
}

static void release(struct consumer *consumer) {
    free(consumer->topic);
    free(consumer);
}

crdkafka crdkafka_open(const char *const *names, const char *const *values, int count, const char *topic,
                       crdkafka_position position, crdkafka_revoked revoked, crdkafka_failed report, void *context,
                       char *problem, size_t problem_size) {
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer) return NULL;
    consumer->topic = strdup(topic);
    consumer->position = position;
    consumer->revoked = revoked;
    consumer->failed = report;
    consumer->context = context;
    p conf = api.conf_new();
    int is_wrong = 0;
    for (int i = 0; i < count && !is_wrong; i++)
        is_wrong = api.conf_set(conf, names[i], values[i], problem, problem_size) != OK;
    if (!is_wrong) {
        api.conf_set_opaque(conf, consumer);
        api.conf_set_rebalance_cb(conf, rebalanced);
        api.conf_set_error_cb(conf, failed);
        consumer->client = api.new(CONSUMER, conf, problem, problem_size);
    }
    if (!consumer->client) {
        api.conf_destroy(conf);
        release(consumer);
        return NULL;
    }
    api.poll_set_consumer(consumer->client);
    struct partitions *topics = api.topic_partition_list_new(1);
    api.topic_partition_list_add(topics, topic, -1);
    int32_t error = api.subscribe(consumer->client, topics);
    api.topic_partition_list_destroy(topics);
    if (error) {
        snprintf(problem, problem_size, "%s", api.err2str(error));
        api.destroy(consumer->client);
        release(consumer);
        return NULL;
    }
    return consumer;
}

crdkafka_handle crdkafka_poll(crdkafka handle, int timeout_ms, crdkafka_message *message) {
    struct consumer *consumer = handle;
    struct message *found = api.consumer_poll(consumer->client, timeout_ms);
    if (!found) return NULL;
    int kind = 0;
    message->error = found->error;
    message->partition = found->partition;
    message->offset = found->offset;
    message->timestamp = found->error ? -1 : api.message_timestamp(found, &kind);
    message->payload = found->error ? (const void *)api.message_errstr(found) : found->payload;
    message->size = found->error ? strlen(message->payload) : found->size;
    return found;
}

void crdkafka_release(crdkafka_handle handle) { api.message_destroy(handle); }

void crdkafka_commit(crdkafka handle, int32_t partition, int64_t next) {
    struct consumer *consumer = handle;
    struct partitions *list = api.topic_partition_list_new(1);
    api.topic_partition_list_add(list, consumer->topic, partition)->offset = next;
    api.commit(consumer->client, list, 1);
    api.topic_partition_list_destroy(list);
}

int64_t crdkafka_end(crdkafka handle, int32_t partition) {
    struct consumer *consumer = handle;
    int64_t low = -1, high = -1;
    return api.get_watermark_offsets(consumer->client, consumer->topic, partition, &low, &high) ? -1 : high;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// The library's own waiting form of this has no end while a commit is under way to a broker that answers no more.
int crdkafka_leave(crdkafka handle, int timeout_ms) {
    struct consumer *consumer = handle;
    p queue = api.queue_get_consumer(consumer->client);
    p error = api.consumer_close_queue(consumer->client, queue);
    if (error) api.error_destroy(error);
    // Partitions are handed back by the callback, which whoever polls calls.
    int64_t end = now_ms() + timeout_ms;
    while (!api.consumer_closed(consumer->client) && now_ms() < end) {
        struct message *left = api.consumer_poll(consumer->client, 20);
        if (left) api.message_destroy(left);
    }
    api.queue_destroy(queue);
    return api.consumer_closed(consumer->client);
}

void crdkafka_free(crdkafka handle) {
    struct consumer *consumer = handle;
    api.destroy_flags(consumer->client, DESTROY_WITHOUT_CLOSE);
    release(consumer);
}
