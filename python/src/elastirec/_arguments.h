/* Takes Python arguments as C values, or sets an exception that names the argument.
 *
 * Of an array, type, byte order, alignment, contiguity and every size that is known here are
 * checked; the library checks the numbers inside. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h> /* the limited API of 3.11: CMake defines Py_LIMITED_API */

#include <stdio.h>
#include <string.h>

#include "elastirec.h"

/* Says "<name> must be <wanted>, got <type of object>". Returns -1. */
static inline int raise_type(const char *name, const char *wanted, PyObject *object) {
  PyObject *type = PyType_GetName(Py_TYPE(object));
  if (type) PyErr_Format(PyExc_TypeError, "%s must be %s, got %U", name, wanted, type);
  Py_XDECREF(type);
  return -1;
}

// MARK: - Numbers

static inline int take_int64(PyObject *object, const char *name, int64_t low, int64_t high,
                             int64_t *value) {
  if (!PyIndex_Check(object)) return raise_type(name, "an integer", object);
  int overflow;
  long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (number == -1 && PyErr_Occurred()) return -1;
  if (overflow || number < low || number > high) {
    PyErr_Format(PyExc_ValueError, "%s must be from %lld to %lld, got %S", name, (long long)low,
                 (long long)high, object);
    return -1;
  }
  *value = number;
  return 0;
}

static inline int take_int32(PyObject *object, const char *name, int32_t low, int32_t *value) {
  int64_t number;
  if (take_int64(object, name, low, INT32_MAX, &number) < 0) return -1;
  *value = (int32_t)number;
  return 0;
}

// MARK: - Arrays

typedef struct {
  const char *name;
  Py_ssize_t size;
  const char *formats; /* struct's letters for this type; the size tells the C types apart */
} Element;

static const Element int32 = {"int32", 4, "il"};
static const Element int64 = {"int64", 8, "lq"};
static const Element float32 = {"float32", 4, "f"};
static const Element uint8 = {"uint8", 1, "B?"};

/* The buffers that one call holds. */
typedef struct {
  Py_buffer views[12];
  int used;
} Buffers;

static inline void release(Buffers *buffers) {
  while (buffers->used > 0) PyBuffer_Release(&buffers->views[--buffers->used]);
}

static inline int64_t count_of(const Py_buffer *view) { return view->len / view->itemsize; }

static inline int is_native(const Py_buffer *view, const Element *element) {
  const char *format = view->format ? view->format : "B";
  if (*format == '@' || *format == '=' || *format == (PY_BIG_ENDIAN ? '>' : '<')) format++;
  return view->itemsize == element->size && strlen(format) == 1 &&
         strchr(element->formats, *format);
}

/* Borrows the memory of an array until `release`. Returns NULL with an exception set on failure. */
static inline const Py_buffer *take(Buffers *buffers, PyObject *object, const char *name,
                                    const Element *element, int flags) {
  if (!PyObject_CheckBuffer(object)) {
    raise_type(name, "an array", object);
    return NULL;
  }
  Py_buffer *view = &buffers->views[buffers->used];
  if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | flags) < 0) {
    if (PyErr_ExceptionMatches(PyExc_MemoryError)) return NULL;
    PyErr_Format(PyExc_ValueError, "%s must be a C-contiguous%s array of %s", name,
                 flags & PyBUF_WRITABLE ? ", writable" : "", element->name);
    return NULL;
  }
  buffers->used++;
  if (!is_native(view, element)) {
    PyErr_Format(PyExc_TypeError, "%s must be an array of native %s, got format '%s' of %zd bytes",
                 name, element->name, view->format ? view->format : "B", view->itemsize);
    return NULL;
  }
  if ((uintptr_t)view->buf % (uintptr_t)element->size != 0) {
    PyErr_Format(PyExc_ValueError, "%s must be aligned to %zd bytes", name, element->size);
    return NULL;
  }
  return view;
}

static inline const Py_buffer *take_shaped(Buffers *buffers, PyObject *object, const char *name,
                                           const Element *element, int flags, int dimensions) {
  const Py_buffer *view = take(buffers, object, name, element, flags);
  if (!view || view->ndim == dimensions) return view;
  PyErr_Format(PyExc_ValueError, "%s must have %d dimension%s, got %d", name, dimensions,
               dimensions == 1 ? "" : "s", view->ndim);
  return NULL;
}

static inline const Py_buffer *take_vector(Buffers *buffers, PyObject *object, const char *name,
                                           const Element *element) {
  return take_shaped(buffers, object, name, element, 0, 1);
}

