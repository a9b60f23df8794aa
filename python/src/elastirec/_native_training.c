/* Training, in parts. */
#include "_native.h"

PyObject *trainer_create(PyObject *module, PyObject *args) {
  State *state = state_of(module);
  Model *model;
  const char *options;
  Py_ssize_t length;
  PyObject *history_arg;
  if (!PyArg_ParseTuple(args, "O!s#O:trainer_create", state->model_type, &model, &options, &length,
                        &history_arg))
    return NULL;
  Trainer *trainer = PyObject_New(Trainer, state->trainer_type);
  if (!trainer) return NULL;
  trainer->handle = NULL;
  int ok = 0;
  Buffers buffers = {0};
  elastirec_rows histories;
  if (take_histories(&buffers, history_arg, &histories) == 0)
    CALL(ok, elastirec_trainer_create, model->handle, options, (size_t)length, &histories,
         &trainer->handle);
  release(&buffers);
  if (ok) return (PyObject *)trainer;
  Py_DECREF(trainer);
  return NULL;
}

void trainer_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Trainer *trainer = (Trainer *)self;
  if (trainer->handle) elastirec_trainer_free(trainer->handle);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject *trainer_advance(PyObject *module, PyObject *args) {
  Trainer *trainer;
  double seconds;
  PyObject *thread_arg;
  int32_t threads;
  if (!PyArg_ParseTuple(args, "O!dO:trainer_advance", state_of(module)->trainer_type, &trainer,
                        &seconds, &thread_arg) ||
      take_int32(thread_arg, "threads", INT32_MIN, &threads) < 0)
    return NULL;
  elastirec_progress progress = {0};
  int ok;
  CALL(ok, elastirec_trainer_advance, trainer->handle, seconds, threads, &progress);
  if (!ok) return NULL;
  return Py_BuildValue("LLLLdN", (long long)progress.epoch, (long long)progress.step,
                       (long long)progress.steps, (long long)progress.tokens, progress.loss,
                       PyBool_FromLong(progress.finished));
}
