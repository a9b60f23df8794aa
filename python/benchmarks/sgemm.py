"""The arithmetic limit: how many FLOP/s OpenBLAS reaches on large matrices, on all processors.

It is the OpenBLAS that came with Elastirec's wheel, or else the system's, in one process with one
thread for each processor, all at once. The kernels that OpenBLAS chooses by itself and those for
SkylakeX are tried, as older versions do not know newer processors; the better counts. With
``--shared`` it is one process and its processor time.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import common
import numpy as np
import runner

SIZE = 2048
SECONDS = 2.0
_ROW_MAJOR, _NO_TRANSPOSE = 101, 111


def library() -> str:
    """Return the path of OpenBLAS.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    spec = find_spec("elastirec")
    folder = Path(spec.origin).parent.parent if spec and spec.origin else None
    bundled = sorted(folder.glob("elastirec.libs/libopenblas*")) if folder else []
    found = str(bundled[0]) if bundled else ctypes.util.find_library("openblas")
    if found is None:
        raise RuntimeError("no OpenBLAS: neither in elastirec.libs nor in the system")
    return found


def work() -> None:
    """Multiply for some seconds, once a line comes from standard input; print FLOP/s."""
    multiply = ctypes.CDLL(library()).cblas_sgemm
    a, b = (np.random.default_rng(i).random((SIZE, SIZE), dtype=np.float32) for i in (0, 1))
    c = np.empty_like(a)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (a, b, c)]
    one, zero, size = ctypes.c_float(1), ctypes.c_float(0), ctypes.c_int(SIZE)

    def once() -> None:
        left, right, out = pointers
        modes = _ROW_MAJOR, _NO_TRANSPOSE, _NO_TRANSPOSE
        multiply(*modes, size, size, size, one, left, size, right, size, zero, out, size)

    once()
    clock = time.process_time if "--shared" in sys.argv else time.perf_counter
    print("ready", flush=True)
    sys.stdin.readline()
    began, rounds = clock(), 0
    while (took := clock() - began) < SECONDS:
        once()
        rounds += 1
    print(2 * SIZE**3 * rounds / took, flush=True)


def together(core: str | None, shared: bool) -> float:
    """Return the FLOP/s of one process for each processor, added up; of one if ``shared``."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("OPENBLAS_CORETYPE", None)
    if core:
        environment["OPENBLAS_CORETYPE"] = core
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, __file__, "--work", *(["--shared"] if shared else [])]
    workers = [
        subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]
        for _ in range(1 if shared else runner.cores())
    ]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sum(float(worker.communicate()[0]) for worker in workers)


def main() -> None:
    """Print the limit as one line of JSON."""
    if "--work" in sys.argv:
        work()
        return
    kinds = [None, "SkylakeX"] if runner.has_avx512() else [None]
    reached = {
        kind or "chosen by OpenBLAS": together(kind, "--shared" in sys.argv) for kind in kinds
    }
    detail = {name: value / 1e9 for name, value in reached.items()}
    detail["library"] = library()
    common.Measurement("limit", "sgemm", max(reached.values()) / 1e9, "GFLOP/s", detail).print()


if __name__ == "__main__":
    main()
