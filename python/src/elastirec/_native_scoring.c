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

/* Takes the array for the k best items of each row, which is None where k is 0. */
static int take_top(Buffers *buffers, PyObject *object, int64_t rows, int32_t k, int32_t **top) {
  *top = NULL;
  if (k == 0) return object == Py_None ? 0 : raise_type("out_top", "None where k is 0", object);
  const Py_buffer *view = take_output(buffers, object, "out_top", &int32, rows, k);
  if (view) *top = view->buf;
  return view ? 0 : -1;
}

PyObject *model_rank(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *history_arg, *target_arg, *excluded_arg, *candidate_arg, *k_arg, *thread_arg;
  PyObject *ranks_arg, *top_arg;
  if (!PyArg_ParseTuple(args, "O!OOOOOOOO:model_rank", state_of(module)->model_type, &model,
                        &history_arg, &target_arg, &excluded_arg, &candidate_arg, &k_arg,
                        &thread_arg, &ranks_arg, &top_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows histories, targets, storage[2];
  const elastirec_rows *excluded, *candidates;
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
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (ranks = take_output(&buffers, ranks_arg, "out_ranks", &int32, targets.item_total, 1)) &&
      take_top(&buffers, top_arg, histories.count, k, &top) == 0)
    CALL(ok, elastirec_model_rank, model->handle, &histories, &targets, excluded, candidates, k,
         threads, ranks->buf, top);
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
