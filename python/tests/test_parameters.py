"""Parameters are declared once: signatures, checks and docstrings follow from that."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import numpy as np
import pytest
from conftest import MODELS

import elastirec as er
from elastirec import _docstrings
from elastirec._checks import integers, names
from elastirec._kinds import Share, Size
from elastirec._params import Parametrized


def documented(kind: type[Parametrized]) -> dict[str, tuple[str, str]]:
    """What the docstring says of each parameter: its type and its default."""
    found = {}
    for key, entry in _docstrings.parameters(kind.__doc__ or "").items():
        header = entry.partition("\n")[0].partition(" : ")[2]
        described, _, defaults = header.partition(", default=")
        names = key.split(", ")
        values = defaults.split(", ") if len(names) > 1 else [defaults]
        for number, name in enumerate(names):
            assert name not in found, f"{name} is documented twice"
            found[name] = described, values[number % len(values)]
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_docstrings_name_every_parameter_with_its_default(kind):
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()
    }
    said = {name: ast.literal_eval(value) for name, (_, value) in documented(kind).items()}
    assert said == defaults


@pytest.mark.parametrize("kind", MODELS)
def test_docstrings_list_the_choices_that_fit_allows(kind):
    said = documented(kind)
    for name, parameter in kind._parameters.items():
        choices = re.findall(r'"(\w+)"', said[name][0])
        literals = [
            part
            for part in (parameter.kind, *get_args(parameter.kind))
            if "Literal" in str(get_origin(part))
        ]
        assert choices == [value for literal in literals for value in get_args(literal)], name


@pytest.mark.parametrize("kind", MODELS)
def test_fit_checks_every_parameter(kind):
    unchecked = {name for name, parameter in kind._parameters.items() if parameter.check is None}
    assert unchecked == {"n_jobs"}


class Parent(Parametrized):
    """A parent.

    Parameters
    ----------
    rate : float, default=0.5
        How much.
    seats : int, default=2
        How many,
        in all.

    Notes
    -----
    Of the parent.
    """

    rate: Share = 0.5
    seats: Size = 2


class Child(Parent):
    """A child.

    Parameters
    ----------
    toys : int, default=3
        To play with.
    seats : int, default=1
        Smaller ones.

    Examples
    --------
    >>> Child().toys
    3
    """

    rate = 0.25
    toys: Size = 3
    seats: Size = 1


class Grandchild(Child):
    """Has no parameters of its own."""

    toys = 4


def test_a_class_inherits_parameters_and_what_is_said_of_them():
    assert inspect.getdoc(Child) == inspect.cleandoc(
        """A child.

        Parameters
        ----------
        toys : int, default=3
            To play with.
        seats : int, default=1
            Smaller ones.
        rate : float, default=0.25
            How much.

        Examples
        --------
        >>> Child().toys
        3
        """
    )
    assert str(inspect.signature(Child)).startswith(
        "(*, toys: 'int' = 3, seats: 'int' = 1, rate: 'float' = 0.25)"
    )
    assert "toys : int, default=4\n    To play with." in (Grandchild.__doc__ or "")
    assert Grandchild(rate=0.1).get_params() == {"toys": 4, "seats": 1, "rate": 0.1}


def test_values_are_checked_by_their_kind():
    child = Child(toys=0)
    with pytest.raises(er.ConfigError, match=r"toys must be an integer, 1 to \d+, got 0"):
        child._checked(["toys"])
    assert child._checked(["seats", "rate"]) == {"seats": 1, "rate": 0.25}


def test_a_model_sends_each_parameter_to_one_place():
    for kind in MODELS:
        if kind is er.Popularity:
            continue
        model = kind()
        groups: list[Mapping[str, Any]] = [model._configuration(), model._options()]
        names = [name for group in groups for name in group]
        assert len(names) == len(set(names))


def test_lists_are_checked_entry_by_entry():
    assert integers("dilations", (1, np.int64(4))) == [1, 4]
    assert names("features", ("genre", "year")) == ["genre", "year"]
    for value in ([], 3, "12", None):
        with pytest.raises(er.ConfigError, match="dilations must be a list of one integer or more"):
            integers("dilations", value)
    with pytest.raises(er.ConfigError, match=r"dilations\[1\] must be .* at least 1, got 0"):
        integers("dilations", [1, 0])
    for value in ([], "genre", ["a", "a"], [1], {"a"}):
        with pytest.raises(er.ConfigError, match="features must be a list of distinct names, got"):
            names("features", value)
