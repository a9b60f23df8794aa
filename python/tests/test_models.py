"""What holds for every model that is trained, and what the library says about it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SIZES, SMALL, TRAINED

import elastirec as er
from elastirec._featured import FeaturedRecommender
from elastirec._library import native
from elastirec._network import Network
from elastirec._sequential import CausalRecommender, SequentialRecommender

# What some models need to follow the planted rule on so little data.
LEARN = {
    er.BERT4Rec: {"epochs": 100, "batch_size": 32, "dropout": 0.0, "attention_dropout": 0.0},
    er.Caser: {"batch_size": 32},
    er.NFM: {
        "epochs": 60,
        "batch_size": 32,
        "dropout": 0.0,
        "hidden_dropout": 0.0,
        "max_length": 3,
    },
    er.FMRLRec: {"batch_size": 32, "dropout": 0.1},
}


def described(network: Network) -> dict[str, object]:
    configuration = json.loads(native.model_describe(network.handle))["configuration"]
    return {name: value for name, value in configuration.items() if name not in {"items", "seed"}}


def features(kind: type[SequentialRecommender]) -> dict[str, object]:
    """What the library must know of features besides the parameters."""
    vectors = {"kind": "vectors", "width": 3}
    if kind is er.FMRLRec:
        return {"features": [vectors]}
    some = [{"kind": "categories", "values": 2}, vectors]
    return {"features": some} if issubclass(kind, FeaturedRecommender) else {}


@pytest.mark.parametrize("kind", TRAINED)
def test_the_library_has_the_same_settings_and_defaults(kind):
    ours = {"model": kind._model, **kind()._configuration()}
    theirs = described(Network({"model": kind._model, "items": 3, **features(kind)}))
    if kind is er.NextItNetPlus:
        assert ours.pop("residual_weights")
    for name, value in ours.items():
        expected = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        assert theirs[name] == expected, name


@pytest.mark.parametrize("kind", TRAINED)
def test_every_setting_of_the_library_can_be_given(kind):
    ours = {**kind(**SIZES[kind])._configuration(), **features(kind)}
    network = Network({"model": kind._model, "items": 3, **ours})
    elsewhere = {"model", "residual_weights", "users"}  # the last for user_embeddings
    assert described(network).keys() <= kind._parameters.keys() | elsewhere


@pytest.mark.parametrize("kind", TRAINED)
def test_every_model_learns_a_planted_rule(kind, split, popularity):
    options = {**SIZES[kind], "epochs": 30, **LEARN.get(kind, {})}
    model = kind(**options).fit(split.train, progress=False)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    hits = model.evaluate(split.test, 1)["hr@1"]
    assert hits > popularity.evaluate(split.test, 1)["hr@1"] + 0.2


@pytest.mark.parametrize("kind", TRAINED)
def test_a_margin_makes_the_task_harder_or_easier(kind, split):
    below, plain, above = (
        kind(**SIZES[kind], epochs=1, seen_margin=margin)
        .fit(split.train, progress=False)
        .history_[0]["loss"]
        for margin in (-20.0, 0.0, 2.0)
    )
    assert below < plain - 0.05
    assert above > plain + 0.1


def test_a_margin_teaches_what_is_new():
    """Of histories in random order nothing can be learned but that nobody repeats an item."""
    rng = np.random.default_rng(0)
    rows = np.array([rng.permutation(24)[:8] for _ in range(300)])
    log = er.Interactions({"user": np.repeat(np.arange(300), 8), "item": rows.ravel()})

    def seen(margin: float) -> float:
        options = {**SMALL, "dim": 32, "dropout": 0.0, "epochs": 10, "batch_size": 32}
        model = er.SASRec(**options, seen_margin=margin)
        scores = model.fit(log, progress=False).scores(rows[:100, -6:].tolist())
        first = np.argsort(-scores, axis=1)[:, :6]
        return np.mean(
            [np.isin(found, row).mean() for found, row in zip(first, rows[:100], strict=True)]
        )

    plain = seen(0.0)
    assert seen(2.0) < 0.7 * plain
    assert seen(-20.0) > 1.3 * plain  # what is not in the softmax is not learned


def test_a_margin_needs_histories(split):
    with pytest.raises(er.ConfigError, match="seen_margin needs histories"):
        er.GRU4Rec(samples="sessions", seen_margin=1.0).fit(split.train, progress=False)


@pytest.mark.parametrize("loss", ["bpr_max", "top1", "softmax"])
def test_sessions_side_by_side_train_too(split, loss):
    options = {"samples": "sessions", "loss": loss, "negatives": 8, "batch_size": 16, "epochs": 6}
    model = er.GRU4Rec(**{**SIZES[er.GRU4Rec], **options}).fit(split.train, progress=False)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


def test_only_models_that_go_item_by_item_train_on_sessions(split):
    with pytest.raises(er.ConfigError, match="samples must be one of 'auto', 'positions'"):
        er.LRURec(samples="sessions").fit(split.train, progress=False)


@pytest.mark.parametrize("kind", [kind for kind in TRAINED if issubclass(kind, CausalRecommender)])
def test_causal_models_train_on_prefixes_too(kind, split):
    model = kind(**SIZES[kind], samples="prefixes", epochs=2).fit(split.train, progress=False)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    assert model.history_[0]["tokens"] == split.train.n_interactions - split.train.n_users


@pytest.mark.parametrize("kind", TRAINED)
def test_long_histories_are_read_from_their_end(kind, split):
    model: SequentialRecommender = kind(**SIZES[kind], epochs=1)
    model.fit(split.train, progress=False)
    length = model._fitted.network.configuration["max_length"]
    history = np.resize([1, 2, 3], 40).tolist()
    np.testing.assert_array_equal(model.scores([history]), model.scores([history[-length:]]))


class TestNextItNet:
    @pytest.mark.parametrize(
        ("options", "activation"),
        [
            ({}, "relu"),
            ({"loss": "sampled_softmax"}, "none"),
            ({"loss": "bce", "output_activation": "relu"}, "relu"),
            ({"output_activation": "none"}, "none"),
        ],
        ids=str,
    )
    def test_the_activation_before_the_scores_follows_the_loss(self, options, activation):
        assert er.NextItNet(**options)._configuration()["output_activation"] == activation

    @pytest.mark.parametrize("dilations", [(), 3, (0,), (1, 2.5), "14", None])
    def test_dilations_are_checked(self, split, dilations):
        with pytest.raises(er.ConfigError, match="dilations"):
            er.NextItNet(dilations=dilations).fit(split.train, progress=False)

    def test_lists_and_tuples_come_back_from_files(self, split, tmp_path):
        for dilations in ([1, 2], (1, 2), (np.int64(1), 2)):
            options = {**SIZES[er.NextItNet], "dilations": dilations}
            model = er.NextItNet(**options, epochs=1).fit(split.train, progress=False)
            model.save(tmp_path / "model")
            again = er.load(tmp_path / "model").dilations
            assert again == dilations
            assert type(again) is type(dilations)


class TestCaser:
    def test_filters_have_the_numbers_of_each_form(self, split):
        for form, horizontal, vertical in (("original", 16, 4), ("text", 100, 1)):
            model = er.Caser(form=form, epochs=1).fit(split.train, progress=False)
            weights = model.parameters()
            assert len(weights["horizontal.0.weight"]) == horizontal
            assert len(weights["vertical.weight"]) == vertical

    def test_several_targets_change_training(self, split):
        one, three = (
            er.Caser(**SIZES[er.Caser], targets=targets, epochs=1).fit(split.train, progress=False)
            for targets in (1, 3)
        )
        assert three.history_[0]["tokens"] > one.history_[0]["tokens"]

    def test_people_have_vectors_if_they_shall(self, split, tmp_path):
        options = {**SIZES[er.Caser], "user_embeddings": True, "epochs": 5}
        model = er.Caser(**options).fit(split.train, validation=split.valid, progress=False)
        assert model.parameters()["user_embedding"].shape == (120, 16)
        users = model.users_[[7, 3]]
        histories = [split.train.history(user) for user in users]
        by_user = model.recommend(users, output="arrays")
        by_nobody = model.recommend(histories=histories, output="arrays")
        assert not np.array_equal(by_user[1], by_nobody[1])
        for place, user in enumerate(users):  # whoever else asks
            alone = model.recommend([user], output="arrays")
            np.testing.assert_array_equal(alone[0][0], by_user[0][place])
        model.save(tmp_path / "model")
        again = er.load(tmp_path / "model")
        np.testing.assert_array_equal(again.recommend(users, output="arrays")[1], by_user[1])
        unknown = model.recommend([7, 987], unknown="ignore", output="arrays")[0]
        empty = model.recommend(histories=[[]], output="arrays")[0]
        np.testing.assert_array_equal(unknown[1], empty[0])

    def test_evaluating_knows_the_people(self, split):
        options = {**SIZES[er.Caser], "user_embeddings": True, "epochs": 5}
        model = er.Caser(**options).fit(split.train, progress=False)
        report = model.evaluate(split.valid, 1, per_user=True)
        seen = split.train.history(report.users[4])
        items, _ = model.recommend([report.users[4]], k=30, output="arrays")
        assert report.targets[4] not in seen
        assert items[0].tolist().index(report.targets[4]) + 1 == report.ranks[4]

    def test_another_log_has_other_people(self, split):
        options = {**SIZES[er.Caser], "user_embeddings": True, "warm_start": True, "epochs": 1}
        model = er.Caser(**options).fit(split.train, progress=False)
        frame = split.train.to_frame()
        frame["user"] = np.asarray(frame["user"]) + 1000
        items = [np.asarray(frame["user"]), np.asarray(frame["item"])]
        other = er.Interactions(dict(zip(("user", "item"), items, strict=True)))
        assert other.n_items == split.train.n_items
        with pytest.raises(er.DataError, match="users of the log before"):
            model.fit(other, progress=False)

    def test_people_need_the_original_form(self, split):
        with pytest.raises(er.ConfigError, match='user_embeddings must be False with form="text"'):
            er.Caser(form="text", user_embeddings=True).fit(split.train, progress=False)

    def test_a_window_too_small_for_the_text_form_is_refused(self, split):
        with pytest.raises(er.ConfigError, match=r'window must be at least 4 .* "text", got 3'):
            er.Caser(form="text", window=3).fit(split.train, progress=False)


class TestBERT4Rec:
    @pytest.mark.parametrize(
        "option",
        [
            {"mask_ratio": 0.5},
            {"last_ratio": 1.0},
            {"samples": "prefixes"},
            {"positions": "newest"},
        ],
        ids=str,
    )
    def test_what_is_hidden_changes_training(self, split, option):
        one, two = (
            er.BERT4Rec(**SMALL, epochs=1, **changes).fit(split.train, progress=False)
            for changes in ({}, option)
        )
        assert one.history_[0]["loss"] != two.history_[0]["loss"]
