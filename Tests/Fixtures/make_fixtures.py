"""Write the reference numbers that every implementation of Elastirec is held to.

    pip install "jax[cpu]" numpy
    python make_fixtures.py [name ...]

writes ``ops.json``, ``ops_nested.json``, ``ops_rounded.json`` and one file a model beside this
file, or only the named ones; the formulas are in ``references/``. All arithmetic is JAX in float64
on the processor, from the published formulas alone; derivatives are JAX's own. Every input,
parameter and cotangent is representable in float32, so a float32 implementation starts from the
same numbers. Numbers are printed with ten significant digits; what is below 1e-14 is rounding and
printed as 0.

An array is ``{"shape": [...], "values": [...]}``, row by row; a scalar has the shape ``[]``.
Linear weights are ``[out, in]``. Variable-length rows are packed: row ``i`` is
``values[offsets[i]:offsets[i + 1]]``. The keyword arguments of an operation are the names of its
inputs and attributes in ``ops*.json``; its output is ``y``, or ``loss`` where that is a scalar, or
else the keys of what it returns are the names of its outputs.

The loss of a nested model (``*_nested.json``, ``fmrlrec.json``) is the sum over its sizes of a
weight times the mean cross-entropy; weights are equal and add up to one where a case has no
``size_weights``. ``size_scores`` are the scores of every size, ``scores`` those of the largest.

Operations whose names end in ``_bfloat16`` (``ops_rounded.json``) round both factors of each
product of matrices to bfloat16, backwards too, and nothing else; sums are float64 as everywhere.
"""

import sys
from pathlib import Path

from references import (
    bags,
    bert4rec,
    convolutional,
    core,
    featured,
    fmrlrec,
    mixer,
    nested_models,
    nested_ops,
    ops,
    recurrent,
    rounded_ops,
    sasrec,
    sasrec_plus,
)
from references.rendering import render

FOLDER = Path(__file__).parent
FAMILIES = (
    ops,
    sasrec,
    bert4rec,
    core,
    featured,
    sasrec_plus,
    mixer,
    recurrent,
    convolutional,
    bags,
    nested_ops,
    fmrlrec,
    nested_models,
    rounded_ops,
)
FILES = {name: cases for family in FAMILIES for name, cases in family.FILES.items()}


def main(names):
    """Write the named fixtures; each checks itself while it is made."""
    if unknown := set(names) - set(FILES):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(FILES)}")
    for name in names or FILES:
        cases = FILES[name]()
        path = FOLDER / f"{name}.json"
        path.write_text(render({"cases": cases}) + "\n")
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
