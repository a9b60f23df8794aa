"""Model files: safetensors with the weights, the ids, the histories and, as JSON, the rest.

A file is one header of JSON and the raw tensors (github.com/huggingface/safetensors). Weights stand
under their own names, what else a model needs under names that begin with "elastirec.". The
metadata "elastirec" is JSON with the version of this format and a checksum over all of the rest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elastirec._file_parts import (
    Tensors,
    check_rows,
    pack_features,
    pack_ids,
    pack_origins,
    read_features,
    read_ids,
    read_origins,
    require,
    wrong,
)
from elastirec._network import Fitted, Network
from elastirec.errors import ConfigError, DataError, ModelFileError

if TYPE_CHECKING:
    from elastirec._model import Model

FORMAT = 1
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
LEARNED = ("history_", "best_epoch_", "stopped_", "seed_")


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to ``path``: the file is there with all of it, or as it was before."""
    target = Path(path)
    expect_folder(target)
    data = to_bytes(model)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as problem:
        if problem.filename is None:
            raise
        raise OSError(problem.errno, problem.strerror, os.fspath(path)) from None  # not temporary
    finally:
        temporary.unlink(missing_ok=True)


def expect_folder(path: str | os.PathLike[str]) -> None:
    """Raise a FileNotFoundError where there is no folder to write ``path`` in."""
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", os.fspath(path))


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that ``save`` wrote.

    Parameters
    ----------
    path : path of a file

    Returns
    -------
    Recommender
        The model as it was saved, of the class that it had.

    Raises
    ------
    ModelFileError
        If the file is damaged, is no model, or was written by a newer version.
    OSError
        If the file cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        return from_bytes(data)
    except ModelFileError as problem:
        raise ModelFileError(f"{os.fspath(path)}: {problem}") from None


def to_bytes(model: Model) -> bytes:
    """Return a fitted model as the bytes of a file."""
    from safetensors.numpy import save as serialize

    state = model._state()
    header: dict[str, Any] = {
        "class": type(model).__name__,
        "params": _packed_params(model),
        "configuration": state.network.configuration,
        "library": state.library,
        "learned": {name: getattr(model, name) for name in LEARNED if hasattr(model, name)},
    }
    features, origins = state.network.features, state.network.origins
    if features:
        header["features"] = [feature.name for feature in features]
    if origins:
        header["origins"] = [{"weights": one.weights, "size": one.size} for one in origins]
    tensors: Tensors = {
        **state.network.parameters(),
        **pack_features(features),
        **pack_origins(origins),
        "elastirec.items": pack_ids(state.items),
        "elastirec.users": pack_ids(state.users),
        "elastirec.history_items": state.histories[0],
        "elastirec.history_offsets": state.histories[1],
        "elastirec.counts": state.counts,
        "elastirec.fallback": state.network.fallback,
    }
    description = {
        "format": FORMAT,
        "version": version("elastirec"),
        "checksum": _checksum(header, tensors),
        "model": header,
    }
    metadata = {"elastirec": json.dumps(description, allow_nan=False)}
    return bytes(serialize(tensors, metadata))


def from_bytes(data: bytes) -> Model:
    """Return the model that the bytes of a file hold.

    Raises
    ------
    ModelFileError
        If the bytes are damaged, contradict themselves or come from a newer version.
    """
    from elastirec._model import MODELS

    header, tensors = _read(data)
    try:
        kind = MODELS[header["class"]]
        written, configuration = header["params"], header["configuration"]
        # An option that is newer than the file has its default, which is what was done without it.
        known = [name for name in kind._defaults() if name in written or name in configuration]
        params = {name: _unpacked(written[name]) for name in known}
        learned = {name: value for name, value in header["learned"].items() if name in LEARNED}
        state = _state(kind, header, tensors)
    except ModelFileError:
        raise
    except _MALFORMED as problem:
        raise wrong(f"lacks {problem} or has it in a wrong form") from None
    except MemoryError:
        raise wrong("describes a model too large for this machine") from None
    model = kind(**params)
    model._set_state(state)
    for name, value in learned.items():
        setattr(model, name, value)
    return model


def _read(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """Return the description and the tensors of a file whose checksum is right."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialize

    try:
        tensors: Tensors = deserialize(data)
        size = int.from_bytes(data[:8], "little")
        text = json.loads(data[8 : 8 + size]).get("__metadata__", {}).get("elastirec")
        description = {} if text is None else json.loads(text)
        number, header = description.get("format"), description.get("model")
    except (SafetensorError, *_MALFORMED) as problem:
        raise wrong(f"is damaged or no model file: {problem}") from None
    if not isinstance(number, int) or not isinstance(header, dict):
        raise wrong("is a safetensors file, but no model of elastirec")
    if number > FORMAT:
        writer = description.get("version", "a newer version")
        raise wrong(
            f"has format {number}, written by elastirec {writer}; this version reads formats up to"
            f" {FORMAT}: upgrade elastirec"
        )
    if description.get("checksum") != _checksum(header, tensors):
        raise wrong("is damaged: its checksum differs")
    return header, tensors


def _checksum(header: Mapping[str, Any], tensors: Tensors) -> str:
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _state(kind: type[Model], header: Mapping[str, Any], tensors: Tensors) -> Fitted:
    """Return what was fitted, all of it checked."""
    items, users = (read_ids(name, tensors[f"elastirec.{name}"]) for name in ("items", "users"))
    counts = tensors["elastirec.counts"]
    require(counts.dtype == np.int64 and counts.shape == (len(items),), "has wrong counts")
    require(not len(counts) or counts.min() >= 0, "has negative counts")
    histories = tensors["elastirec.history_items"], tensors["elastirec.history_offsets"]
    check_rows("histories", *histories, len(users), len(items))
    fallback = tensors["elastirec.fallback"]
    require(fallback.shape == (len(items),), "has wrong scores for empty histories")
    require(bool(np.isfinite(fallback).all()), "has endless scores for empty histories")
    weights = {name: w for name, w in tensors.items() if not name.startswith("elastirec.")}
    require(all(w.dtype == np.float32 for w in weights.values()), "has weights of a wrong type")
    configuration = header["configuration"]
    require(configuration["items"] == len(items), "counts its items in two ways")
    for name, shape in kind._outline(configuration).items():
        # Checked before the library sets aside memory for what the configuration says.
        require(weights[name].shape == shape, f"has a wrong shape of {name}")
    try:
        network = Network(configuration)
        require(network.shapes.keys() == weights.keys(), "has other weights than its kind of model")
        network.set_parameters(weights)
        network.set_fallback(fallback)
        network.set_features(read_features(header, tensors, len(items)))
        network.origins = read_origins(header, tensors, network.stream_size(), len(items))
    except (ConfigError, DataError) as problem:
        raise wrong(f"does not fit together: {problem}") from None
    return Fitted(network, items, users, histories, counts, header["library"])


def _packed_params(model: Model) -> dict[str, Any]:
    """Return the parameters as JSON can hold them; a tuple becomes {"tuple": [...]}."""
    packed: dict[str, Any] = {}
    for name, value in model.get_params().items():
        if model._parameters[name].is_sequence and isinstance(value, list | tuple):
            values = [_plain(name, each) for each in value]
            packed[name] = values if isinstance(value, list) else {"tuple": values}
        else:
            packed[name] = _plain(name, value)
    return packed


def _unpacked(value: Any) -> Any:
    return tuple(value["tuple"]) if isinstance(value, dict) else value


def _plain(name: str, value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is not None and not isinstance(plain, bool | int | float | str):
        raise ConfigError(f"{name}={value!r} cannot be saved; it must be a number, text or None")
    return plain
