#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdint.h>

/// Calls of malloc, calloc, realloc and aligned_alloc by the whole process so far, on every thread.
uint64_t allocation_count(void);

#endif
