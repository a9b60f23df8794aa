/* What the files of the CPython extension share: its types, and calls into the library. */
#pragma once
#include "_arguments.h"

typedef struct {
  PyTypeObject *model_type, *trainer_type;
} State;

typedef struct {
  PyObject_HEAD
  elastirec_model *handle;
  int64_t item_count;
} Model;

typedef struct {
  PyObject_HEAD
  elastirec_trainer *handle; /* keeps the model alive by itself */
} Trainer;

static inline State *state_of(PyObject *module) { return PyModule_GetState(module); }

/* Returns 1 where a call succeeded; else sets the exception that its status stands for. */
int succeeded(elastirec_status status, const elastirec_error *error);

/* Calls function(..., &error) without the GIL; ok tells whether it succeeded. */
#define CALL(ok, function, ...)             \
  do {                                      \
    elastirec_error error = {0};            \
    elastirec_status status;                \
    Py_BEGIN_ALLOW_THREADS                  \
    status = function(__VA_ARGS__, &error); \
    Py_END_ALLOW_THREADS                    \
    ok = succeeded(status, &error);         \
  } while (0)

/* Releases the buffers and returns None, or NULL where an exception is set. */
static inline PyObject *finish(Buffers *buffers, int ok) {
  release(buffers);
  return ok ? Py_NewRef(Py_None) : NULL;
}

// MARK: - Functions of Python, by the file that has them

/* _native_features.c */
PyObject *model_set_feature_values(PyObject *module, PyObject *args);
PyObject *model_set_feature_vectors(PyObject *module, PyObject *args);
/* _native_scoring.c */
PyObject *model_score(PyObject *module, PyObject *args);
PyObject *model_recommend(PyObject *module, PyObject *args);
PyObject *model_rank(PyObject *module, PyObject *args);
PyObject *model_similar(PyObject *module, PyObject *args);
/* _native_streams.c */
PyObject *model_stream_size(PyObject *module, PyObject *args);
PyObject *model_stream_advance(PyObject *module, PyObject *args);
PyObject *model_stream_recommend(PyObject *module, PyObject *args);
PyObject *model_stream_slice(PyObject *module, PyObject *args);
/* _native_training.c */
PyObject *trainer_create(PyObject *module, PyObject *args);
PyObject *trainer_advance(PyObject *module, PyObject *args);
void trainer_dealloc(PyObject *self);
