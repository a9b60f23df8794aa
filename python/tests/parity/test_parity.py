"""SASRec against numbers that Tests/Fixtures/make_fixtures.py computed in JAX and float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tolerance

from elastirec._library import native

FIXTURES = Path(__file__).resolve().parents[3] / "Tests" / "Fixtures" / "sasrec.json"
CASES = {case["name"]: case for case in json.loads(FIXTURES.read_text())["cases"]}


def array(tensor: dict[str, Any]) -> np.ndarray:
    return np.array(tensor["values"], dtype=np.float64).reshape(tensor["shape"])


def assert_close(found: np.ndarray, expected: np.ndarray, allowed: float) -> None:
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(), 1e-3)
    assert np.abs(found - expected).max() <= allowed * scale


class Reference:
    """A case of the fixtures, and a native model with its weights."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.model = native.model_create(json.dumps(case["configuration"]))
        self.shapes = {name: tuple(w["shape"]) for name, w in case["parameters"].items()}
        for name, values in case["parameters"].items():
            weights = np.ascontiguousarray(array(values), dtype=np.float32)
            native.model_set_parameter(self.model, name, weights)
        self.histories = (
            np.array(case["histories"]["items"], dtype=np.int32),
            np.array(case["histories"]["offsets"], dtype=np.int64),
        )

    def weights(self) -> dict[str, np.ndarray]:
        found = {}
        for name, shape in self.shapes.items():
            found[name] = np.empty(shape, dtype=np.float32)
            native.model_get_parameter(self.model, name, found[name])
        return found

    def train(self, epochs: int) -> list[float]:
        """Train, an epoch a step, and return the losses."""
        options = json.dumps(self.case["options"])
        trainer = native.trainer_create(self.model, options, self.histories)
        losses = []
        for _ in range(epochs):
            *_, loss, finished = native.trainer_advance(trainer, 3600.0, 1)
            assert finished
            losses.append(loss)
        return losses


@pytest.fixture(params=CASES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(CASES[request.param])


def test_parameters_have_the_names_and_shapes_of_the_reference(reference):
    described = json.loads(native.model_describe(reference.model))["parameters"]
    assert {p["name"]: tuple(p["shape"]) for p in described} == reference.shapes


def test_scores_agree(reference):
    expected = array(reference.case["scores"])
    found = np.empty(expected.shape, dtype=np.float32)
    native.model_score(reference.model, reference.histories, 1, found)
    assert_close(found, expected, tolerance.SCORES)


def test_one_step_agrees(reference):
    losses = reference.train(1)
    assert losses == pytest.approx([reference.case["loss"]], rel=tolerance.LOSS)
    found = reference.weights()
    for name, expected in reference.case["after_one_step"].items():
        assert_close(found[name], array(expected), tolerance.ONE_STEP)


def test_three_steps_agree(reference):
    trace = reference.case["trace"]
    losses = reference.train(len(trace["losses"]))
    assert losses == pytest.approx(trace["losses"], rel=tolerance.THREE_STEPS)
    found = reference.weights()
    for name, expected in trace["parameters"].items():
        assert_close(found[name], array(expected), tolerance.THREE_STEPS)
