/* The CPython extension: turns Python arguments into elastirec.h calls, and nothing else.
 *
 * Threads    The GIL is released round every call. Functions that only read a model may run at
 *            once; model_set_* and trainer_advance may not. The package calls those only on models
 *            that nobody else has: fit trains a model of its own, and refuses a second fit.
 * Arrays     Taken by the buffer protocol, never copied. Nobody may write to an array while a call
 *            uses it. */
#include "_native.h"

// MARK: - Calls

/* Returns 1 where a call succeeded; else sets the exception that its status stands for. */
int succeeded(elastirec_status status, const elastirec_error *error) {
  if (status == ELASTIREC_OK) return 1;
  PyObject *kind = status == ELASTIREC_INVALID_ARGUMENT ? PyExc_ValueError
                   : status == ELASTIREC_DIVERGED       ? PyExc_FloatingPointError
                   : status == ELASTIREC_OUT_OF_MEMORY  ? PyExc_MemoryError
                                                        : PyExc_RuntimeError;
  size_t length = strnlen(error->message, sizeof error->message);
  PyObject *message = PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)length, "replace");
  if (message) PyErr_SetObject(kind, message);
  Py_XDECREF(message);
  return 0;
}

// MARK: - Library and models

/* Returns the description of a model, or of the library where the model is NULL. */
static PyObject *describe(const elastirec_model *model) {
  size_t capacity, needed = 0;
  int ok;
  char *text = NULL;
  do { /* once to learn the size, once to fill */
    PyMem_Free(text);
    capacity = needed;
    if (!(text = PyMem_Malloc(capacity))) return PyErr_NoMemory();
    if (model)
      CALL(ok, elastirec_model_describe, model, text, capacity, &needed);
    else
      CALL(ok, elastirec_library_describe, text, capacity, &needed);
  } while (ok && needed > capacity);
  PyObject *result = ok ? PyUnicode_FromString(text) : NULL;
  PyMem_Free(text);
  return result;
}

static PyObject *library_describe(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none)) {
  return describe(NULL);
}

/* Reads configuration.items from the model's description; -1 with an exception set on failure. */
static int64_t read_item_count(const elastirec_model *model) {
  int64_t count = -1;
  PyObject *json = NULL, *value = NULL, *configuration = NULL, *items = NULL;
  PyObject *text = describe(model);
  if (text && (json = PyImport_ImportModule("json")) &&
      (value = PyObject_CallMethod(json, "loads", "O", text)) &&
      (configuration = PyMapping_GetItemString(value, "configuration")) &&
      (items = PyMapping_GetItemString(configuration, "items"))) {
    take_int64(items, "items", 0, INT32_MAX, &count);
  }
  Py_XDECREF(items);
  Py_XDECREF(configuration);
  Py_XDECREF(value);
  Py_XDECREF(json);
  Py_XDECREF(text);
  return count;
}

/* Returns a model that is to be filled, or NULL with an exception set. */
static Model *new_model(PyObject *module) {
  Model *model = PyObject_New(Model, state_of(module)->model_type);
  if (model) model->handle = NULL;
  return model;
}

static PyObject *model_create(PyObject *module, PyObject *args) {
  const char *json;
  Py_ssize_t length;
  if (!PyArg_ParseTuple(args, "s#:model_create", &json, &length)) return NULL;
  Model *model = new_model(module);
  if (!model) return NULL;
  int ok;
  CALL(ok, elastirec_model_create, json, (size_t)length, &model->handle);
  if (ok && (model->item_count = read_item_count(model->handle)) >= 0) return (PyObject *)model;
  Py_DECREF(model);
  return NULL;
}

static PyObject *model_slice(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *size_arg;
  int64_t size;
  int keep_features;
  if (!PyArg_ParseTuple(args, "O!Op:model_slice", state_of(module)->model_type, &model, &size_arg,
                        &keep_features) ||
      take_int64(size_arg, "size", INT64_MIN, INT64_MAX, &size) < 0)
    return NULL;
  Model *small = new_model(module);
  if (!small) return NULL;
  small->item_count = model->item_count;
  int ok;
  CALL(ok, elastirec_model_slice, model->handle, size, keep_features, &small->handle);
  if (ok) return (PyObject *)small;
  Py_DECREF(small);
  return NULL;
}

static void model_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Model *model = (Model *)self;
  if (model->handle) elastirec_model_free(model->handle);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyObject *model_describe(PyObject *module, PyObject *args) {
  Model *model;
  if (!PyArg_ParseTuple(args, "O!:model_describe", state_of(module)->model_type, &model))
    return NULL;
  return describe(model->handle);
}

static PyObject *model_get_parameter(PyObject *module, PyObject *args) {
  Model *model;
  const char *name;
  PyObject *out;
  if (!PyArg_ParseTuple(args, "O!sO:model_get_parameter", state_of(module)->model_type, &model,
                        &name, &out))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  const Py_buffer *values = take(&buffers, out, "out", &float32, PyBUF_WRITABLE);
  if (values)
    CALL(ok, elastirec_model_get_parameter, model->handle, name, values->buf,
         (size_t)count_of(values));
  return finish(&buffers, ok);
}

