"""What every model must do, as checks that take a fitted model and the split it was fitted on.

A new model passes them all; ``test_contract.py`` runs them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import elastirec as er
from elastirec._base import Recommender

Check = Callable[[Recommender, er.Split, Path], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


@check
def fit_sets_what_it_promises(model: Recommender, split: er.Split, folder: Path) -> None:
    assert model.items_.tolist() == split.train.items_.tolist()
    assert model.users_.tolist() == split.train.users_.tolist()
    assert model.stopped_ in {"epochs", "patience", "callback", "interrupted"}
    assert 1 <= model.best_epoch_ <= len(model.history_)
    for number, row in enumerate(model.history_, 1):
        assert row["epoch"] == number
        assert {"seconds", "tokens"} <= row.keys()


@check
def scores_are_finite_and_in_the_order_of_the_items(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    items = model.items_.tolist()
    scores = model.scores([items[:3], items[:1], []])
    assert scores.shape == (3, len(items))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@check
def recommendations_are_the_best_scores(model: Recommender, split: er.Split, folder: Path) -> None:
    history = model.items_[[0, 2]].tolist()
    items, best = model.recommend(histories=[history], k=5, exclude_seen=False, output="arrays")
    scores = model.scores([history])[0]
    order = np.argsort(-scores, kind="stable")[:5]
    assert items[0].tolist() == model.items_[order].tolist()
    np.testing.assert_array_equal(best[0], scores[order])


@check
def seen_items_are_never_recommended(model: Recommender, split: er.Split, folder: Path) -> None:
    users = model.users_[:20].tolist()
    items, scores = model.recommend(users, k=len(model.items_), output="arrays")
    for user, row, score in zip(users, items, scores, strict=True):
        shown = row[np.isfinite(score)].tolist()
        seen = set(split.train.history(user).tolist())
        assert not seen & set(shown)
        assert len(shown) == len(set(shown)) == len(model.items_) - len(seen)


@check
def users_and_their_histories_get_the_same(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    users = model.users_[:9].tolist()
    histories = [split.train.history(user).tolist() for user in users]
    by_user = model.recommend(users, k=4, output="arrays")
    by_history = model.recommend(histories=histories, k=4, output="arrays")
    for one, two in zip(by_user, by_history, strict=True):
        np.testing.assert_array_equal(one, two)


@check
def an_answer_does_not_depend_on_what_else_is_asked(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    users = model.users_[:7].tolist()
    together, _ = model.recommend(users, k=3, output="arrays")
    apart = [model.recommend([user], k=3, output="arrays")[0][0] for user in users]
    np.testing.assert_array_equal(together, np.stack(apart))


@check
def empty_histories_get_the_popular_items(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    items, _ = model.recommend(histories=[[]], k=6, output="arrays")
    popular = np.argsort(-split.train.counts(), kind="stable")[:6]
    assert items[0].tolist() == model.items_[popular].tolist()


@check
def reports_hold_every_metric(model: Recommender, split: er.Split, folder: Path) -> None:
    report = model.evaluate(split.test, k=(1, 5))
    names = {
        f"{name}@{k}" for name in ("recall", "hr", "mrr", "ndcg", "map", "coverage") for k in (1, 5)
    }
    assert set(report) == names
    assert all(0 <= value <= 1 for value in report.values())
    assert report["recall@1"] == report["hr@1"] == report["mrr@1"] == report["ndcg@1"]
    assert report["recall@1"] <= report["ndcg@5"] <= report["recall@5"]


@check
def files_and_pickles_answer_alike(model: Recommender, split: er.Split, folder: Path) -> None:
    model.save(folder / "model.safetensors")
    users = model.users_[:5].tolist()
    expected = model.recommend(users, output="arrays")
    for again in (er.load(folder / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert type(again) is type(model)
        for one, two in zip(again.recommend(users, output="arrays"), expected, strict=True):
            np.testing.assert_array_equal(one, two)


@check
def unknown_ids_raise_for_users_and_warn_for_items(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    with pytest.raises(er.UnknownIdError, match="unknown user 987654"):
        model.recommend([987654])
    known = model.items_[:2].tolist()
    with pytest.warns(er.UnknownItemWarning, match="unknown item 987654"):
        warned = model.scores([[*known, 987654]])
    np.testing.assert_array_equal(warned, model.scores([known]))


@check
def weights_are_finite_copies(model: Recommender, split: er.Split, folder: Path) -> None:
    weights = model.parameters()
    assert sum(w.size for w in weights.values()) == model.cost(1).parameters
    for values in weights.values():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


@check
def fitting_again_gives_equal_bits(model: Recommender, split: er.Split, folder: Path) -> None:
    again = type(model)(**model.get_params())
    again.fit(split.train, validation=split.valid, progress=False)
    for name, values in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], values)


@check
def bfloat16_trains_nearly_the_same_on_any_number_of_threads(
    model: Recommender, split: er.Split, folder: Path
) -> None:
    if "precision" not in model.get_params():
        return
    options = {**model.get_params(), "epochs": 2, "patience": None}

    def fit(**more: object) -> Recommender:
        return type(model)(**{**options, **more}).fit(split.train, progress=False)

    whole, rounded, alone = fit(), fit(precision="bfloat16"), fit(precision="bfloat16", n_jobs=1)
    for one, other in zip(whole.history_, rounded.history_, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.02)
    differ = False
    for name, values in rounded.parameters().items():
        np.testing.assert_array_equal(alone.parameters()[name], values)
        differ |= not np.array_equal(whole.parameters()[name], values)
    assert differ


@check
def fitting_leaves_the_log_as_it_was(model: Recommender, split: er.Split, folder: Path) -> None:
    features = er.ItemFeatures({"item": [3, 4], "kind": [1, 2]}, categorical=["kind"])
    rows = {"user": [1, 1, 2, 2], "item": [3, 4, 4, 3]}
    log = er.Interactions(rows, item_features=features)
    before = pickle.dumps(log)
    type(model)(**{**model.get_params(), **_one_epoch(model)}).fit(log, progress=False)
    assert pickle.dumps(log) == before


def _one_epoch(model: Recommender) -> dict[str, int]:
    return {"epochs": 1} if "epochs" in model.get_params() else {}
