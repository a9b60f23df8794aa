"""Models against numbers that Tests/Fixtures/make_fixtures.py computed in JAX and float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tolerance

import elastirec  # noqa: F401  (defines the models)
from elastirec._features import Categories, Feature, Vectors
from elastirec._ids import IdMap
from elastirec._library import native
from elastirec._model import MODELS
from elastirec._network import Network
from elastirec._rows import Histories, with_people
from elastirec._sequential import SequentialRecommender

FIXTURES = Path(__file__).resolve().parents[3] / "Tests" / "Fixtures"
CASES = {
    f"{path.stem}/{case['name']}": case
    for path in sorted(FIXTURES.glob("*.json"))
    if path.stem not in ("ops", "ops_nested", "ops_rounded")
    for case in json.loads(path.read_text())["cases"]
}
NESTED = [name for name, case in CASES.items() if "size_scores" in case]
TRACED = [name for name, case in CASES.items() if "trace" in case]
# A model of each name in the library; NextItNetPlus has that of NextItNet.
KINDS = {
    kind._model: kind
    for kind in reversed(MODELS.values())
    if issubclass(kind, SequentialRecommender) and "_model" in vars(kind)
}


def array(tensor: dict[str, Any]) -> np.ndarray:
    return np.array(tensor["values"], dtype=np.float64).reshape(tensor["shape"])


def rows(packed: dict[str, Any]) -> Histories:
    rows = np.array(packed["items"], dtype=np.int32), np.array(packed["offsets"], dtype=np.int64)
    return with_people(rows, np.array(packed["users"], "i4") if "users" in packed else None)


def features(case: dict[str, Any]) -> list[Feature]:
    found: list[Feature] = []
    settings = case["configuration"].get("features", [])
    for number, (setting, given) in enumerate(zip(settings, case.get("features", []), strict=True)):
        if setting["kind"] == "categories":
            values = np.array(given["values"], dtype=np.int32), np.array(given["offsets"])
            found.append(Categories(str(number), IdMap(np.arange(setting["values"])), values))
        else:
            found.append(Vectors(str(number), array(given["vectors"]).astype(np.float32)))
    return found


def assert_close(found: np.ndarray, expected: np.ndarray, allowed: float) -> None:
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(), 1e-3)
    assert np.abs(found - expected).max() <= allowed * scale


class Reference:
    """A case of the fixtures, and a network with its weights."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.network = Network(case["configuration"])
        self.network.set_parameters({n: array(w) for n, w in case["parameters"].items()})
        self.network.set_features(features(case))
        self.histories = rows(case["histories"])

    def train(self, epochs: int) -> list[float]:
        """Train, an epoch a step, and return the losses."""
        options = json.dumps(self.case["options"])
        trainer = native.trainer_create(self.network.handle, options, self.histories)
        losses = []
        for _ in range(epochs):
            *_, loss, finished = native.trainer_advance(trainer, 3600.0, 1)
            assert finished
            losses.append(loss)
        return losses


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(CASES[request.param])


every_case = pytest.mark.parametrize("reference", CASES, indirect=True)
every_trace = pytest.mark.parametrize("reference", TRACED, indirect=True)


@every_case
def test_parameters_have_the_names_and_shapes_of_the_reference(reference):
    shapes = {name: tuple(w["shape"]) for name, w in reference.case["parameters"].items()}
    assert reference.network.shapes == shapes


@every_case
def test_the_outline_of_a_file_is_right(reference):
    configuration = reference.case["configuration"]
    outline = KINDS[configuration["model"]]._outline(configuration)
    assert outline.items() <= reference.network.shapes.items()


@every_case
def test_scores_agree(reference):
    expected = array(reference.case["scores"])
    assert_close(reference.network.score(reference.histories, 1), expected, tolerance.SCORES)


@pytest.mark.parametrize("keep_features", [False, True])
@pytest.mark.parametrize("reference", NESTED, indirect=True)
def test_scores_of_each_size_agree(reference, keep_features):
    for size, expected in reference.case["size_scores"].items():
        small = reference.network.slice(int(size), keep_features)
        scores = small.score(reference.histories, 1)
        assert_close(scores, array(expected), tolerance.SCORES)


@every_trace
def test_one_step_agrees(reference):
    losses = reference.train(1)
    assert losses == pytest.approx([reference.case["loss"]], rel=tolerance.LOSS)
    found = reference.network.parameters()
    for name, expected in reference.case["after_one_step"].items():
        assert_close(found[name], array(expected), tolerance.ONE_STEP)


@every_trace
def test_three_steps_agree(reference):
    trace = reference.case["trace"]
    losses = reference.train(len(trace["losses"]))
    assert losses == pytest.approx(trace["losses"], rel=tolerance.THREE_STEPS)
    found = reference.network.parameters()
    for name, expected in trace["parameters"].items():
        assert_close(found[name], array(expected), tolerance.THREE_STEPS)
