#include "CLightGBM.h"
#include "CLibrary.h"

typedef void *h;

enum { FLOAT32 = 0, FLOAT64 = 1, ROW_MAJOR = 1, PREDICT_NORMAL = 0, IMPORTANCE_GAIN = 1, ALL_ITERATIONS = -1 };

// Every function that is used: result type, name, parameter types.
#define FUNCTIONS(F)                                                                                              \
    F(const char *, GetLastError, (void))                                                                        \
    F(int, RegisterLogCallback, (void (*)(const char *)))                                                        \
    F(int, DumpParamAliases, (int64_t, int64_t *, char *))                                                       \
    F(int, DatasetCreateFromMat, (const void *, int, int32_t, int32_t, int, const char *, h, h *))               \
    F(int, DatasetSetField, (h, const char *, const void *, int, int))                                           \
    F(int, DatasetSetFeatureNames, (h, const char **, int))                                                      \
    F(int, DatasetFree, (h))                                                                                     \
    F(int, BoosterCreate, (h, const char *, h *))                                                                \
    F(int, BoosterLoadModelFromString, (const char *, int *, h *))                                               \
    F(int, BoosterFree, (h))                                                                                     \
    F(int, BoosterAddValidData, (h, h))                                                                          \
    F(int, BoosterUpdateOneIter, (h, int *))                                                                     \
    F(int, BoosterGetCurrentIteration, (h, int *))                                                               \
    F(int, BoosterGetNumFeature, (h, int *))                                                                     \
    F(int, BoosterGetEvalCounts, (h, int *))                                                                     \
    F(int, BoosterGetEvalNames, (h, int, int *, size_t, size_t *, char **))                                      \
    F(int, BoosterGetEval, (h, int, int *, double *))                                                            \
    F(int, BoosterSaveModelToString, (h, int, int, int, int64_t, int64_t *, char *))                             \
    F(int, BoosterFeatureImportance, (h, int, int, double *))                                                    \
    F(int, BoosterCalcNumPredict, (h, int, int, int, int, int64_t *))                                            \
    F(int, BoosterPredictForMat,                                                                                 \
      (h, const void *, int, int32_t, int32_t, int, int, int, int, const char *, int64_t *, double *))

#define library_prefix "LGBM_"
LIBRARY_TABLE

const char *clgbm_load(const char *path) { return library_load(NULL, path); }

static void ignore(const char *message) { (void)message; }

const char *clgbm_error(void) { return api.GetLastError(); }
void clgbm_be_silent(void) { api.RegisterLogCallback(ignore); }
int clgbm_parameter_aliases(int64_t capacity, int64_t *needed, char *text) {
    return api.DumpParamAliases(capacity, needed, text);
}

int clgbm_dataset_create(
    const double *values, int32_t rows, int32_t columns, const char *parameters, h reference, h *dataset) {
    return api.DatasetCreateFromMat(values, FLOAT64, rows, columns, ROW_MAJOR, parameters, reference, dataset);
}
int clgbm_dataset_set_floats(h dataset, const char *field, const float *values, int32_t count) {
    return api.DatasetSetField(dataset, field, values, count, FLOAT32);
}
int clgbm_dataset_set_feature_names(h dataset, const char *const *names, int32_t count) {
    return api.DatasetSetFeatureNames(dataset, (const char **)names, count);
}
int clgbm_dataset_free(h dataset) { return api.DatasetFree(dataset); }

int clgbm_booster_create(h dataset, const char *parameters, h *booster) {
    return api.BoosterCreate(dataset, parameters, booster);
}
int clgbm_booster_from_text(const char *model, int *iterations, h *booster) {
    return api.BoosterLoadModelFromString(model, iterations, booster);
}
int clgbm_booster_free(h booster) { return api.BoosterFree(booster); }
int clgbm_booster_add_validation(h booster, h dataset) { return api.BoosterAddValidData(booster, dataset); }
int clgbm_booster_update(h booster, int *finished) { return api.BoosterUpdateOneIter(booster, finished); }
int clgbm_booster_iteration(h booster, int *iteration) { return api.BoosterGetCurrentIteration(booster, iteration); }
int clgbm_booster_feature_count(h booster, int *count) { return api.BoosterGetNumFeature(booster, count); }
int clgbm_booster_metric_count(h booster, int *count) { return api.BoosterGetEvalCounts(booster, count); }
int clgbm_booster_metric_names(
    h booster, int count, int *written, uint64_t capacity, uint64_t *needed, char **names) {
    size_t longest = 0;
    int status = api.BoosterGetEvalNames(booster, count, written, capacity, &longest, names);
    *needed = longest;
    return status;
}
int clgbm_booster_metrics(h booster, int data, int *count, double *values) {
    return api.BoosterGetEval(booster, data, count, values);
}
int clgbm_booster_text(h booster, int iterations, int64_t capacity, int64_t *needed, char *text) {
    return api.BoosterSaveModelToString(booster, 0, iterations, IMPORTANCE_GAIN, capacity, needed, text);
}
int clgbm_booster_gain(h booster, int iterations, double *gains) {
    return api.BoosterFeatureImportance(booster, iterations, IMPORTANCE_GAIN, gains);
}
int clgbm_booster_prediction_count(h booster, int rows, int64_t *count) {
    return api.BoosterCalcNumPredict(booster, rows, PREDICT_NORMAL, 0, ALL_ITERATIONS, count);
}
int clgbm_booster_predict(
    h booster, const double *values, int32_t rows, int32_t columns, const char *parameters, int64_t *count,
    double *predictions) {
    return api.BoosterPredictForMat(
        booster, values, FLOAT64, rows, columns, ROW_MAJOR, PREDICT_NORMAL, 0, ALL_ITERATIONS, parameters, count,
        predictions);
}
