/* What a model answers about histories. */
#include "_native.h"

PyObject *model_score(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *history_arg, *thread_arg, *out_arg;
  if (!PyArg_ParseTuple(args, "O!OOO:model_score", state_of(module)->model_type, &model,
                        &history_arg, &thread_arg, &out_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows histories;
  int32_t threads;
  const Py_buffer *scores;
  if (take_histories(&buffers, history_arg, &histories) == 0 &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (scores = take(&buffers, out_arg, "out", &float32, PyBUF_WRITABLE)))
    CALL(ok, elastirec_model_score, model->handle, &histories, threads, scores->buf,
         (size_t)count_of(scores));
  return finish(&buffers, ok);
}

PyObject *model_recommend(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *history_arg, *excluded_arg, *allowed_arg, *k_arg, *thread_arg, *items_arg, *scores_arg;
  if (!PyArg_ParseTuple(args, "O!OOOOOOO:model_recommend", state_of(module)->model_type, &model,
                        &history_arg, &excluded_arg, &allowed_arg, &k_arg, &thread_arg, &items_arg,
                        &scores_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows histories, storage;
  const elastirec_rows *excluded;
  const uint8_t *allowed;
  int32_t k, threads;
  const Py_buffer *items, *scores;
  if (take_histories(&buffers, history_arg, &histories) == 0 &&
      take_optional_rows(&buffers, excluded_arg, "excluded", histories.count, &storage,
                         &excluded) == 0 &&
      take_allowed(&buffers, allowed_arg, model->item_count, &allowed) == 0 &&
      take_int32(k_arg, "k", 1, &k) == 0 &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (items = take_output(&buffers, items_arg, "out_items", &int32, histories.count, k)) &&
      (scores = take_output(&buffers, scores_arg, "out_scores", &float32, histories.count, k)))
    CALL(ok, elastirec_model_recommend, model->handle, &histories, excluded, allowed, k, threads,
         items->buf, scores->buf);
  return finish(&buffers, ok);
}

/* Takes the trained sizes to rank with; None gives NULL, for the whole model alone. */
static int take_sizes(Buffers *buffers, PyObject *object, const int64_t **sizes, int64_t *count) {
  *sizes = NULL;
  *count = 0;
  if (object == Py_None) return 0;
  const Py_buffer *view = take_vector(buffers, object, "sizes", &int64);
  if (!view) return -1;
  *sizes = view->buf;
  *count = count_of(view);
  if (*count > 0) return 0;
  PyErr_SetString(PyExc_ValueError, "sizes must be None or have at least 1 entry, got 0");
  return -1;
}

/* Takes an array to fill with `lists` times rows x columns entries. */
static const Py_buffer *take_lists(Buffers *buffers, PyObject *object, const char *name,
                                   int64_t lists, int64_t rows, int32_t columns) {
  int64_t all;
  if (!__builtin_mul_overflow(lists, rows, &all))
    return take_output(buffers, object, name, &int32, all, columns);
  PyErr_Format(PyExc_ValueError, "%s would have too many entries", name);
  return NULL;
}

/* Takes the array for the k best items of each row, which is None where k is 0. */
static int take_top(Buffers *buffers, PyObject *object, int64_t lists, int64_t rows, int32_t k,
                    int32_t **top) {
  *top = NULL;
  if (k == 0) return object == Py_None ? 0 : raise_type("out_top", "None where k is 0", object);
  const Py_buffer *view = take_lists(buffers, object, "out_top", lists, rows, k);
  if (view) *top = view->buf;
  return view ? 0 : -1;
}

PyObject *model_rank(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *history_arg, *target_arg, *excluded_arg, *candidate_arg, *k_arg, *size_arg;
  PyObject *thread_arg, *ranks_arg, *top_arg;
  if (!PyArg_ParseTuple(args, "O!OOOOOOOOO:model_rank", state_of(module)->model_type, &model,
                        &history_arg, &target_arg, &excluded_arg, &candidate_arg, &k_arg,
                        &size_arg, &thread_arg, &ranks_arg, &top_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows histories, targets, storage[2];
  const elastirec_rows *excluded, *candidates;
  const int64_t *sizes;
  int64_t size_count;
  int32_t k, threads, *top;
  const Py_buffer *ranks;
  if (take_histories(&buffers, history_arg, &histories) == 0 &&
      take_rows(&buffers, target_arg, "targets", &targets) == 0 &&
      check_row_count("targets", &targets, histories.count) == 0 &&
      take_optional_rows(&buffers, excluded_arg, "excluded", histories.count, &storage[0],
                         &excluded) == 0 &&
      take_optional_rows(&buffers, candidate_arg, "candidates", histories.count, &storage[1],
                         &candidates) == 0 &&
      take_int32(k_arg, "k", 0, &k) == 0 &&
      take_sizes(&buffers, size_arg, &sizes, &size_count) == 0 &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (ranks = take_lists(&buffers, ranks_arg, "out_ranks", sizes ? size_count : 1,
                          targets.item_total, 1)) &&
      take_top(&buffers, top_arg, sizes ? size_count : 1, histories.count, k, &top) == 0)
    CALL(ok, elastirec_model_rank, model->handle, &histories, &targets, excluded, candidates, k,
         sizes, (size_t)size_count, threads, ranks->buf, top);
  return finish(&buffers, ok);
}

PyObject *model_similar(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *queries_arg, *k_arg, *thread_arg, *items_arg, *cosines_arg;
  if (!PyArg_ParseTuple(args, "O!OOOOO:model_similar", state_of(module)->model_type, &model,
                        &queries_arg, &k_arg, &thread_arg, &items_arg, &cosines_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  int32_t k, threads;
  const Py_buffer *queries, *items, *cosines;
  if ((queries = take_vector(&buffers, queries_arg, "items", &int32)) &&
      take_int32(k_arg, "k", 1, &k) == 0 &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (items = take_output(&buffers, items_arg, "out_items", &int32, count_of(queries), k)) &&
      (cosines = take_output(&buffers, cosines_arg, "out_cosines", &float32, count_of(queries),
                             k)))
    CALL(ok, elastirec_model_similar, model->handle, queries->buf, count_of(queries), k, threads,
         items->buf, cosines->buf);
  return finish(&buffers, ok);
}
