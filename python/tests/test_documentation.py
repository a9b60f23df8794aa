"""The examples in the docstrings run, and everything public has a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import elastirec as er

MODULES = sorted(path.stem for path in Path(er.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"elastirec.{name}")
    import numpy as np

    names = {**vars(er), **vars(module), "np": np}
    assert doctest.testmod(module, globs=names).failed == 0


@pytest.mark.parametrize("name", er.__all__)
def test_everything_public_has_a_docstring(name):
    public = getattr(er, name)
    assert name == "__version__" or public.__doc__
    if not inspect.isclass(public):
        return
    for member, value in inspect.getmembers(public, inspect.isfunction):
        if not member.startswith("_"):
            assert inspect.getdoc(value), f"{name}.{member}"
