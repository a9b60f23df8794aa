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
from pathlib import Path
from typing import Any

import common

HERE = Path(__file__).resolve().parent
ALLOWED = 0.08  # processor seconds a second that others may take during a measurement
TIMEOUT = 900.0

Row = dict[str, Any]  # a Measurement as it was printed, and how it was run


@dataclass
class Care:
    """How hard to try for a quiet machine."""

    patience: float = 120.0  # seconds to wait for it before each attempt
    attempts: int = 3


care = Care()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_environment(threads: int) -> dict[str, str]:
    """Return the environment in which PyTorch was fastest.

    A fresh block of glibc's for each large tensor costs page faults, a fifth of the time of
    training. tcmalloc keeps them, with less memory than glibc told to keep them.
    """
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    allocator = tcmalloc()
    if allocator:
        return {**environment, "LD_PRELOAD": allocator}
    keep = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
    return {**environment, **keep, "MALLOC_TOP_PAD_": str(2**28)}


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
        if not kept or share < kept[0]["others"]:
            kept = rows
        if share <= ALLOWED:
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


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
