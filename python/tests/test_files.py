"""Model files: what is saved comes back, and damaged files are refused, never obeyed."""

from __future__ import annotations

import json
import os
import pickle
import re

import numpy as np
import pytest
from conftest import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as write_tensors

import elastirec as er
from elastirec import _files


@pytest.fixture(scope="module")
def small() -> er.SASRec:
    log = er.Interactions({"user": ["a", "a", "b", "b"], "item": ["tea", "milk", "tea", "rice"]})
    return er.SASRec(dim=4, inner_dim=4, blocks=1, max_length=3, epochs=2).fit(log, progress=False)


@pytest.fixture(scope="module")
def good(small) -> bytes:
    return _files.to_bytes(small)


def load_bytes(data: bytes, folder: object) -> er.SASRec:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return er.load(path)


def described(good: bytes) -> dict[str, dict[str, object]]:
    """What a file says of itself."""
    size = int.from_bytes(good[:8], "little")
    return json.loads(json.loads(good[8 : 8 + size])["__metadata__"]["elastirec"])


def rewritten(good: bytes, header: dict[str, object], tensors: dict[str, object]) -> bytes:
    """A file with other contents and a checksum that is right for them."""
    description = described(good)
    model = {**description["model"], **header}
    contents = {**read_tensors(good), **tensors}
    contents = {name: values for name, values in contents.items() if values is not None}
    description = {**description, "model": model, "checksum": _files._checksum(model, contents)}
    return write_tensors(contents, {"elastirec": json.dumps(description)})


def test_everything_comes_back(sasrec, split, tmp_path):
    sasrec.save(tmp_path / "model.safetensors")
    again = er.load(str(tmp_path / "model.safetensors"))
    assert again.get_params() == sasrec.get_params()
    for name in ("history_", "best_epoch_", "stopped_", "seed_"):
        assert getattr(again, name) == getattr(sasrec, name)
    assert again.users_.tolist() == sasrec.users_.tolist()
    np.testing.assert_array_equal(again.scores([[1, 2], []]), sasrec.scores([[1, 2], []]))
    assert dict(again.evaluate(split.test)) == dict(sasrec.evaluate(split.test))
    assert type(again.recommend([1])) is type(sasrec.recommend([1]))


def test_ids_of_every_kind_come_back(tmp_path):
    for ids in (["ü", "日本", ""], [-5, 0, 2**62], [1, 2, 2**63 + 5]):
        log = er.Interactions({"user": ids, "item": ids})
        er.Popularity().fit(log).save(tmp_path / "model")
        again = er.load(tmp_path / "model")
        assert again.items_.tolist() == ids or sorted(ids) == again.items_.tolist()
        assert again.recommend([ids[0]], output="arrays")[0].dtype == again.items_.dtype


def test_files_are_plain_safetensors(small, tmp_path):
    small.save(tmp_path / "model.safetensors")
    tensors = read_tensors((tmp_path / "model.safetensors").read_bytes())
    for name, values in small.parameters().items():
        np.testing.assert_array_equal(tensors[name], values)


def test_saving_replaces_a_file_whole_or_not_at_all(small, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            small.save(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.safetensors"]
    small.save(path)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert path.read_bytes() == _files.to_bytes(small)


def test_a_missing_file_and_folder_are_the_usual_errors(small, tmp_path):
    with pytest.raises(FileNotFoundError):
        er.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"none/model'$"):
        small.save(tmp_path / "none" / "model")
    with pytest.raises(IsADirectoryError, match=rf": '{re.escape(str(tmp_path))}'$"):
        small.save(tmp_path)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))
    with pytest.raises(IsADirectoryError):
        er.load(tmp_path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 64, b"\xff" * 64, b"{}", b"PK\3\4" * 9])
def test_other_files_are_refused(data, tmp_path):
    with pytest.raises(er.ModelFileError, match=r"model\.safetensors: the model file"):
        load_bytes(data, tmp_path)


def test_other_safetensors_are_refused(tmp_path):
    with pytest.raises(er.ModelFileError, match="no model of elastirec"):
        load_bytes(write_tensors({"w": np.ones(3, np.float32)}), tmp_path)


