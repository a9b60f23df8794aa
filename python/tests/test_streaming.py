"""Streams: people who are followed item by item."""

from __future__ import annotations

import numpy as np
import pytest

import elastirec as er
from elastirec._base import Recommender


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("sasrec", r'SASRec cannot stream: .* unless attention="linear_causal"'),
        ("popularity", "Popularity cannot stream: it scores items for everybody alike"),
    ],
)
def test_models_that_cannot_stream_say_why(request, fixture, reason):
    model: Recommender = request.getfixturevalue(fixture)
    stream = er.StreamState(np.zeros((1, 4), np.float32), "weights", None)
    for call in (
        model.start,
        lambda: model.update(stream, [1]),
        lambda: model.recommend(state=stream),
    ):
        with pytest.raises(er.UnsupportedError, match=reason):
            call()


def test_recommend_answers_one_kind_of_question(sasrec):
    with pytest.raises(er.ConfigError, match=r"users, histories or state; got none of them"):
        sasrec.recommend()
    with pytest.raises(er.ConfigError, match="got users and state"):
        sasrec.recommend([1], state=3)
