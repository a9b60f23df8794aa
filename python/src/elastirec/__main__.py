"""Prints what a report of a bug needs: ``python -m elastirec``."""

from __future__ import annotations

import platform
import sys

import numpy as np

import elastirec
from elastirec._library import describe, threads


def main() -> None:
    """Print versions, instruction set, threads and BLAS, one on a line."""
    native = describe()
    facts = {
        "elastirec": elastirec.__version__,
        "instruction set": native["isa"],
        "bfloat16": "by the processor" if native["bfloat16"] else "rounded before float32",
        "threads": threads(None),
        "BLAS": f"{native['blas']}, {native['blas_core']}",
        "python": f"{platform.python_version()} ({sys.platform}, {platform.machine()})",
        "numpy": np.__version__,
    }
    for name, fact in facts.items():
        print(f"{name:16} {fact}")


if __name__ == "__main__":
    main()
