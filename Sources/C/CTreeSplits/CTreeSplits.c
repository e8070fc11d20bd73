#include "CTreeSplits.h"

typedef int8_t rows __attribute__((vector_size(64)));

// C, as Swift cannot compile a function for several generations of processors and choose among them when it runs. A
// split is some 36 instructions with vectors of 128 bits, 14 with 256 and 9 with 512.
#if defined(__x86_64__) && defined(__linux__)
__attribute__((target_clones("arch=x86-64-v3", "default")))
#endif
void ctree_choose(const ctree_split *splits, long count, void *work) {
    char *memory = work;
    for (const ctree_split *split = splits; split < splits + count; split++) {
        rows left = *(const rows *)(memory + split->left);
        rows right = *(const rows *)(memory + split->right);
        rows goes_left = *(const rows *)(memory + split->values) < split->bound;
        *(rows *)(memory + split->result) = (left & goes_left) | (right & ~goes_left);
    }
}
