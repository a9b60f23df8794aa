"""Threads, forks and Ctrl-C, each with an end in sight."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import SMALL, same_parameters

import elastirec as er

PATIENCE = 60  # seconds after which a test counts as hanging


def test_equal_bits_for_any_number_of_threads(split):
    models = [
        er.SASRec(**SMALL, epochs=3, n_jobs=n).fit(
            split.train, validation=split.valid, progress=False
        )
        for n in (1, 2, 3)
    ]
    for other in models[1:]:
        assert same_parameters(models[0], other)
        losses = [[row["loss"] for row in model.history_] for model in (models[0], other)]
        assert losses[0] == losses[1]
        histories = [[i % 30, 3 * i % 30, 5] for i in range(200)]
        np.testing.assert_array_equal(models[0].scores(histories), other.scores(histories))


def test_threads_that_ask_at_once_get_what_one_alone_gets(model):
    histories = [[i % 30, (i * i) % 30] for i in range(64)]

    def ask(histories: list[list[int]]) -> np.ndarray:
        return model.recommend(histories=histories, k=5, output="arrays")[1]

    alone = [ask([history]) for history in histories]
    together = ask(histories)
    with ThreadPoolExecutor(4) as pool:
        crowded = list(pool.map(ask, [[history] for history in histories] * 5))
        batches = list(pool.map(ask, [histories] * 12))
    for place, scores in enumerate(crowded):
        np.testing.assert_array_equal(scores, alone[place % 64])
    for scores in batches:
        np.testing.assert_array_equal(scores, together)


def test_heavy_requests_at_once_never_mix(data):
    log = er.datasets.synthetic(n_users=1000, n_items=500, length=50).log
    model = er.SASRec(dim=32, epochs=1, n_jobs=1).fit(log, progress=False)
    histories = [log.history(user).tolist() for user in range(1000)]
    alone = model.scores(histories)

    def differs(_: int) -> bool:
        return not np.array_equal(model.scores(histories), alone)

    with ThreadPoolExecutor(2) as pool:
        assert not any(pool.map(differs, range(60)))
    model.set_params(n_jobs=2)
    assert not any(map(differs, range(60)))


def test_weights_change_between_requests_not_within(sasrec):
    import pickle

    model = pickle.loads(pickle.dumps(sasrec))
    one = model.parameters()
    two = {name: values * np.float32(1.5) for name, values in one.items()}
    answers = []
    for weights in (one, two):
        model.set_parameters(weights)
        answers.append(model.scores([[1, 2]]).tobytes())
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            model.set_parameters(one)
            model.set_parameters(two)

    thread = threading.Thread(target=change)
    thread.start()
    found = {model.scores([[1, 2]]).tobytes() for _ in range(300)}
    stop.set()
    thread.join()
    assert found <= set(answers)


def test_two_models_train_at_once(split):
    expected = er.SASRec(**SMALL, epochs=2).fit(split.train, progress=False)
    with ThreadPoolExecutor(2) as pool:
        models = [er.SASRec(**SMALL, epochs=2) for _ in range(2)]
        fitted = list(pool.map(lambda m: m.fit(split.train, progress=False), models))
    assert all(same_parameters(model, expected) for model in fitted)


def _train_and_ask(model: er.SASRec, split: er.Split, queue: object) -> None:
    fresh = er.SASRec(**SMALL, epochs=1, n_jobs=2).fit(split.train, progress=False)
    queue.put((model.scores([[1, 2]]), fresh.scores([[1, 2]])))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains_and_recommends(split, sasrec):
    expected = er.SASRec(**SMALL, epochs=1, n_jobs=2).fit(split.train, progress=False)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_train_and_ask, args=(sasrec, split, queue))
    child.start()
    try:
        old, new = queue.get(timeout=PATIENCE)
        child.join(PATIENCE)
        assert child.exitcode == 0
    finally:
        child.kill()
    np.testing.assert_array_equal(old, sasrec.scores([[1, 2]]))
    np.testing.assert_array_equal(new, expected.scores([[1, 2]]))
    again = er.SASRec(**SMALL, epochs=1, n_jobs=2).fit(split.train, progress=False)
    assert same_parameters(again, expected)


ENDLESS = """
    import time, warnings
    import elastirec as er

    warnings.simplefilter("ignore", er.LeakageWarning)
    data = er.datasets.synthetic(n_users=3000, n_items=500, length=50)
    split = er.leave_one_out(data.log)
    def began(model, row):
        print("epoch", flush=True)
    model = er.SASRec(dim=32, epochs=10_000, patience=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(split.train, validation=VALIDATION, progress=False, callbacks=[began])
        returned = time.monotonic()
    assert [w.category for w in caught] == [er.InterruptedWarning], caught
    assert model.stopped_ == "interrupted"
    if VALIDATION is not None:
        best = max(model.history_, key=lambda row: row["ndcg@10"])
        assert model.best_epoch_ == best["epoch"]
        assert model.evaluate(split.valid, 10)["ndcg@10"] == best["ndcg@10"]
    assert model.recommend([1], output="arrays")[0].shape == (1, 10)
    print(returned, flush=True)
"""


@pytest.mark.parametrize("validation", ["split.valid", "None"])
def test_ctrl_c_ends_fit_within_a_second_and_keeps_the_model(validation):
    code = textwrap.dedent(ENDLESS).replace("VALIDATION", validation)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        watchdog = threading.Timer(PATIENCE, child.kill)
        watchdog.start()
        try:
            assert child.stdout.readline() == "epoch\n", child.stderr.read()
            time.sleep(0.2)
            asked = time.monotonic()
            os.kill(child.pid, signal.SIGINT)
            lines = [line for line in child.stdout if line != "epoch\n"]
            assert child.wait() == 0, child.stderr.read()
        finally:
            watchdog.cancel()
    assert float(lines[0]) - asked < 1  # both clocks are the system's


def test_ctrl_c_before_the_first_step_leaves_the_model_as_it_was(split, monkeypatch):
    from elastirec import _training

    native = _training.native

    class Interrupted:
        def __getattr__(self, name: str) -> object:
            return getattr(native, name)

        def trainer_advance(self, *arguments: object) -> object:
            raise KeyboardInterrupt

    monkeypatch.setattr(_training, "native", Interrupted())
    model = er.SASRec(**SMALL, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(split.train, progress=False)
    with pytest.raises(er.NotFittedError):
        model.parameters()
    monkeypatch.undo()
    before = model.fit(split.train, progress=False).parameters()
    monkeypatch.setattr(_training, "native", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        model.set_params(dim=8).fit(split.train, progress=False)
    after = model.parameters()
    assert all(np.array_equal(before[name], after[name]) for name in before)
