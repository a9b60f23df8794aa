/* What the items are like, for models that read it. */
#include "_native.h"

PyObject *model_set_feature_values(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *feature_arg, *values_arg;
  if (!PyArg_ParseTuple(args, "O!OO:model_set_feature_values", state_of(module)->model_type, &model,
                        &feature_arg, &values_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  int32_t feature;
  elastirec_rows values;
  if (take_int32(feature_arg, "feature", 0, &feature) == 0 &&
      take_rows(&buffers, values_arg, "values", &values) == 0)
    CALL(ok, elastirec_model_set_feature_values, model->handle, feature, &values);
  return finish(&buffers, ok);
}

PyObject *model_set_feature_vectors(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *feature_arg, *vectors_arg;
  if (!PyArg_ParseTuple(args, "O!OO:model_set_feature_vectors", state_of(module)->model_type,
                        &model, &feature_arg, &vectors_arg))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  int32_t feature;
  const Py_buffer *vectors;
  if (take_int32(feature_arg, "feature", 0, &feature) == 0 &&
      (vectors = take_matrix(&buffers, vectors_arg, "vectors", &float32, 0))) {
    if (vectors->shape[0] == model->item_count)
      CALL(ok, elastirec_model_set_feature_vectors, model->handle, feature, vectors->buf,
           (size_t)count_of(vectors));
    else
      PyErr_Format(PyExc_ValueError, "vectors must have a row for each of %lld items, got %zd",
                   (long long)model->item_count, vectors->shape[0]);
  }
  return finish(&buffers, ok);
}
