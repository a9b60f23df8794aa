"""Runs one side's program in a process of its own, and notices when others disturb it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import common

HERE = Path(__file__).resolve().parent
TIMEOUT = 900.0

Row = dict[str, Any]  # a Measurement as it was printed, and how it was run


@dataclass
class Care:
    """How hard to try for a quiet machine."""

    patience: float = 120.0  # seconds to wait for it before each attempt
    attempts: int = 3
    allowed: float = 0.08  # processor seconds a second that others may take during a measurement
    shared: bool = False  # one thread, processor time in place of wall time


care = Care()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return how many threads each side may use."""
    return 1 if care.shared else cores()


def torch_environment(threads: int, tuned: bool, keep: bool = True) -> dict[str, str]:
    """Return the environment in which PyTorch was fastest.

    A fresh block of glibc's for each large tensor costs page faults, a fifth of the time of
    training. tcmalloc keeps them, with less memory than glibc told to keep them. The tuned form
    also gets the AVX-512 kernels of MKL, which it keeps from AMD's processors. ``keep=False``
    leaves glibc as it is, for peak memory.
    """
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    allocator = tcmalloc()
    preloaded = [allocator, mkl_for_any_processor() if tuned else None]
    if any(preloaded):
        environment["LD_PRELOAD"] = ":".join(filter(None, preloaded))
    if allocator is None and keep:
        settings = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
        environment.update(settings, MALLOC_TOP_PAD_=str(2**28))
    return environment


@cache
def mkl_for_any_processor() -> str | None:
    """Return a library that makes MKL choose kernels by instruction set, or None.

    MKL asks a function of its own whether the processor is Intel's, and runs AVX2 kernels on
    others that have AVX-512. This library has that function answer yes, which doubles the speed of
    matrix products there. It needs a C compiler, and is not made on Intel's processors.
    """
    about = _processor()
    if "AuthenticAMD" not in about or " avx512f " not in about:
        return None
    path = common.build_folder() / "libmkl_any.so"
    source = "int mkl_serv_intel_cpu_true(void) { return 1; }"
    command = ["cc", "-shared", "-fPIC", "-O2", "-x", "c", "-o", str(path), "-"]
    try:
        subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(path)


def has_avx512() -> bool:
    """Return whether the processor has AVX-512."""
    return " avx512f " in _processor()


def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def tcmalloc() -> str | None:
    """Return the path of tcmalloc, or None: ``TCMALLOC`` or where Debian puts it."""
    folders = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
    places = [os.environ.get("TCMALLOC", "")]
    places += [f"{folder}/libtcmalloc_minimal.so.4" for folder in folders]
    return next((place for place in places if place and Path(place).exists()), None)


def run(
    program: str,
    arguments: Sequence[object],
    environment: Mapping[str, str] | None = None,
) -> list[Row]:
    """Run a program of this folder and return what it measured, least disturbed of the attempts.

    Raises
    ------
    RuntimeError
        If it fails; the message has what it wrote to standard error.
    """
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    kept: list[Row] = []
    for _ in range(care.attempts):
        wait_until_quiet()
        began, busy, own = time.perf_counter(), common.busy_seconds(), _children_seconds()
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        wall = time.perf_counter() - began
        others = common.busy_seconds() - busy - (_children_seconds() - own)
        share = max(0.0, others / wall)
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        for row in rows:
            row.update(others=round(share, 3), arguments=list(map(str, arguments)))
            if care.shared:
                _in_processor_time(row)
        if not kept or share < kept[0]["others"]:
            kept = rows
        if share <= care.allowed:
            break
    return kept


def wait_until_quiet() -> None:
    """Wait until other processes take less than an eighth of a processor, or patience ends."""
    end = time.perf_counter() + care.patience
    while time.perf_counter() < end:
        before = common.busy_seconds()
        time.sleep(1.0)
        if common.busy_seconds() - before < 0.125:
            return


def _in_processor_time(row: Row) -> None:
    """Replace wall seconds by processor seconds; medians of many calls stay."""
    if row["unit"] == "s":
        detail = row["detail"]
        row["wall"] = row["value"]
        parts = detail.get("epochs", 1) * detail.get("steps", 1)
        row["value"] = (detail["user"] + detail["system"]) / parts


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
