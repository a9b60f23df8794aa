/* The C interface of Elastirec. Every rule that holds for all functions is written here, once.
 *
 * Errors     Functions that can fail return elastirec_status. ELASTIREC_OK is 0. On any other value
 *            the function has no effect that a caller can see, except as documented, and *error (if
 *            not NULL) holds the status and a message.
 * Ownership  The caller frees what a *_create function returns, with the matching *_free. Pointers
 *            passed in are only used during the call. Buffers to fill are the caller's.
 * Threads    Functions that take a const handle may run at once. A function that takes a non-const
 *            handle must have that handle, and the model below it, to itself. `threads` is the
 *            largest number of cores to use; 0 or less means all that the process may use.
 * Numbers    Items are 0-based indices below the model's item count. Histories run oldest first.
 * Versions   ELASTIREC_ABI_VERSION changes when a caller must be compiled again.
 */
#ifndef ELASTIREC_H
#define ELASTIREC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ELASTIREC_ABI_VERSION 3

typedef int32_t elastirec_status;
#define ELASTIREC_OK 0
#define ELASTIREC_INVALID_ARGUMENT 1 /* a value that the caller passed cannot be used */
#define ELASTIREC_DIVERGED 2         /* training met NaN or infinity; the message names the tensor */
#define ELASTIREC_OUT_OF_MEMORY 3
#define ELASTIREC_INTERNAL 4 /* a bug in the library */

typedef struct elastirec_error {
  elastirec_status code;
  char message[508]; /* UTF-8, ends with a zero */
} elastirec_error;

typedef struct elastirec_model elastirec_model;     /* opaque: a network and its weights */
typedef struct elastirec_trainer elastirec_trainer; /* opaque: data, optimiser and progress */

/* Rows of items in compressed-sparse-row form: row r is items[offsets[r] ..< offsets[r + 1]].
 * offsets has count + 1 entries, never decreasing, within 0 ... item_total. users (or NULL) says
 * whose history each row is, for models whose configuration has "users": a number below it, or -1
 * for somebody whom the model does not know. NULL stands for the rows' numbers in training, and for
 * nobody known afterwards. */
typedef struct elastirec_rows {
  const int32_t *items;
  int64_t item_total;
  const int64_t *offsets;
  int64_t count;
  const int32_t *users;
} elastirec_rows;

int32_t elastirec_abi_version(void);

/* Writes a JSON object (version, isa, supported, bfloat16, threads, blas, blas_core) as a zero-terminated
 * string; bfloat16 is whether the processor multiplies such numbers. *needed [out] is the length with the zero; nothing is written where capacity is smaller. */
elastirec_status elastirec_library_describe(char *text, size_t capacity, size_t *needed,
                                            elastirec_error *error);

/* Makes a model with fresh weights from a JSON object, e.g. {"model": "sasrec", "items": 3416,
 * "dim": 64, "seed": 0}. Keys that are missing take the model's defaults; unknown keys are errors. */
elastirec_status elastirec_model_create(const char *json, size_t length, elastirec_model **model,
                                        elastirec_error *error);
void elastirec_model_free(elastirec_model *model);

/* Writes a JSON object: "configuration", and "parameters", a list of {"name", "shape"} in a stable
 * order. Capacity and needed as in elastirec_library_describe. */
elastirec_status elastirec_model_describe(const elastirec_model *model, char *text, size_t capacity,
                                          size_t *needed, elastirec_error *error);

/* Copies one parameter out of or into the model. count must be the product of its shape; values
 * that go in must be finite. */
elastirec_status elastirec_model_get_parameter(const elastirec_model *model, const char *name,
                                               float *values, size_t count, elastirec_error *error);
elastirec_status elastirec_model_set_parameter(elastirec_model *model, const char *name,
                                               const float *values, size_t count,
                                               elastirec_error *error);

/* Sets the scores, one for each item, that rows with an empty history get. Zero at first. */
elastirec_status elastirec_model_set_fallback(elastirec_model *model, const float *scores,
                                              size_t count, elastirec_error *error);

/* Sets what is known about the items, for models whose configuration has "features": the values of
 * each item, a row of numbers below the feature's "values" for each item, or the vectors of all
 * items, [items, "width"] finite numbers. Items have no values, and vectors are zero, until then. */
elastirec_status elastirec_model_set_feature_values(elastirec_model *model, int32_t feature,
                                                    const elastirec_rows *rows,
                                                    elastirec_error *error);
elastirec_status elastirec_model_set_feature_vectors(elastirec_model *model, int32_t feature,
                                                     const float *vectors, size_t count,
                                                     elastirec_error *error);

/* Writes the scores of all items after each history, [histories.count, item count]. */
elastirec_status elastirec_model_score(const elastirec_model *model,
                                       const elastirec_rows *histories, int32_t threads,
                                       float *scores, size_t score_count, elastirec_error *error);

/* Writes the k best items of each history and their scores, [histories.count, k], best first, equal
 * scores by lower index. excluded (or NULL) names items to leave out, a row for each history;
 * allowed (or NULL) is a byte for each item, 0 leaves the item out everywhere. Rows with fewer
 * than k items left end in item -1 with score -infinity. */