static inline const Py_buffer *take_matrix(Buffers *buffers, PyObject *object, const char *name,
                                           const Element *element, int flags) {
  return take_shaped(buffers, object, name, element, flags, 2);
}

/* Takes an array to fill of rows x columns entries, in any shape. columns is positive. */
static inline const Py_buffer *take_output(Buffers *buffers, PyObject *object, const char *name,
                                           const Element *element, int64_t rows, int32_t columns) {
  const Py_buffer *view = take(buffers, object, name, element, PyBUF_WRITABLE);
  if (!view) return NULL;
  int64_t count = count_of(view);
  if (count % columns == 0 && count / columns == rows) return view; /* a product could overflow */
  PyErr_Format(PyExc_ValueError, "%s must have %lld x %d entries, got %lld", name, (long long)rows,
               columns, (long long)count);
  return NULL;
}

/* Takes the items and the offsets that a tuple begins with. */
static inline int take_parts(Buffers *buffers, PyObject *object, const char *name,
                             elastirec_rows *rows) {
  char part[32];
  snprintf(part, sizeof part, "%s[0]", name);
  const Py_buffer *items = take_vector(buffers, PyTuple_GetItem(object, 0), part, &int32);
  if (!items) return -1;
  snprintf(part, sizeof part, "%s[1]", name);
  const Py_buffer *offsets = take_vector(buffers, PyTuple_GetItem(object, 1), part, &int64);
  if (!offsets) return -1;
  if (count_of(offsets) < 1) {
    PyErr_Format(PyExc_ValueError, "%s must have at least 1 entry, got 0", part);
    return -1;
  }
  *rows = (elastirec_rows){items->buf, count_of(items), offsets->buf, count_of(offsets) - 1, NULL};
  return 0;
}

static inline int is_tuple(PyObject *object, Py_ssize_t size) {
  return PyTuple_Check(object) && PyTuple_Size(object) == size;
}

/* Takes a tuple of items and offsets. */
static inline int take_rows(Buffers *buffers, PyObject *object, const char *name,
                            elastirec_rows *rows) {
  if (!is_tuple(object, 2)) return raise_type(name, "a tuple of items and offsets", object);
  return take_parts(buffers, object, name, rows);
}

/* Takes a tuple of items and offsets, and of users where a caller has them. */
static inline int take_histories(Buffers *buffers, PyObject *object, elastirec_rows *rows) {
  if (!is_tuple(object, 3)) return take_rows(buffers, object, "histories", rows);
  if (take_parts(buffers, object, "histories", rows) < 0) return -1;
  const Py_buffer *users =
      take_vector(buffers, PyTuple_GetItem(object, 2), "histories[2]", &int32);
  if (!users) return -1;
  if (count_of(users) != rows->count) {
    PyErr_Format(PyExc_ValueError, "histories[2] must have an entry for each of %lld rows, got %lld",
                 (long long)rows->count, (long long)count_of(users));
    return -1;
  }
  rows->users = users->buf;
  return 0;
}

static inline int check_row_count(const char *name, const elastirec_rows *rows, int64_t count) {
  if (rows->count == count) return 0;
  PyErr_Format(PyExc_ValueError, "%s must have a row for each of %lld histories, got %lld", name,
               (long long)count, (long long)rows->count);
  return -1;
}

/* Takes rows that go with `count` histories. None gives *rows NULL, else *rows is `storage`. */
static inline int take_optional_rows(Buffers *buffers, PyObject *object, const char *name,
                                     int64_t count, elastirec_rows *storage,
                                     const elastirec_rows **rows) {
  *rows = NULL;
  if (object == Py_None) return 0;
  if (take_rows(buffers, object, name, storage) < 0) return -1;
  *rows = storage;
  return check_row_count(name, storage, count);
}

/* Takes a byte for each of `items` items; None gives NULL. */
static inline int take_allowed(Buffers *buffers, PyObject *object, int64_t items,
                               const uint8_t **allowed) {
  *allowed = NULL;
  if (object == Py_None) return 0;
  const Py_buffer *view = take_vector(buffers, object, "allowed", &uint8);
  if (!view) return -1;
  if (count_of(view) != items) {
    PyErr_Format(PyExc_ValueError, "allowed must have an entry for each of %lld items, got %lld",
                 (long long)items, (long long)count_of(view));
    return -1;
  }
  *allowed = view->buf;
  return 0;
}
