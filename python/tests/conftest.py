"""Data and models that many tests share, each made once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

import elastirec as er
from elastirec._base import Recommender
from elastirec._nested import NestedRecommender

SMALL = {"dim": 16, "inner_dim": 32, "blocks": 1, "max_length": 12, "learning_rate": 1e-2}
# Every model, in a size that trains in a moment.
SIZES: dict[type[Recommender], dict[str, Any]] = {
    er.Popularity: {},
    er.SASRec: SMALL,
    er.BERT4Rec: SMALL,
    er.CORE: SMALL,
    er.MLPMixer: {
        "dim": 16,
        "token_dim": 16,
        "channel_dim": 32,
        "max_length": 12,
        "learning_rate": 1e-2,
    },
    er.GRU4Rec: {"dim": 16, "hidden_dim": 16, "max_length": 12, "learning_rate": 1e-2},
    er.NextItNet: {"dim": 16, "dilations": (1, 2), "max_length": 12, "learning_rate": 1e-2},
    er.NextItNetPlus: {"dim": 16, "dilations": (1, 2), "max_length": 12, "learning_rate": 1e-2},
    er.SASRecF: SMALL,
    er.FDSA: SMALL,
    er.Caser: {"dim": 16, "horizontal_filters": 8, "learning_rate": 1e-2},
    er.NFM: {"dim": 16, "hidden": (16, 8), "max_length": 12, "learning_rate": 1e-2},
    er.LRURec: {**SMALL, "state_dim": 16},
    er.SASRecPlus: {"dim": 16, "blocks": 2, "max_length": 12, "learning_rate": 1e-2},
    er.FMRLRec: {
        "sizes": (8, 16),
        "ids": True,
        "blocks": 1,
        "max_length": 12,
        "learning_rate": 1e-2,
        "warmup_steps": 0,
    },
}
MODELS = list(SIZES)
TRAINED = MODELS[1:]

# Every kind of nested model.
SHAPES = (8, 16, 32)
NESTED: dict[str, tuple[type[NestedRecommender], dict[str, Any]]] = {
    "fmrlrec": (er.FMRLRec, {**SIZES[er.FMRLRec], "sizes": SHAPES, "blocks": 2}),
    "features": (
        er.FMRLRec,
        {**SIZES[er.FMRLRec], "sizes": SHAPES, "ids": None, "state_factor": 2},
    ),
    "lrurec": (er.LRURec, {**SMALL, "dim": 32, "state_dim": 64, "nested_sizes": SHAPES}),
    "sasrec": (er.SASRec, {**SMALL, "dim": 32, "heads": 4, "nested_sizes": SHAPES}),
    "linear": (
        er.SASRec,
        {
            **SMALL,
            "dim": 32,
            "heads": 4,
            "nested_sizes": SHAPES,
            "attention": "linear_causal",
            "tied": False,
            "norm": "post",
        },
    ),
    "decayed": (
        er.SASRec,
        {**SMALL, "dim": 32, "heads": 4, "nested_sizes": SHAPES, "attention": "linear_decayed"},
    ),
}


def fitted(name: str, split: er.Split, **options: Any) -> Any:
    kind, given = NESTED[name]
    return kind(**{**given, "epochs": 3, **options}).fit(split.train, progress=False)


settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error::elastirec.ElastirecWarning")
    config.addinivalue_line("filterwarnings", "ignore::elastirec.LeakageWarning")


@pytest.fixture(scope="session")
def data() -> er.datasets.Dataset:
    """Histories of 4 to 8 of 30 items, in which the last item mostly decides the next."""
    return er.datasets.synthetic(n_users=120, n_items=30, length=8, noise=0.1)


@pytest.fixture(scope="session")
def featured_log(data: er.datasets.Dataset) -> er.Interactions:
    """The log of ``data``, whose items have vectors and one, several or no values."""
    items = data.log.items_
    table = {
        "item": items,
        "parity": items % 2,
        "tags": [[f"t{item % 3}", f"t{item % 5}"][: item % 3] for item in items],
    }
    vectors = {"text": np.random.default_rng(0).normal(size=(len(items), 4))}
    features = er.ItemFeatures(table, categorical=["parity", "tags"], vectors=vectors)
    return er.Interactions(data.log.to_frame(), item_features=features)


@pytest.fixture(scope="session")
def split(featured_log: er.Interactions) -> er.Split:
    return er.leave_one_out(featured_log)


@pytest.fixture(scope="session")
def sasrec(split: er.Split) -> er.SASRec:
    return er.SASRec(**SMALL, epochs=5).fit(split.train, validation=split.valid, progress=False)


@pytest.fixture(scope="session")
def popularity(split: er.Split) -> er.Popularity:
    return er.Popularity().fit(split.train)


@pytest.fixture(scope="session", params=MODELS)
def any_model(request: pytest.FixtureRequest, split: er.Split) -> Recommender:
    """Every model in turn, fitted; for what may differ between models."""
    kind = request.param
    epochs = {"epochs": 3} if kind in TRAINED else {}
    return kind(**SIZES[kind], **epochs).fit(split.train, validation=split.valid, progress=False)


@pytest.fixture(scope="session", params=NESTED)
def nested(request: pytest.FixtureRequest, split: er.Split) -> Any:
    """Every kind of nested model, fitted."""
    return fitted(request.param, split)


@pytest.fixture(params=["sasrec", "popularity"])
def model(request: pytest.FixtureRequest) -> Recommender:
    """A model that is trained and one that is not, fitted; for what goes on around models."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the public data sets; in continuous integration it must be there."""
    here = Path(__file__).resolve()
    folders = [parent / "shared" / "data" for parent in here.parents]
    given = os.environ.get("ELASTIREC_DATA")
    for folder in [Path(given)] if given else folders:
        if (folder / "ml-100k").is_dir():
            return folder
    message = "the public data sets are not here; set ELASTIREC_DATA"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def same_parameters(one: er.SASRec, two: er.SASRec) -> bool:
    """Whether two models have the same bits."""
    a, b = one.parameters(), two.parameters()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
