"""StackRec: deeper models that begin with the weights of shallower ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import SIZES

import elastirec as er

KINDS = [er.NextItNet, er.NextItNetPlus]
CONVOLUTION = re.compile(r"(convolution(_[ab])?|reduce|expand)\.(weight|bias)")
# The block of 2 that each block of 4 comes from.
SOURCES = {
    "adjacent": [0, 0, 1, 1],
    "cross": [0, 1, 0, 1],
    "random_top": [0, 1, None, None],
    "embedding": [None] * 4,
}


def fit(kind, split, **options):
    model = kind(**{**SIZES[kind], "dilations": (1, 2), "epochs": 3, **options})
    return model.fit(split.train, validation=split.valid, progress=False)


@pytest.mark.parametrize("block", ["full", "bottleneck"])
@pytest.mark.parametrize("copied", SOURCES)
@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_and_items_are_copied_and_the_rest_begins_afresh(split, kind, copied, block):
    model = fit(kind, split, block=block)
    deeper = model.stack(copied)
    assert type(deeper) is kind
    assert deeper.dilations == (1, 2, 1, 2)
    before, after = model.parameters(), deeper.parameters()
    fresh = fit(kind, split, block=block, dilations=(1, 2, 1, 2), learning_rate=1e-30).parameters()
    assert fresh.keys() == after.keys()
    for name, values in after.items():
        _, place, rest = (name if name.startswith("blocks.") else f"..{name}").split(".", 2)
        source = SOURCES[copied][int(place)] if CONVOLUTION.fullmatch(rest) else None
        expected = fresh[name] if source is None else before[f"blocks.{source}.{rest}"]
        expected = before[name] if name == "item_embedding" else expected
        np.testing.assert_allclose(values, expected, atol=1e-20, err_msg=name)


def test_tied_scores_are_copied_with_the_items(split):
    model = fit(er.NextItNet, split, tied=True)
    assert "output_embedding" not in model.parameters()
    assert "output_embedding" not in model.stack().parameters()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_goes_on_training(split, kind):
    model = fit(kind, split, epochs=15)
    deeper = model.stack("adjacent")
    assert deeper.warm_start
    assert deeper.history_ == model.history_
    assert deeper.get_params() == {
        **model.get_params(),
        "dilations": (1, 2, 1, 2),
        "warm_start": True,
    }
    deeper.set_params(epochs=5).fit(split.train, progress=False)
    assert [row["epoch"] for row in deeper.history_] == list(range(1, 21))
    fresh = fit(kind, split, dilations=(1, 2, 1, 2), epochs=5)
    assert deeper.history_[-1]["loss"] < fresh.history_[-1]["loss"]
    assert len(model.history_) == 15


def test_a_stack_can_be_saved_and_stacked_again(split, tmp_path):
    deepest = fit(er.NextItNetPlus, split).stack("cross").stack("random_top")
    deepest.save(tmp_path / "model")
    again = er.load(tmp_path / "model")
    assert again.dilations == (1, 2) * 4
    np.testing.assert_array_equal(again.scores([[1, 2], []]), deepest.scores([[1, 2], []]))


def test_odd_stacks_are_refused(split):
    with pytest.raises(er.ConfigError, match=r"copied must be one of 'adjacent', .* got 'twice'"):
        fit(er.NextItNet, split, epochs=1).stack("twice")
    with pytest.raises(er.NotFittedError):
        er.NextItNet().stack()