elastirec_status elastirec_model_recommend(const elastirec_model *model,
                                           const elastirec_rows *histories,
                                           const elastirec_rows *excluded, const uint8_t *allowed,
                                           int32_t k, int32_t threads, int32_t *items,
                                           float *scores, elastirec_error *error);

/* Writes the 1-based rank of each target, in the order of targets->items, among the candidates
 * (NULL: all items) that are not excluded (NULL: none). A target always takes part and never
 * excludes itself; equal scores rank by lower index. Where k > 0, top_items [histories.count, k] gets the
 * best k of the same ranking over all items as recommend does (candidates must be NULL then). Sizes
 * (or NULL and 0) are widths of a nested model, ascending: ranks and top_items are written for each
 * of them, one after another. */
elastirec_status elastirec_model_rank(const elastirec_model *model, const elastirec_rows *histories,
                                      const elastirec_rows *targets, const elastirec_rows *excluded,
                                      const elastirec_rows *candidates, int32_t k,
                                      const int64_t *sizes, size_t size_count, int32_t threads,
                                      int32_t *ranks, int32_t *top_items, elastirec_error *error);

/* Makes a model of its own from the first `size` channels of a nested model; its configuration is
 * what elastirec_model_describe says. Where keep_features is 0, the item table that features make
 * becomes the model's own parameters; else it has the same features. */
elastirec_status elastirec_model_slice(const elastirec_model *model, int64_t size,
                                       int32_t keep_features, elastirec_model **small,
                                       elastirec_error *error);

/* Writes the k items most alike to each of count items, by cosine of their embeddings, without the
 * item itself: [count, k], padded as recommend pads. */
elastirec_status elastirec_model_similar(const elastirec_model *model, const int32_t *items,
                                         int64_t count, int32_t k, int32_t threads,
                                         int32_t *similar, float *cosines, elastirec_error *error);

/* The numbers of one person's stream: the encoded state, [dim], then what the model remembers. All
 * zeros stand for nothing read yet. Models that cannot stream refuse with
 * ELASTIREC_INVALID_ARGUMENT. */
elastirec_status elastirec_model_stream_size(const elastirec_model *model, int64_t *size,
                                             elastirec_error *error);

/* Advances count streams, [count, size], by one item each, in place. */
elastirec_status elastirec_model_stream_advance(const elastirec_model *model, float *streams,
                                                int64_t count, int64_t size, const int32_t *items,
                                                int32_t threads, elastirec_error *error);

/* What elastirec_model_recommend does, after count streams instead of histories. Streams that have
 * read nothing get what an empty history gets. */
elastirec_status elastirec_model_stream_recommend(const elastirec_model *model,
                                                  const float *streams, int64_t count, int64_t size,
                                                  const elastirec_rows *excluded,
                                                  const uint8_t *allowed, int32_t k,
                                                  int32_t threads, int32_t *items, float *scores,
                                                  elastirec_error *error);

/* Writes the streams that the model has which elastirec_model_slice makes at `width`, [count,
 * small_size]. */
elastirec_status elastirec_model_stream_slice(const elastirec_model *model, const float *streams,
                                              int64_t count, int64_t size, int64_t width,
                                              float *small, int64_t small_size,
                                              elastirec_error *error);

typedef struct elastirec_cost {
  int64_t parameters; /* trained numbers */
  int64_t macs;       /* multiply-adds to encode one history and take its state */
  int64_t bytes;      /* of the weights in memory */
} elastirec_cost;

elastirec_status elastirec_model_cost(const elastirec_model *model, int64_t length,
                                      elastirec_cost *cost, elastirec_error *error);

/* Makes a trainer that holds a copy of the histories and keeps the model alive. options is a JSON
 * object with defaults as in elastirec_model_create, e.g. {"loss": "softmax", "batch_size": 128}. */
elastirec_status elastirec_trainer_create(elastirec_model *model, const char *options,
                                          size_t length, const elastirec_rows *histories,
                                          elastirec_trainer **trainer, elastirec_error *error);
void elastirec_trainer_free(elastirec_trainer *trainer);

typedef struct elastirec_progress {
  int64_t epoch;  /* 1-based number of the epoch that the last step belonged to */
  int64_t step;   /* steps taken in this epoch */
  int64_t steps;  /* steps that this epoch has */
  int64_t tokens; /* positions trained on in this epoch so far */
  double loss;    /* mean loss a position, this epoch so far; 0 before the first step is over */
  int32_t finished; /* 1 when this epoch is over; the next call begins the next one */
} elastirec_progress;

/* Trains until the epoch is over or `seconds` have passed; a step that takes longer is left in its
 * middle, for the next call to go on with. 0 seconds train one step. After
 * ELASTIREC_DIVERGED the weights are those before the step that failed. */
elastirec_status elastirec_trainer_advance(elastirec_trainer *trainer, double seconds,
                                           int32_t threads, elastirec_progress *progress,
                                           elastirec_error *error);

#ifdef __cplusplus
}
#endif
#endif