def test_a_newer_format_says_who_wrote_it(good, tmp_path):
    newer = good.replace(rb"\"format\": 1", rb"\"format\": 2")
    assert newer != good
    with pytest.raises(er.ModelFileError, match=r"format 2, written by elastirec .*upgrade"):
        load_bytes(newer, tmp_path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_never_overlooked(good, small, data):
    place = data.draw(st.integers(0, len(good) - 1))
    damaged = bytearray(good)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        model = _files.from_bytes(bytes(damaged))
    except er.ModelFileError:
        return
    # Only what the checksum leaves out, such as the version of the writer, may differ.
    assert pickle.dumps(model.parameters()) == pickle.dumps(small.parameters())
    assert model.get_params() == small.get_params()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_truncated_or_extended_file_is_refused(good, data):
    size = data.draw(st.integers(0, len(good) - 1))
    for damaged in (good[:size], good + good[: size + 1], good[size + 1 :]):
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(damaged)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2**64 - 1))
def test_noise_is_refused(noise, length):
    for data in (
        noise,
        length.to_bytes(8, "little") + noise,
        len(noise).to_bytes(8, "little") + noise,
    ):
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(data)


def changed(good: bytes, name: str, place: int, value: float) -> dict[str, object]:
    values = read_tensors(good)[name].copy()
    values.ravel()[place] = value
    return {name: values}


FORGED = {
    "no weights": lambda good: {"item_embedding": None},
    "another weight": lambda good: {"extra": np.ones(2, np.float32)},
    "NaN": lambda good: changed(good, "item_embedding", 3, np.nan),
    "a wrong shape": lambda good: {"item_embedding": np.ones((3, 5), np.float32)},
    "a wrong type": lambda good: {"item_embedding": np.ones((3, 4), np.float64)},
    "no items": lambda good: {"elastirec.items": None},
    "too many items": lambda good: {"elastirec.items": np.arange(4)},
    "items twice": lambda good: {"elastirec.items": np.array([1, 1, 2])},
    "items out of order": lambda good: {"elastirec.items": np.array([3, 1, 2])},
    "items of floats": lambda good: {"elastirec.items": np.array([1.0, 2.0, 3.0])},
    "items of half a text": lambda good: {"elastirec.items": np.frombuffer(b'["a', np.uint8)},
    "items of numbers as text": lambda good: {
        "elastirec.items": np.frombuffer(b"[1,2,3]", np.uint8)
    },
    "no users": lambda good: {"elastirec.users": None},
    "an item out of range": lambda good: changed(good, "elastirec.history_items", 0, 3),
    "a negative item": lambda good: changed(good, "elastirec.history_items", 0, -1),
    "items of another type": lambda good: {"elastirec.history_items": np.zeros(4, np.int64)},
    "offsets that fall": lambda good: {"elastirec.history_offsets": np.array([0, 5, 4])},
    "offsets beyond": lambda good: {"elastirec.history_offsets": np.array([0, 2, 9])},
    "offsets from elsewhere": lambda good: {"elastirec.history_offsets": np.array([1, 2, 4])},
    "too few offsets": lambda good: {"elastirec.history_offsets": np.array([0, 4])},
    "no offsets": lambda good: {"elastirec.history_offsets": np.array([], np.int64)},
    "negative counts": lambda good: changed(good, "elastirec.counts", 0, -1),
    "too few counts": lambda good: {"elastirec.counts": np.ones(2, np.int64)},
    "an endless fallback": lambda good: changed(good, "elastirec.fallback", 0, np.inf),
    "too short a fallback": lambda good: {"elastirec.fallback": np.ones(1, np.float32)},
}


@pytest.mark.parametrize("name", FORGED)
def test_contradictions_are_refused_even_with_a_right_checksum(good, name, tmp_path):
    with pytest.raises(er.ModelFileError):
        load_bytes(rewritten(good, {}, FORGED[name](good)), tmp_path)


CONFIGURATION = {
    "model": "sasrec",
    "items": 3,
    "dim": 4,
    "inner_dim": 4,
    "blocks": 1,
    "max_length": 3,
}