static PyObject *model_set_parameter(PyObject *module, PyObject *args) {
  Model *model;
  const char *name;
  PyObject *array;
  if (!PyArg_ParseTuple(args, "O!sO:model_set_parameter", state_of(module)->model_type, &model,
                        &name, &array))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  const Py_buffer *values = take(&buffers, array, "values", &float32, 0);
  if (values)
    CALL(ok, elastirec_model_set_parameter, model->handle, name, values->buf,
         (size_t)count_of(values));
  return finish(&buffers, ok);
}

static PyObject *model_set_fallback(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *array;
  if (!PyArg_ParseTuple(args, "O!O:model_set_fallback", state_of(module)->model_type, &model,
                        &array))
    return NULL;
  int ok = 0;
  Buffers buffers = {0};
  const Py_buffer *scores = take_vector(&buffers, array, "scores", &float32);
  if (scores)
    CALL(ok, elastirec_model_set_fallback, model->handle, scores->buf, (size_t)count_of(scores));
  return finish(&buffers, ok);
}

static PyObject *model_cost(PyObject *module, PyObject *args) {
  Model *model;
  PyObject *length_arg;
  int64_t length;
  if (!PyArg_ParseTuple(args, "O!O:model_cost", state_of(module)->model_type, &model,
                        &length_arg) ||
      take_int64(length_arg, "length", INT64_MIN, INT64_MAX, &length) < 0)
    return NULL;
  elastirec_cost cost = {0};
  int ok;
  CALL(ok, elastirec_model_cost, model->handle, length, &cost);
  if (!ok) return NULL;
  return Py_BuildValue("LLL", (long long)cost.parameters, (long long)cost.macs,
                       (long long)cost.bytes);
}

// MARK: - Module

static PyMethodDef methods[] = {
    {"library_describe", library_describe, METH_NOARGS, NULL},
    {"model_create", model_create, METH_VARARGS, NULL},
    {"model_slice", model_slice, METH_VARARGS, NULL},
    {"model_describe", model_describe, METH_VARARGS, NULL},
    {"model_get_parameter", model_get_parameter, METH_VARARGS, NULL},
    {"model_set_parameter", model_set_parameter, METH_VARARGS, NULL},
    {"model_set_fallback", model_set_fallback, METH_VARARGS, NULL},
    {"model_set_feature_values", model_set_feature_values, METH_VARARGS, NULL},
    {"model_set_feature_vectors", model_set_feature_vectors, METH_VARARGS, NULL},
    {"model_score", model_score, METH_VARARGS, NULL},
    {"model_recommend", model_recommend, METH_VARARGS, NULL},
    {"model_rank", model_rank, METH_VARARGS, NULL},
    {"model_similar", model_similar, METH_VARARGS, NULL},
    {"model_stream_size", model_stream_size, METH_VARARGS, NULL},
    {"model_stream_advance", model_stream_advance, METH_VARARGS, NULL},
    {"model_stream_recommend", model_stream_recommend, METH_VARARGS, NULL},
    {"model_stream_slice", model_stream_slice, METH_VARARGS, NULL},
    {"model_cost", model_cost, METH_VARARGS, NULL},
    {"trainer_create", trainer_create, METH_VARARGS, NULL},
    {"trainer_advance", trainer_advance, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyType_Slot model_slots[] = {{Py_tp_dealloc, model_dealloc},
                                    {Py_tp_doc, "A network and its weights, held by the library."},
                                    {0, NULL}};
static PyType_Slot trainer_slots[] = {{Py_tp_dealloc, trainer_dealloc},
                                      {Py_tp_doc, "One training, held by the library."},
                                      {0, NULL}};

#define HANDLE_FLAGS \
  (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE)
static PyType_Spec model_spec = {.name = "elastirec._native.Model",
                                 .basicsize = sizeof(Model),
                                 .flags = HANDLE_FLAGS,
                                 .slots = model_slots};
static PyType_Spec trainer_spec = {.name = "elastirec._native.Trainer",
                                   .basicsize = sizeof(Trainer),
                                   .flags = HANDLE_FLAGS,
                                   .slots = trainer_slots};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type) {
  *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
  return *type ? PyModule_AddType(module, *type) : -1;
}

static int fill_module(PyObject *module) {
  if (elastirec_abi_version() != ELASTIREC_ABI_VERSION) {
    PyErr_Format(PyExc_ImportError, "libelastirec has ABI %d, but elastirec was built for ABI %d",
                 elastirec_abi_version(), ELASTIREC_ABI_VERSION);
    return -1;
  }
  State *state = state_of(module);
  if (add_type(module, &model_spec, &state->model_type) < 0) return -1;
  return add_type(module, &trainer_spec, &state->trainer_type);
}

static int traverse_module(PyObject *module, visitproc visit, void *arg) {
  State *state = state_of(module);
  Py_VISIT(state->model_type);
  Py_VISIT(state->trainer_type);
  return 0;
}

static int clear_module(PyObject *module) {
  State *state = state_of(module);
  Py_CLEAR(state->model_type);
  Py_CLEAR(state->trainer_type);
  return 0;
}

static void free_module(void *module) { clear_module(module); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef definition = {.m_base = PyModuleDef_HEAD_INIT,
                                        .m_name = "elastirec._native",
                                        .m_doc = "Calls into libelastirec; see _native.pyi.",
                                        .m_size = sizeof(State),
                                        .m_methods = methods,
                                        .m_slots = slots,
                                        .m_traverse = traverse_module,
                                        .m_clear = clear_module,
                                        .m_free = free_module};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
