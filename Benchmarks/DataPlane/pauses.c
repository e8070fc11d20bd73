/* How long the machine itself stands still: reads the clock without end on one processor and tells the gaps.
   usage: pauses PROCESSOR SECONDS
   prints: the share of the time in gaps of more than 1 ms, in percent, and the longest gap in milliseconds */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(atoi(words[1]), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) return 1;
    double begin = milliseconds(), end = begin + atof(words[2]) * 1e3, last = begin, paused = 0, longest = 0;
    while (last < end) {
        double now = milliseconds(), gap = now - last;
        if (gap > 1) paused += gap;
        if (gap > longest) longest = gap;
        last = now;
    }
    printf("%.3f %.2f\n", 100 * paused / (last - begin), longest);
    return 0;
}
