"""scikit-learn's rules for estimators, and what ``fit`` checks."""

from __future__ import annotations

import inspect
import pickle
import re

import numpy as np
import pytest
from conftest import MODELS, SMALL, same_parameters

import elastirec as er


@pytest.mark.parametrize("kind", MODELS)
def test_init_only_stores_its_keyword_arguments(kind):
    parameters = inspect.signature(kind).parameters
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    marks = {name: object() for name in parameters}
    model = kind(**marks)
    assert vars(model) == marks
    assert model.get_params() == marks


@pytest.mark.parametrize("kind", MODELS)
def test_set_params_changes_and_returns_the_model(kind):
    model = kind()
    assert model.set_params(n_jobs=3) is model
    assert model.n_jobs == model.get_params(deep=False)["n_jobs"] == 3


def test_clone_of_scikit_learn_gives_an_unfitted_copy(sasrec):
    base = pytest.importorskip("sklearn.base")
    again = base.clone(sasrec)
    assert again.get_params() == sasrec.get_params()
    with pytest.raises(er.NotFittedError):
        again.parameters()


def test_scikit_learn_sees_whether_a_model_is_fitted(sasrec):
    validation = pytest.importorskip("sklearn.utils.validation")
    validation.check_is_fitted(sasrec)
    with pytest.raises(pytest.importorskip("sklearn.exceptions").NotFittedError):
        validation.check_is_fitted(er.SASRec())


def test_what_fit_learns_ends_with_an_underscore(sasrec):
    learned = {name for name in vars(sasrec) if not name.startswith("_")} - vars(er.SASRec()).keys()
    promised = {"items_", "users_", "seed_", "history_", "best_epoch_", "stopped_"}
    assert learned == promised


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("factors", "dim"),
        ("hidden_size", "dim"),
        ("embedding_dim", "dim"),
        ("n_layers", "blocks"),
        ("lr", "learning_rate"),
        ("seed", "random_state"),
        ("n_epochs", "epochs"),
        ("num_heads", "heads"),
        ("max_len", "max_length"),
        ("drop_out", "dropout"),
        ("learning_rat", "learning_rate"),
    ],
)
def test_an_unknown_keyword_is_answered_with_the_nearest(wrong, meant):
    with pytest.raises(
        TypeError, match=f"SASRec has no parameter '{wrong}'; did you mean '{meant}'"
    ):
        er.SASRec(**{wrong: 3})
    with pytest.raises(er.ConfigError, match=f"did you mean '{meant}'"):
        er.SASRec().set_params(**{wrong: 3})


@pytest.mark.parametrize(
    ("kind", "wrong", "meant"),
    [
        (er.GRU4Rec, "hidden_size", "hidden_dim"),
        (er.GRU4Rec, "num_layers", "layers"),
        (er.LRURec, "layers", "blocks"),
        (er.NextItNet, "kernel_size", "kernel"),
        (er.FDSA, "feature", "features"),
        (er.BERT4Rec, "mask_prob", "mask_ratio"),
    ],
)
def test_the_nearest_is_one_that_the_model_has(kind, wrong, meant):
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        kind(**{wrong: 3})


def test_a_keyword_like_none_lists_those_there_are():
    with pytest.raises(TypeError, match="Popularity has no parameter 'zzz'; it has n_jobs"):
        er.Popularity(zzz=1)


def test_the_signature_is_shown_whole():
    assert "dim: 'int' = 64" in str(inspect.signature(er.SASRec))
    assert er.SASRec.__init__.__name__ == "__init__"


def test_repr_shows_changed_parameters_only(sasrec):
    assert repr(er.SASRec(dim=32, loss="bce", epochs=100)) == "SASRec(dim=32, loss='bce')"
    html = er.SASRec(norm="<b>")._repr_html_()
    assert "&lt;b&gt;" in html
    assert "not fitted" in html
    assert "fitted on 120 users and 30 items" in sasrec._repr_html_()


BAD = {
    "dim": [0, -1, 1.5, "64", None, True, 2**31],
    "inner_dim": [0],
    "blocks": [0],
    "heads": [0, 3],
    "max_length": [0, 10.0],
    "dropout": [-0.1, 1, float("nan"), "0.1", None],
    "attention_dropout": [1.0],
    "inner_dropout": [2],
    "attention": ["cosine"],
    "norm": ["PRE", None, 1],
    "activation": ["tanh"],
    "norm_epsilon": [0],
    "scale_embedding": [1, "yes"],
    "tied": [None],
    "initial_std": [0.0],
    "nested_sizes": [[], 16, (16, 8), (13, 16), (8, 8, 16)],
    "size_weights": [[], 1.0, (0, 0)],
    "size_dropout": [[], 0.5, "0.5"],
    "samples": ["cloze"],
    "loss": ["hinge"],
    "negatives": [0],
    "gbce_t": [1.1],
    "sampler": ["zipf"],
    "sampler_power": [-1, 11],
    "bpr_regularization": [-0.5],
    "crop": ["first"],
    "epochs": [0, 2.5, 10**20],
    "patience": [0, "never"],
    "batch_size": [0],
    "optimizer": ["sgd"],
    "adam_form": ["jax"],
    "learning_rate": [0, -1e-3, float("inf")],
    "beta1": [1.0],
    "beta2": [-0.5],
    "epsilon": [0],
    "weight_decay": [-1],
    "undecayed": ["bias", [1], ("norm", "norm")],
    "gradient_clip": [-1],
    "schedule": ["step"],
    "warmup_steps": [-1],
    "label_smoothing": [1.0],
    "seen_margin": [-101, float("inf"), float("nan"), None],
    "precision": ["float16"],
    "sparse_gradients": [1, None],
    "random_state": [-1, 1.5, "x", 2**64],
    "n_jobs": [0, "all", 2**70],
    "warm_start": ["no"],
}


