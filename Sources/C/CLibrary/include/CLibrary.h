#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// A native library that is opened while the program runs, and a table of the functions that are used of it.
//
// A shim defines FUNCTIONS(F), which gives F a result type, a name and the parameters' types for each function, and
// `library_prefix`, what stands before each name in the library. LIBRARY_TABLE then makes the table `api`, whose members
// are called by name, and `library_load`.

#define LIBRARY_DECLARE(result, name, parameters) result(*name) parameters;

#define LIBRARY_RESOLVE(result, name, parameters)                                                            \
    *(void **)&api.name = dlsym(library, library_prefix #name);                                              \
    if (!api.name) {                                                                                         \
        snprintf(library_problem, sizeof library_problem, "%s has no function %s", path, library_prefix #name); \
        return library_problem;                                                                              \
    }

// library_load returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any
// thread. `needed` is opened before, for everybody to see its symbols; NULL for none.
#define LIBRARY_TABLE                                                           \
    static struct {                                                             \
        FUNCTIONS(LIBRARY_DECLARE)                                              \
    } api;                                                                      \
    static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;            \
    static bool library_is_loaded = false;                                      \
    static char library_problem[1024];                                          \
                                                                                \
    static const char *library_fill(const char *needed, const char *path) {     \
        void *library = NULL;                                                   \
        bool is_ready = !needed || dlopen(needed, RTLD_NOW | RTLD_GLOBAL);      \
        if (is_ready) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);            \
        if (!library) {                                                         \
            snprintf(library_problem, sizeof library_problem, "%s", dlerror()); \
            return library_problem;                                             \
        }                                                                       \
        FUNCTIONS(LIBRARY_RESOLVE)                                              \
        library_is_loaded = true;                                               \
        return NULL;                                                            \
    }                                                                           \
                                                                                \
    static const char *library_load(const char *needed, const char *path) {     \
        pthread_mutex_lock(&library_lock);                                      \
        const char *result = library_is_loaded ? NULL : library_fill(needed, path); \
        pthread_mutex_unlock(&library_lock);                                    \
        return result;                                                          \
    }
