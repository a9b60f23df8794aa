/* What a model knows of people who are followed item by item. */
#include "_native.h"

PyObject *model_stream_size(PyObject *module, PyObject *args) {
  Model *model;
  if (!PyArg_ParseTuple(args, "O!:model_stream_size", state_of(module)->model_type, &model))
    return NULL;
  int64_t size = 0;
  int ok;
  CALL(ok, elastirec_model_stream_size, model->handle, &size);
  return ok ? PyLong_FromLongLong(size) : NULL;
}

PyObject *model_stream_advance(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *streams_arg, *items_arg, *thread_arg;
  if (!PyArg_ParseTuple(args, "O!OOO:model_stream_advance", state_of(module)->model_type, &model,
                        &streams_arg, &items_arg, &thread_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  int32_t threads;
  const Py_buffer *streams, *items;
  if ((streams = take_matrix(&buffers, streams_arg, "streams", &float32, PyBUF_WRITABLE)) &&
      (items = take_vector(&buffers, items_arg, "items", &int32)) &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0) {
    if (count_of(items) == streams->shape[0])
      CALL(ok, elastirec_model_stream_advance, model->handle, streams->buf, streams->shape[0],
           streams->shape[1], items->buf, threads);
    else
      PyErr_Format(PyExc_ValueError, "items must have %zd entries, one a stream, got %lld",
                   streams->shape[0], (long long)count_of(items));
  }
  return finish(&buffers, ok);
}

PyObject *model_stream_recommend(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *streams_arg, *excluded_arg, *allowed_arg, *k_arg, *thread_arg, *items_arg, *scores_arg;
  if (!PyArg_ParseTuple(args, "O!OOOOOOO:model_stream_recommend", state_of(module)->model_type,
                        &model, &streams_arg, &excluded_arg, &allowed_arg, &k_arg, &thread_arg,
                        &items_arg, &scores_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows storage;
  const elastirec_rows *excluded;
  const uint8_t *allowed;
  int32_t k, threads;
  const Py_buffer *streams, *items, *scores;
  if ((streams = take_matrix(&buffers, streams_arg, "streams", &float32, 0)) &&
      take_optional_rows(&buffers, excluded_arg, "excluded", streams->shape[0], &storage,
                         &excluded) == 0 &&
      take_allowed(&buffers, allowed_arg, model->item_count, &allowed) == 0 &&
      take_int32(k_arg, "k", 1, &k) == 0 &&
      take_int32(thread_arg, "threads", INT32_MIN, &threads) == 0 &&
      (items = take_output(&buffers, items_arg, "out_items", &int32, streams->shape[0], k)) &&
      (scores = take_output(&buffers, scores_arg, "out_scores", &float32, streams->shape[0], k)))
    CALL(ok, elastirec_model_stream_recommend, model->handle, streams->buf, streams->shape[0],
         streams->shape[1], excluded, allowed, k, threads, items->buf, scores->buf);
  return finish(&buffers, ok);
}

PyObject *model_stream_slice(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *streams_arg, *width_arg, *out_arg;
  if (!PyArg_ParseTuple(args, "O!OOO:model_stream_slice", state_of(module)->model_type, &model,
                        &streams_arg, &width_arg, &out_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  int64_t width;
  const Py_buffer *streams, *small;
  if ((streams = take_matrix(&buffers, streams_arg, "streams", &float32, 0)) &&
      take_int64(width_arg, "width", INT64_MIN, INT64_MAX, &width) == 0 &&
      (small = take_matrix(&buffers, out_arg, "out", &float32, PyBUF_WRITABLE))) {
    if (small->shape[0] == streams->shape[0])
      CALL(ok, elastirec_model_stream_slice, model->handle, streams->buf, streams->shape[0],
           streams->shape[1], width, small->buf, small->shape[1]);
    else
      PyErr_Format(PyExc_ValueError, "out must have a row for each of %zd streams, got %zd",
                   streams->shape[0], small->shape[0]);
  }
  return finish(&buffers, ok);
}
