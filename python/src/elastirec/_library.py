"""The way to the native library: it is imported here, once, and nowhere else.

Also how many threads it may use, and which errors its complaints become.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from elastirec._kinds import LARGEST
from elastirec.errors import ConfigError, ElastirecError

# What OpenBLAS calls the kernels of our instruction sets.
_CORES = {"baseline": "Nehalem", "avx2": "Haswell", "avx512": "SkylakeX"}


def _blas_environment() -> dict[str, str | None]:
    """Return what OpenBLAS should read when it is loaded; None unsets a variable.

    The workers of the library call it with one thread each. Its kernels follow the instruction set
    that the library itself uses: the best of the processor, or what ELASTIREC_ISA names. An
    OPENBLAS_CORETYPE that was set for other copies of OpenBLAS does not hold for this one.
    """
    core = _CORES.get(os.environ.get("ELASTIREC_ISA", "").lower())
    return {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": core}


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set or unset variables of the environment, and put back what was there."""
    before = {name: os.environ.get(name) for name in changes}
    _assign(changes)
    try:
        yield
    finally:
        _assign(before)


def _assign(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


with _environment(_blas_environment()):
    from elastirec import _native as native

_FEW = 64  # items of histories, as many as one task of the library takes

__all__ = ["complaints_as", "describe", "native", "threads"]


def describe() -> dict[str, Any]:
    """Return version, instruction set, threads and BLAS of the native library."""
    description: dict[str, Any] = json.loads(native.library_describe())
    return description


@contextmanager
def complaints_as(error: type[ElastirecError]) -> Iterator[None]:
    """Raise the native library's complaints about a value as ``error``."""
    try:
        yield
    except ElastirecError:
        raise
    except ValueError as complaint:
        raise error(str(complaint)) from None


def threads(n_jobs: int | None, work: int | None = None) -> int:
    """Return how many threads ``n_jobs`` stands for.

    None means the cores that the process may use: its affinity and its container's quota, or
    ELASTIREC_NUM_THREADS where that is set. Negative numbers count from there as in joblib: -1
    is all of them, -2 all but one.

    Parameters
    ----------
    n_jobs : int or None
    work : int, default=None
        About how many items of histories there are to work on. A few are done before another
        thread has woken up, so None stands for one thread then, and asks the system nothing.

    Raises
    ------
    ConfigError
        If ``n_jobs`` is zero, too large or no integer, or ELASTIREC_NUM_THREADS is no positive
        integer.
    """
    if n_jobs is None:
        return 1 if work is not None and work < _FEW else _cores()
    if isinstance(n_jobs, bool) or not hasattr(n_jobs, "__index__") or n_jobs == 0:
        raise ConfigError(f"n_jobs must be None or an integer other than 0, got {n_jobs!r}")
    if n_jobs > LARGEST:
        raise ConfigError(f"n_jobs must be at most {LARGEST}, got {n_jobs!r}")
    return int(n_jobs) if n_jobs > 0 else max(1, _cores() + 1 + int(n_jobs))


def _cores() -> int:
    wish = os.environ.get("ELASTIREC_NUM_THREADS")
    if wish:
        if not wish.strip().isdecimal() or int(wish) < 1:
            raise ConfigError(f"ELASTIREC_NUM_THREADS must be a positive integer, got {wish!r}")
        return int(wish)
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = _quota()
    return allowed if quota is None else min(allowed, quota)


@cache
def _quota(root: Path = Path("/")) -> int | None:
    """Return the whole cores that the process's control groups allow, or None without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    limits = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            limits += [_limit_v2(folder) for folder in _groups(root / "sys/fs/cgroup", group)]
        elif "cpu" in controllers.split(","):
            limits += [_limit_v1(folder) for folder in _groups(root / "sys/fs/cgroup/cpu", group)]
    cores = [limit for limit in limits if limit is not None]
    return max(1, int(min(cores))) if cores else None


def _groups(mount: Path, group: str) -> list[Path]:
    """Return the folders of a control group and of those it lies in, the mount included."""
    relative = Path(group.lstrip("/"))
    return [mount / folder for folder in [relative, *relative.parents]]


def _limit_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _limit_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
