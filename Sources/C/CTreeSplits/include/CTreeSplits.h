#pragma once

#include <stdint.h>

// Trees that 64 rows go through together. Places are bytes from the start of the work memory, which is aligned to 64.

typedef struct {
    uint16_t values;          // a byte for each row
    uint16_t left, right;     // what the two sides have chosen, a byte for each row
    uint16_t result;          // where this split's choice goes
    int8_t bound;             // a row goes left where its byte is below
} ctree_split;

// The splits in their order.
void ctree_choose(const ctree_split *splits, long count, void *work);
