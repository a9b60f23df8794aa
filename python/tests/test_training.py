"""``fit``: learning, validation, early stopping, callbacks, checkpoints, progress."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from conftest import SMALL, same_parameters

import elastirec as er
from elastirec import _training


def fit(split: er.Split, *, validation: bool = True, **options: object) -> er.SASRec:
    keys = ("callbacks", "checkpoint", "exclude_seen", "progress")
    arguments = {"progress": False, **{k: options.pop(k) for k in keys if k in options}}
    if validation:
        arguments["validation"] = split.valid
    return er.SASRec(**{**SMALL, **options}).fit(split.train, **arguments)


def test_a_planted_rule_is_learned(split, popularity):
    model = fit(split, epochs=40, patience=None)
    assert model.evaluate(split.test, 1)["hr@1"] > 0.6
    assert popularity.evaluate(split.test, 1)["hr@1"] < 0.3
    assert model.history_[-1]["loss"] < 0.6 * model.history_[0]["loss"]


def test_history_has_a_row_for_each_epoch(split):
    model = fit(split, epochs=3)
    assert [row["epoch"] for row in model.history_] == [1, 2, 3]
    assert model.stopped_ == "epochs"
    for row in model.history_:
        assert list(row) == ["epoch", "loss", "recall@10", "ndcg@10", "mrr@10", "seconds", "tokens"]
        assert row["tokens"] == split.train.n_interactions - split.train.n_users
        assert row["seconds"] > 0
    assert "ndcg@10" not in fit(split, epochs=1, validation=False).history_[0]


def test_the_best_epoch_is_kept(split):
    snapshots = []
    model = fit(
        split, epochs=12, callbacks=[lambda model, row: snapshots.append(model.parameters())]
    )
    best = max(model.history_, key=lambda row: row["ndcg@10"])
    assert model.best_epoch_ == best["epoch"]
    kept = model.parameters()
    assert all(
        np.array_equal(kept[name], values) for name, values in snapshots[best["epoch"] - 1].items()
    )
    assert model.evaluate(split.valid, 10)["ndcg@10"] == best["ndcg@10"]


@pytest.mark.parametrize("kind", [er.SASRec, er.Popularity])
def test_the_validation_ranks_the_history_where_it_counts(split, kind):
    found = {}
    for exclude_seen in (True, False):
        model = kind(**SMALL, epochs=3) if kind is er.SASRec else kind()
        model.fit(split.train, validation=split.valid, exclude_seen=exclude_seen, progress=False)
        report = model.evaluate(split.valid, 10, exclude_seen=exclude_seen)
        found[exclude_seen] = model.history_[model.best_epoch_ - 1]["ndcg@10"]
        assert found[exclude_seen] == report["ndcg@10"]
    assert found[True] > found[False]


@pytest.mark.parametrize("kind", [er.SASRec, er.Popularity])
def test_exclude_seen_is_true_or_false(split, kind):
    with pytest.raises(er.ConfigError, match="exclude_seen must be True or False, got 'no'"):
        kind().fit(split.train, validation=split.valid, exclude_seen="no", progress=False)


@pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "bpr_max"])
def test_sparse_gradients_move_only_the_rows_of_a_step(split, loss):
    def weights(sparse: bool, epochs: int) -> np.ndarray:
        options = {"loss": loss, "negatives": 2, "batch_size": 120 if epochs == 1 else 2}
        model = fit(
            split, validation=False, epochs=epochs, sparse_gradients=sparse, dropout=0, **options
        )
        return model.parameters()["item_embedding"]

    # The first step of Adam leaves a row without a gradient where it is.
    np.testing.assert_allclose(weights(True, 1), weights(False, 1), rtol=1e-5, atol=1e-6)
    assert np.abs(weights(True, 2) - weights(False, 2)).max() > 1e-4


def test_sparse_gradients_need_a_loss_of_sampled_items(split):
    with pytest.raises(er.ConfigError, match=r"sparse_gradients needs .* got loss \"softmax\""):
        fit(split, epochs=1, sparse_gradients=True)


def test_patience_ends_training(split):
    model = fit(split, epochs=500, patience=2, learning_rate=0.05)
    assert model.stopped_ == "patience"
    assert len(model.history_) == model.best_epoch_ + 2


def test_without_validation_the_last_epoch_is_kept(split):
    model = fit(split, epochs=4, patience=1, validation=False)
    assert (model.best_epoch_, len(model.history_), model.stopped_) == (4, 4, "epochs")


def test_a_callback_that_returns_true_ends_training(split):
    seen = []

    def watch(model: er.SASRec, row: dict[str, float]) -> bool:
        seen.append((model.history_[-1] == row, len(model.recommend([1])["item"])))
        return row["epoch"] == 2

    model = fit(split, epochs=9, callbacks=[watch])
    assert model.stopped_ == "callback"
    assert seen == [(True, 10)] * 2


def test_a_callback_that_fails_leaves_a_model_that_works(split):
    def fail(model: er.SASRec, row: dict[str, float]) -> None:
        raise RuntimeError("mine")

    model = er.SASRec(**SMALL)
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(split.train, progress=False, callbacks=[fail])
    assert model.stopped_ == "unfinished"
    assert len(model.recommend([1])["item"]) == 10
    model.set_params(epochs=1).fit(split.train, progress=False)
    assert model.stopped_ == "epochs"


def test_the_checkpoint_is_the_best_model_so_far(split, tmp_path):
    path = tmp_path / "best.safetensors"
    found = []
    model = fit(
        split,
        epochs=6,
        checkpoint=path,
        callbacks=[lambda model, row: found.append(er.load(path).best_epoch_)],
    )
    best = er.load(path)
    assert same_parameters(best, model)
    assert best.best_epoch_ == model.best_epoch_ == found[-1]
    assert found == sorted(found)


@pytest.mark.parametrize("kind", [er.SASRec, er.Popularity])
def test_the_folder_of_the_checkpoint_is_looked_for_before_training(split, tmp_path, kind):
    model, path = kind(), tmp_path / "none" / "best"
    with pytest.raises(FileNotFoundError, match=f"no such folder: '{re.escape(str(path))}'"):
        model.fit(split.train, progress=False, checkpoint=path)
    assert not hasattr(model, "items_")


def test_warm_start_goes_on(split):
    model = fit(split, epochs=2, validation=False, warm_start=True)
    first = model.parameters()["item_embedding"]
    model.set_params(epochs=3).fit(split.train, progress=False)
    assert [row["epoch"] for row in model.history_] == [1, 2, 3, 4, 5]
    assert not np.array_equal(first, model.parameters()["item_embedding"])
    assert model.history_[2]["loss"] < model.history_[0]["loss"]


def test_warm_start_needs_the_same_items_and_sizes(split, data):
    model = fit(split, epochs=1, warm_start=True)
    with pytest.raises(er.DataError, match="items of the log before"):
        model.fit(er.Interactions({"user": [1, 1], "item": [1, 2]}))
    with pytest.raises(er.ConfigError, match="warm_start cannot change inner_dim, dropout"):
        model.set_params(inner_dim=8, dropout=0.0).fit(split.train)
    assert len(model.recommend([1])["item"]) == 10


@pytest.mark.parametrize("loss", ["sampled_softmax", "bce", "gbce", "bpr", "bpr_max", "top1"])
@pytest.mark.parametrize("sampler", ["uniform", "popularity", "log_uniform"])
def test_every_sampled_loss_falls(split, loss, sampler):
    model = fit(split, loss=loss, sampler=sampler, negatives=8, epochs=6, validation=False)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "post"},
        {"norm": "query", "activation": "relu", "scale_embedding": True},
        {"tied": False, "activation": "silu"},
        {"optimizer": "adamw", "weight_decay": 0.01, "adam_form": "tensorflow"},
        {"schedule": "cosine", "warmup_steps": 3, "gradient_clip": 1.0},
        {"schedule": "linear", "label_smoothing": 0.1},
        {"optimizer": "adagrad", "learning_rate": 0.1},
        {"samples": "prefixes"},
        {"attention": "linear"},
        {"attention": "linear_causal", "samples": "positions"},
        {"attention": "linear_decayed", "norm": "post", "heads": 4},
        {"attention": "linear_official", "norm": "post"},
        {"crop": "random", "max_length": 3},
        {"crop": "all", "max_length": 3},
        {"attention_dropout": 0.3, "inner_dropout": 0.3, "blocks": 3, "heads": 4},
        {"batch_size": 1, "epochs": 2},
        {"batch_size": 10**6},
    ],
    ids=str,
)
def test_every_option_trains(split, options):
    model = fit(split, **{"epochs": 6, **options})
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    assert np.isfinite(model.scores([[1, 2], []])).all()


def test_parameters_may_be_kept_from_decay(split):
    options = {**SMALL, "epochs": 2, "optimizer": "adamw"}
    plain, none, biases = (
        er.SASRec(**options, **more).fit(split.train, progress=False)
        for more in (
            {},
            {"weight_decay": 0.5, "undecayed": ("weight", "bias", "embedding")},
            {"weight_decay": 0.5, "undecayed": ["bias"]},
        )
    )
    assert same_parameters(plain, none)
    assert not same_parameters(plain, biases)


@pytest.mark.parametrize("attention", ["linear", "linear_official"])
def test_attention_that_looks_ahead_cannot_train_on_all_positions(split, attention):
    with pytest.raises(er.ConfigError, match='samples "positions" need a causal model'):
        fit(split, attention=attention, samples="positions")


def test_equal_seeds_give_equal_bits_and_others_do_not(split):
    one, two = fit(split, epochs=2, random_state=5), fit(split, epochs=2, random_state=5)
    assert same_parameters(one, two)
    assert [row["loss"] for row in one.history_] == [row["loss"] for row in two.history_]
    assert not same_parameters(one, fit(split, epochs=2, random_state=6))


@pytest.mark.parametrize("rate", [1e30, 1e38, 1e300])
@pytest.mark.parametrize("validation", [True, False])
def test_divergence_names_the_epoch_and_keeps_finite_weights(split, rate, validation):
    model = er.SASRec(**{**SMALL, "learning_rate": rate}, epochs=5)
    with pytest.raises(er.TrainingDiverged, match=r"epoch \d: .*learning_rate") as caught:
        model.fit(split.train, validation=split.valid if validation else None, progress=False)
    assert isinstance(caught.value, FloatingPointError)
    if hasattr(model, "items_"):  # there were finite weights
        assert all(np.isfinite(values).all() for values in model.parameters().values())


def test_divergence_later_on_keeps_the_best_epoch(split, monkeypatch):
    native = _training.native
    advance, calls = native.trainer_advance, []

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(native, name)

        def trainer_advance(self, *arguments: object) -> object:
            calls.append(arguments)
            if len(calls) > 3:
                raise FloatingPointError("step 4: gradient of item_embedding is not finite")
            return advance(*arguments)

    monkeypatch.setattr(_training, "native", Failing())
    snapshots = []
    model = er.SASRec(**SMALL, batch_size=1000)
    with pytest.raises(er.TrainingDiverged, match="epoch 4: step 4: gradient of item_embedding"):
        model.fit(
            split.train,
            validation=split.valid,
            progress=False,
            callbacks=[lambda model, row: snapshots.append(model.parameters())],
        )
    kept = snapshots[model.best_epoch_ - 1]
    assert all(np.array_equal(kept[name], now) for name, now in model.parameters().items())


def test_a_log_without_an_order_to_learn_is_refused():
    with pytest.raises(er.DataError, match="no user of the log has two items"):
        er.SASRec().fit(er.Interactions({"user": [1, 2], "item": [1, 2]}))


def test_users_with_one_item_train_nothing_but_are_answered():
    log = er.Interactions({"user": [1, 1, 1, 2], "item": [1, 2, 3, 1]})
    model = er.SASRec(dim=4, epochs=1, heads=1).fit(log, progress=False)
    assert len(model.recommend([2], k=5)["item"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"validation": "valid"},
        {"callbacks": [1]},
        {"callbacks": print},
        {"callbacks": None},
        {"progress": "bar"},
    ],
)
def test_odd_arguments_of_fit_are_refused(split, arguments):
    with pytest.raises((er.DataError, er.ConfigError)):
        er.SASRec(**SMALL).fit(split.train, **arguments)
    if "callbacks" in arguments:
        for model in (er.SASRec(**SMALL), er.Popularity()):
            with pytest.raises(er.ConfigError, match="callbacks must be a list of callables"):
                model.fit(split.train, **arguments)
    with pytest.raises(er.DataError, match=r"pass split\.train"):
        er.SASRec().fit(split)


def test_a_second_fit_at_once_is_refused(split):
    model = er.SASRec(**SMALL, epochs=1)
    errors = []

    def use(model: er.SASRec, row: dict[str, float]) -> None:
        def other_thread() -> None:
            for call in (lambda: model.fit(split.train), lambda: model.recommend([1])):
                try:
                    call()
                except er.ConcurrentFitError as error:
                    errors.append(str(error))

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()

    model.fit(split.train, progress=False, callbacks=[use])
    assert [error.partition(";")[0] for error in errors] == [
        "fit is already running on this model",
        "the model is being fitted in another thread",
    ]
    assert len(model.recommend([1])["item"]) == 10


class TestProgress:
    def test_plain_lines_where_nothing_can_be_rewritten(self, split, capfd):
        fit(split, epochs=2, progress=True)
        out, err = capfd.readouterr()
        assert out == ""
        lines = err.splitlines()
        pattern = r"epoch 2/2: loss \d+\.\d{4}, ndcg@10 \d\.\d{4}, \d+\.\d s, [\d,]+k? tokens/s"
        assert len(lines) == 2
        assert re.fullmatch(pattern, lines[1])

    def test_one_updating_line_in_a_terminal(self, split, capfd, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        fit(split, epochs=3, progress=True)
        err = capfd.readouterr().err
        assert err.count("\n") == 1
        last = err.rstrip().rpartition("\r")[2]
        assert re.search(r"epoch 3/3 100%.* loss \d\.\d{4}, ndcg@10 \d\.\d{4}, .* tokens/s", last)

    def test_silence_on_request(self, split, capfd):
        fit(split, epochs=1, progress=False)
        assert capfd.readouterr() == ("", "")

    def test_no_standard_error_at_all(self, split, monkeypatch):
        monkeypatch.setattr("sys.stderr", None)
        fit(split, epochs=1, progress=True)