def test_every_parameter_is_checked():
    assert BAD.keys() == er.SASRec().get_params().keys()


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_fit_names_the_parameter_its_value_and_what_is_allowed(split, name, value):
    model = er.SASRec(**{**SMALL, "epochs": 1, name: value})
    pattern = rf"{name} must be .*{re.escape(repr(value))}"
    if (name, value) == ("heads", 3):
        pattern = "dim must be a multiple of heads=3, got 16"
    with pytest.raises(er.ConfigError, match=pattern):
        model.fit(split.train, progress=False)
    with pytest.raises(er.NotFittedError):
        model.parameters()


def test_numbers_of_numpy_are_parameters_like_others(split):
    plain = er.SASRec(**SMALL, epochs=1, dropout=0.25).fit(split.train, progress=False)
    numpy = er.SASRec(**SMALL, epochs=np.int64(1), dropout=np.float32(0.25), tied=np.bool_(True))
    numpy.fit(split.train, progress=False)
    assert same_parameters(plain, numpy)
    assert same_parameters(pickle.loads(pickle.dumps(numpy)), plain)


@pytest.mark.parametrize("method", ["recommend", "scores", "evaluate", "cost", "save"])
@pytest.mark.parametrize("kind", MODELS)
def test_nothing_works_before_fit(kind, method):
    for error in (er.NotFittedError, ValueError, AttributeError, er.ElastirecError):
        with pytest.raises(error, match=rf"call {kind.__name__}\.fit first"):
            getattr(kind(), method)([1])


def test_fit_returns_self_and_forgets_the_past(split):
    model = er.SASRec(**SMALL, epochs=2)
    assert model.fit(split.train, progress=False) is model
    first = model.parameters()
    model.fit(split.train, progress=False)
    assert all(np.array_equal(first[name], now) for name, now in model.parameters().items())
    assert len(model.history_) == 2


def test_fresh_seeds_are_kept(split):
    one, two = (er.SASRec(**SMALL, epochs=1, random_state=None) for _ in range(2))
    one.fit(split.train, progress=False)
    two.fit(split.train, progress=False)
    assert one.seed_ != two.seed_
    again = er.SASRec(**SMALL, epochs=1, random_state=one.seed_).fit(split.train, progress=False)
    assert same_parameters(one, again)


def test_pickling_keeps_parameters_and_what_was_learned(model, split):
    again = pickle.loads(pickle.dumps(model))
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_
    assert dict(again.evaluate(split.test)) == dict(model.evaluate(split.test))
    assert repr(pickle.loads(pickle.dumps(er.SASRec(dim=8)))) == "SASRec(dim=8)"


class TestSetParameters:
    @pytest.fixture
    def fresh(self, sasrec):
        return pickle.loads(pickle.dumps(sasrec))

    def test_some_or_all_may_be_given(self, fresh):
        weights = fresh.parameters()
        weights["item_embedding"] = weights["item_embedding"] * 2
        fresh.set_parameters({"item_embedding": weights["item_embedding"].astype(np.float64)})
        found = fresh.parameters()
        assert all(np.array_equal(found[name], weights[name]) for name in weights)

    @pytest.mark.parametrize("given", [[1], None, {1: 2}], ids=str)
    def test_they_are_named(self, fresh, given):
        with pytest.raises(er.DataError, match=r"parameters must be a mapping|no parameter 1"):
            fresh.set_parameters(given)

    def test_parameters_are_copies(self, fresh):
        before = fresh.scores([[1]])
        fresh.parameters()["item_embedding"][:] = 7
        assert np.array_equal(fresh.scores([[1]]), before)

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            (
                {"items_embedding": 1},
                "no parameter 'items_embedding'; did you mean 'item_embedding'",
            ),
            ({"item_embedding": np.zeros((30, 15))}, r"shape \(30, 16\), got \(30, 15\)"),
            ({"item_embedding": np.zeros(480)}, "shape"),
            ({"item_embedding": np.full((30, 16), np.nan)}, "NaN"),
            ({"item_embedding": np.full((30, 16), 1e300)}, "infinity"),
            ({"item_embedding": "weights"}, "array of numbers"),
        ],
    )
    def test_what_does_not_fit_changes_nothing(self, fresh, values, problem):
        before = fresh.parameters()
        changed = {"final_norm.bias": np.ones(16), **values}
        with (
            pytest.raises(er.DataError, match=problem),
            np.errstate(over="ignore"),
        ):
            fresh.set_parameters(changed)
        assert all(np.array_equal(before[name], now) for name, now in fresh.parameters().items())


def test_cost_is_a_mapping_with_names(sasrec):
    cost = sasrec.cost(length=10)
    assert (
        cost["parameters"] == cost.parameters == sum(w.size for w in sasrec.parameters().values())
    )
    assert set(cost) == {"parameters", "macs", "bytes"}
    assert cost.macs > 0
    assert cost.bytes >= 4 * cost.parameters
    assert sasrec.cost(11).macs > cost.macs
    for length in (0, -1, 1.5, "9"):
        with pytest.raises(er.ConfigError, match="length"):
            sasrec.cost(length)
