"""The way to the native library: threads, its environment, what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import elastirec as er
from elastirec import _library


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.delenv("ELASTIREC_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(_library, "_quota", lambda: None)


@pytest.mark.parametrize(
    ("n_jobs", "threads"), [(None, 4), (1, 1), (9, 9), (-1, 4), (-3, 2), (-9, 1)]
)
def test_n_jobs_counts_as_in_joblib(four_cores, n_jobs, threads):
    assert _library.threads(n_jobs) == threads


@pytest.mark.parametrize(
    ("n_jobs", "work", "threads"), [(None, 63, 1), (None, 64, 4), (3, 1, 3), (-1, 1, 4)]
)
def test_little_work_needs_one_thread(four_cores, n_jobs, work, threads):
    assert _library.threads(n_jobs, work) == threads


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2", True])
def test_odd_n_jobs_are_refused(four_cores, n_jobs):
    with pytest.raises(er.ConfigError, match="n_jobs must be None or an integer other than 0"):
        _library.threads(n_jobs)


def test_the_environment_and_the_quota_lower_the_default(four_cores, monkeypatch):
    monkeypatch.setattr(_library, "_quota", lambda: 3)
    assert _library.threads(None) == 3
    monkeypatch.setenv("ELASTIREC_NUM_THREADS", "2")
    assert (_library.threads(None), _library.threads(-1)) == (2, 2)
    for wrong in ("0", "-2", "many"):
        monkeypatch.setenv("ELASTIREC_NUM_THREADS", wrong)
        with pytest.raises(er.ConfigError, match="ELASTIREC_NUM_THREADS"):
            _library.threads(None)


def v1(quota: str) -> dict[str, str]:
    return {"cpu/a/cpu.cfs_quota_us": quota, "cpu/a/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("3:cpu,cpuacct:/a", v1("300000"), 3),
        ("3:cpu,cpuacct:/a", v1("-1"), None),
        ("0::/", {"cpu.max": "nonsense"}, None),
        ("0::/gone", {}, None),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path, group, files, quota):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"1:name=systemd:/x\n{group}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert _library._quota(tmp_path) == quota


def test_no_control_groups_mean_no_quota(tmp_path):
    assert _library._quota(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("isa", "core"),
    [("avx512", "SkylakeX"), ("AVX2", "Haswell"), ("baseline", "Nehalem"), ("", None)],
)
def test_blas_is_loaded_with_one_thread_and_the_kernels_of_our_instruction_set(
    monkeypatch, isa, core
):
    monkeypatch.setenv("ELASTIREC_ISA", isa)
    wanted = {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": core}
    assert _library._blas_environment() == wanted


def run(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return result.stdout.strip()


def test_importing_leaves_the_environment_as_it_was():
    code = "import os; a = dict(os.environ); import elastirec; print(dict(os.environ) == a)"
    assert run(code, OPENBLAS_NUM_THREADS="7") == "True"
    assert run(code) == "True"


def test_importing_brings_no_frame_library_along():
    heavy = "pandas polars pyarrow narwhals matplotlib sklearn pooch tqdm safetensors"
    code = f"import sys, elastirec; print([m for m in {heavy.split()} if m in sys.modules])"
    assert run(code) == "[]"


def test_importing_is_quick_beside_numpy():
    code = (
        "import numpy, json, csv, time; t = time.process_time();"
        " import elastirec; print(time.process_time() - t)"
    )
    assert float(run(code)) < 0.3


def test_the_module_prints_what_a_bug_report_needs():
    lines = subprocess.run(
        [sys.executable, "-m", "elastirec"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for fact in ("elastirec", er.__version__, "instruction set", "threads", "BLAS", "numpy"):
        assert fact in lines


def test_every_public_name_is_there():
    for name in er.__all__:
        assert hasattr(er, name)
    with pytest.raises(AttributeError, match="no attribute 'tensor'"):
        _ = er.tensor
