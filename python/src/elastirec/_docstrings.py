"""Docstrings of classes whose parameters are partly declared by the classes they come from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

_UNDERLINE = "-" * len("Parameters")
_SECTION = re.compile(rf"(?:^|\n\n)Parameters\n{_UNDERLINE}\n(.*?)(?=\n\n\S+\n---|\Z)", re.DOTALL)
_NEXT_SECTION = re.compile(r"\n\n\S+\n---")
_DEFAULT = re.compile(r"default=\S+$")


def parameters(doc: str) -> dict[str, str]:
    """Return the entries of the section "Parameters" by the names that they are about.

    An entry is a line such as ``beta1, beta2 : float, default=0.9, 0.999`` and the indented lines
    below it; its key is what stands before the colon.
    """
    section = _SECTION.search(doc)
    entries = re.split(r"\n(?=\S)", section[1]) if section else []
    return {entry.partition(" : ")[0]: entry for entry in entries}


def with_inherited(cls: type, defaults: Mapping[str, Any]) -> str:
    """Return the docstring of ``cls``, followed in its parameters by those it does not name itself.

    Their entries come from the base class, with the defaults that they have in ``cls``.
    """
    doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
    entries = parameters(doc)
    named = {name for key in entries for name in key.split(", ")}
    for key, entry in parameters(cls.__bases__[0].__doc__ or "").items():
        if named.isdisjoint(key.split(", ")):
            entries[key] = _with_default(key, entry, defaults)
    if not entries:
        return doc
    section = "\n".join(["Parameters", _UNDERLINE, *entries.values()])
    there = _SECTION.search(doc)
    if there:
        start, stop = there.span()
    else:
        after = _NEXT_SECTION.search(doc)
        start = stop = after.start() if after else len(doc)
    return f"{doc[:start]}\n\n{section}{doc[stop:]}"


def _with_default(key: str, entry: str, defaults: Mapping[str, Any]) -> str:
    if key not in defaults:  # several names, whose defaults a subclass may not change
        return entry
    header, newline, text = entry.partition("\n")
    value = defaults[key]
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return _DEFAULT.sub(f"default={shown}", header) + newline + text