@pytest.mark.parametrize(
    "header",
    [
        {"class": "Unknown"},
        {"class": "Popularity"},
        {"class": None},
        {"params": {}},
        {"params": None},
        {"learned": None},
        {"configuration": None},
        {"configuration": {}},
        {"configuration": {**CONFIGURATION, "items": 4}},
        {"configuration": {**CONFIGURATION, "dim": 2**40}},
        {"configuration": {**CONFIGURATION, "max_length": 2**31}},
        {"configuration": {**CONFIGURATION, "inner_dim": 10**12}},
        {"configuration": {**CONFIGURATION, "blocks": 10**9}},
        {"configuration": {**CONFIGURATION, "heads": 3}},
        {"configuration": {**CONFIGURATION, "surprise": 1}},
        {"configuration": {**CONFIGURATION, "model": "gpt"}},
    ],
    ids=str,
)
def test_a_forged_description_is_refused(good, header, tmp_path):
    with pytest.raises(er.ModelFileError):
        load_bytes(rewritten(good, header, {}), tmp_path)


@pytest.mark.parametrize("factor", [0, -1, 2, 10**6, 10**12])
def test_no_model_sets_memory_aside_for_sizes_that_its_weights_do_not_have(any_model, factor):
    good = _files.to_bytes(any_model)
    configuration = any_model._fitted.network.configuration
    sizes = {name: value for name, value in configuration.items() if type(value) is int}
    free = {"seed", "heads"}
    if "position_embedding" not in any_model.parameters():
        free.add("max_length")  # which none of the weights knows
    forged = {name: value * factor for name, value in sizes.items() if name not in free}
    forged |= {name: value * 2 for name, value in configuration.items() if type(value) is list}
    if "hidden" in configuration:
        forged["hidden"] = [value * factor for value in configuration["hidden"]]
    changes = list(forged.items())
    changes += [(name, []) for name, value in configuration.items() if type(value) is list]
    for name, value in changes:
        header = {"configuration": {**configuration, name: value}}
        with pytest.raises(er.ModelFileError):
            _files.from_bytes(rewritten(good, header, {}))


def test_a_model_whose_file_was_only_rewritten_is_read(good, small, tmp_path):
    again = load_bytes(rewritten(good, {}, {}), tmp_path)
    np.testing.assert_array_equal(again.scores([["tea"]]), small.scores([["tea"]]))


def test_an_option_that_is_newer_than_the_file_has_its_default(split):
    model = er.SASRec(**SMALL, epochs=1, label_smoothing=0.1).fit(split.train, progress=False)
    good = _files.to_bytes(model)
    options = described(good)["model"]["params"]
    del options["label_smoothing"]
    again = _files.from_bytes(rewritten(good, {"params": options}, {}))
    assert again.get_params() == {**model.get_params(), "label_smoothing": 0.0}
    np.testing.assert_array_equal(again.scores([[1, 2]]), model.scores([[1, 2]]))
    del options["dim"]  # of which the network knows
    with pytest.raises(er.ModelFileError, match="dim"):
        _files.from_bytes(rewritten(good, {"params": options}, {}))


def test_training_goes_on_where_an_option_of_the_network_is_newer_than_the_file(split):
    model = er.SASRec(**SMALL, epochs=1, warm_start=True).fit(split.train, progress=False)
    good = _files.to_bytes(model)
    old = {name: dict(described(good)["model"][name]) for name in ("params", "configuration")}
    for part in old.values():
        del part["tied"]
    again = _files.from_bytes(rewritten(good, old, {}))
    np.testing.assert_array_equal(again.scores([[1, 2]]), model.scores([[1, 2]]))
    assert len(again.fit(split.train, progress=False).history_) == 2
    with pytest.raises(er.ConfigError, match="warm_start cannot change tied"):
        again.set_params(tied=False).fit(split.train)


def test_parameters_that_no_file_can_hold_are_named(split):
    model = er.SASRec(**SMALL, epochs=1).fit(split.train, progress=False)
    model.set_params(dropout=[0.1])
    with pytest.raises(er.ConfigError, match=r"dropout=\[0\.1\] cannot be saved"):
        pickle.dumps(model)
