#pragma once

#include <stdint.h>

// The part of LightGBM's C API that Aerie uses, reached by dlopen. Functions that return int return 0 for success;
// otherwise clgbm_error tells why, on the same thread. Nothing may be called before clgbm_load has returned NULL.

typedef void *clgbm_handle;

// Returns NULL, or what is wrong; the text lives as long as the process. The first success lasts; any thread.
const char *clgbm_load(const char *path);
const char *clgbm_error(void);
// Keeps the library's messages of the calling thread off the standard streams.
void clgbm_be_silent(void);
// The names and aliases of all parameters as JSON. `*needed` counts the closing zero.
int clgbm_parameter_aliases(int64_t capacity, int64_t *needed, char *text);

// `values` are doubles, row-major.
int clgbm_dataset_create(
    const double *values, int32_t rows, int32_t columns, const char *parameters, clgbm_handle reference,
    clgbm_handle *dataset);
int clgbm_dataset_set_floats(clgbm_handle dataset, const char *field, const float *values, int32_t count);
int clgbm_dataset_set_feature_names(clgbm_handle dataset, const char *const *names, int32_t count);
int clgbm_dataset_free(clgbm_handle dataset);

int clgbm_booster_create(clgbm_handle dataset, const char *parameters, clgbm_handle *booster);
int clgbm_booster_from_text(const char *model, int *iterations, clgbm_handle *booster);
int clgbm_booster_free(clgbm_handle booster);
int clgbm_booster_add_validation(clgbm_handle booster, clgbm_handle dataset);
int clgbm_booster_update(clgbm_handle booster, int *finished);
int clgbm_booster_iteration(clgbm_handle booster, int *iteration);
int clgbm_booster_feature_count(clgbm_handle booster, int *count);
int clgbm_booster_metric_count(clgbm_handle booster, int *count);
// `capacity` is the room in each of `count` texts; `*needed` is the room that the longest wants.
int clgbm_booster_metric_names(
    clgbm_handle booster, int count, int *written, uint64_t capacity, uint64_t *needed, char **names);
// `data` is 0 for the training rows and 1 for the first validation rows.
int clgbm_booster_metrics(clgbm_handle booster, int data, int *count, double *values);
int clgbm_booster_text(
    clgbm_handle booster, int iterations, int64_t capacity, int64_t *needed, char *text);
int clgbm_booster_gain(clgbm_handle booster, int iterations, double *gains);
int clgbm_booster_prediction_count(clgbm_handle booster, int rows, int64_t *count);
int clgbm_booster_predict(
    clgbm_handle booster, const double *values, int32_t rows, int32_t columns, const char *parameters,
    int64_t *count, double *predictions);
