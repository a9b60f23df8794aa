"""The examples in the docstrings run, and everything public has a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elastirec as er
from elastirec._base import Recommender

DOCS = Path(__file__).parents[2] / "docs"
MODELS = [
    name
    for name in er.__all__
    if inspect.isclass(getattr(er, name)) and issubclass(getattr(er, name), Recommender)
]
MODULES = sorted(path.stem for path in Path(er.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"elastirec.{name}")
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


def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, str(DOCS), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()


@pytest.fixture(scope="module")
def log() -> er.Interactions:
    """A small log whose items have a category and a vector."""
    items = np.arange(8)
    features = er.ItemFeatures(
        {"item": items, "kind": items % 3},
        categorical=["kind"],
        vectors={"text": np.eye(8)[:, :3]},
    )
    users = np.repeat(np.arange(6), 8)
    chosen = np.concatenate([np.roll(items, user) for user in range(6)])
    return er.Interactions({"user": users, "item": chosen}, item_features=features)


def page_of(name: str) -> str:
    """Return the page that the table of models links to."""
    links = re.findall(r"\[([^]]*)\]\((\w+\.md)\)", (DOCS / "models.md").read_text())
    pages = [page for text, page in links if name in text.split(", ")]
    assert pages, f"docs/models.md has no link to a page of {name}"
    return (DOCS / pages[0]).read_text()


def told_parameters(page: str) -> set[str]:
    """Return the names in the tables of parameters.

    A name that begins with a point, as in "`norm.weight`, `.bias`", has the beginning of the one
    before it.
    """
    names = set()
    for line in page.partition("## Parameters")[2].partition("\n## ")[0].splitlines():
        first = ""
        for name in re.findall(r"`([\w.]+)`", line.split("|")[1]) if line.startswith("|") else ():
            names.add(first + name if name.startswith(".") else name)
            first = first if name.startswith(".") else name.rpartition(".")[0]
    return names


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_page_that_names_its_parameters(name, log):
    model = getattr(er, name)()
    model.set_params(**{"epochs": 1} if "epochs" in model.get_params() else {})
    model.fit(log, progress=False)
    there = {re.sub(r"\.\d+\b", ".N", parameter) for parameter in model.parameters()}
    assert there <= told_parameters(page_of(name))
