"""What both sides of the benchmarks share: data, sizes of the model, measures, FLOPs."""

from __future__ import annotations

import csv
import json
import lzma
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
BATCH = 128
REQUESTS = 256
TOP = 10


@dataclass(frozen=True)
class Sizes:
    """Sizes of the SASRec that both sides train: pre-norm, GELU, dropout at the same places."""

    dim: int = 64
    inner_dim: int = 256
    blocks: int = 2
    heads: int = 2
    max_length: int = 200
    dropout: float = 0.2
    learning_rate: float = 1e-3
    norm_epsilon: float = 1e-12
    initial_std: float = 0.02


@dataclass(frozen=True)
class Histories:
    """Everybody's items, numbered from 0, in compressed-sparse-row form."""

    items: NDArray[np.int64]  # [events]
    offsets: NDArray[np.int64]  # [users + 1]
    source: str

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self.offsets) - 1

    @property
    def item_count(self) -> int:
        """How many items there are."""
        return int(self.items.max()) + 1

    def of(self, user: int, without: int = 0) -> NDArray[np.int64]:
        """Return the items of a user, but for the last ``without``."""
        return self.items[self.offsets[user] : self.offsets[user + 1] - without]


ITEMS = "items.tsv.xz"  # beside the logs
MAX_LENGTH = {"ml-1m": 200, "beauty": 50}
_FILES = {"ml-1m": "ml-1m/sasrec_ml-1m.txt.xz", "beauty": "amazon-beauty/inter.tsv.xz"}
_SHAPES = {"ml-1m": (6040, 3416, 165.5, 0.9), "beauty": (22363, 12101, 8.9, 0.6)}


def load(name: str) -> Histories:
    """Return a data set by name: "ml-1m", "beauty", or "users,length,items" for a synthetic one.

    Real data is looked for in ``ELASTIREC_DATA`` and in ``../shared/data``. Without it, synthetic
    histories of about the same number and lengths stand in, and ``source`` says so.
    """
    if "," in name:
        users, length, items = (int(part) for part in name.split(","))
        return synthetic(users, np.full(users, length), items, "synthetic")
    for folder in _folders():
        if (folder / _FILES[name]).exists():
            return _cached(name, folder / _FILES[name])
    users, items, mean, spread = _SHAPES[name]
    drawn = np.random.default_rng(0).lognormal(np.log(mean) - spread**2 / 2, spread, users)
    lengths = np.maximum(drawn.astype(np.int64), 5)
    return synthetic(users, lengths, items, f"synthetic, of the size of {name}")


def item_vectors(name: str, kind: str) -> NDArray[np.float32] | None:
    """Return what is known of the items of a data set, ``(items, width)``, or None without data.

    Parameters
    ----------
    name : {"ml-1m", "beauty"}
    kind : {"text", "words", "letters", "image"}
        all-MiniLM-L6-v2 of what is written about an item, which words or which runs of letters
        its title has (Beauty only), or features of its poster (ML-1M only). Items without it have
        zeros.
    """
    data = load(name)
    folder = next((path for path in _folders() if (path / _FILES[name]).exists()), None)
    if folder is None:
        return None
    parts = (folder / _FILES[name]).parent
    if kind in _TITLES and name != "beauty":
        raise ValueError(f"{kind} are those of the titles of beauty, not of {name}")
    file = ITEMS if kind in _TITLES else _STORED[kind]
    result = _title_counts(parts, kind) if kind in _TITLES else _stored_vectors(parts, name, file)
    if len(result) != data.item_count:
        raise ValueError(f"{file} is not about the {data.item_count} items of {name}")
    return result


_STORED = {"text": "text_minilm.npz", "image": "poster_features.npz"}
# What is counted in titles: words and pairs of them, or three to five letters side by side.
_TITLES: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2), "token_pattern": r"\b\w[\w'.&-]*\b"},
    "letters": {"ngram_range": (3, 5), "analyzer": "char_wb"},
}


def _stored_vectors(parts: Path, name: str, file: str) -> NDArray[np.float32]:
    """Return the vectors of a file in the order of item ids, zeros for items it does not have."""
    with np.load(parts / file) as arrays:
        ids, vectors = arrays["item"], arrays["vector"].astype(np.float32)
    if name == "ml-1m":
        numbers = np.loadtxt(parts / "sas_to_original_items.txt", dtype=np.int64)
        originals = numbers[np.argsort(numbers[:, 0]), 1]
    else:
        originals = np.sort(ids)
    places = np.searchsorted(ids, originals, sorter=np.argsort(ids)).clip(max=len(ids) - 1)
    rows = np.argsort(ids)[places]
    found = np.where(ids[rows] == originals, 1.0, 0.0).astype(np.float32)
    result: NDArray[np.float32] = vectors[rows] * found[:, None]
    return result


def item_rows(parts: Path) -> list[dict[str, str]]:
    """Return what the table of items in a folder says of each, in the order of ids."""
    with lzma.open(parts / ITEMS, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return sorted(rows, key=lambda row: int(row["item"]))


def _title_counts(parts: Path, kind: str, width: int = 384) -> NDArray[np.float32]:
    """Return which words or letters titles have, ``(items, width)``, in the order of ids.

    Counts weighed by how rare they are (TF-IDF), reduced by a singular value decomposition. They
    tell brands and series apart, where vectors of meaning bring them together.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(sublinear_tf=True, min_df=3, **_TITLES[kind])
    counts = weigh.fit_transform([row["title"] for row in item_rows(parts)])
    reduced = TruncatedSVD(width, random_state=0).fit_transform(counts)
    result: NDArray[np.float32] = reduced.astype(np.float32)
    return result


def whitened(vectors: NDArray[np.float32], length: float = 2.0) -> NDArray[np.float32]:
    """Return vectors about their mean that vary as much in every direction.

    What embeddings of texts have in common hides what tells them apart. ``length`` is the root mean
    square of the lengths of the results.
    """
    x = vectors - vectors.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(x.T @ x / len(x))
    x = x @ (directions / np.sqrt(np.maximum(variances, 1e-12)))
    return (length * x / np.sqrt((x**2).sum(axis=1).mean())).astype(np.float32)


def _folders() -> list[Path]:
    """Return where real data may be."""
    given = os.environ.get("ELASTIREC_DATA")
    return [*([Path(given)] if given else []), ROOT.parent / "shared" / "data"]


def synthetic(users: int, lengths: NDArray[np.int64], items: int, source: str) -> Histories:
    """Return histories of uniformly drawn items; each item occurs at least once."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    drawn = np.random.default_rng(1).integers(0, items, offsets[-1])
    places = np.random.default_rng(2).permutation(offsets[-1])[:items]
    drawn[places] = np.arange(items)[: len(places)]
    return Histories(drawn, offsets, source)


def _cached(name: str, path: Path) -> Histories:
    copy = build_folder() / f"data-{name}.npz"
    if not copy.exists() or copy.stat().st_mtime < path.stat().st_mtime:
        header = path.name.endswith(".tsv.xz")
        with lzma.open(path, "rt") as file:
            pairs = np.loadtxt(file, dtype=np.int64, skiprows=int(header), usecols=(0, 1))
        order = np.argsort(pairs[:, 0], kind="stable")
        _, counts = np.unique(pairs[:, 0], return_counts=True)
        items = np.unique(pairs[:, 1], return_inverse=True)[1][order]
        part = copy.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, items=items, offsets=np.concatenate([[0], np.cumsum(counts)]))
        part.replace(copy)
    with np.load(copy) as arrays:
        return Histories(arrays["items"], arrays["offsets"], path.name)


def build_folder() -> Path:
    """Return the folder for what the benchmarks leave behind, which git ignores."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / ".gitignore").write_text("*\n")
    return BUILD


def request_histories(data: Histories, length: int, count: int) -> list[list[int]]:
    """Return the newest items of some people who have ``length`` of them, as lists of item ids.

    With ``length=0`` people and lengths are as they come. Ids are the numbers from 0.
    """
    lengths = np.diff(data.offsets)
    longest = lengths.max() if length == 0 else length
    able = np.flatnonzero(lengths >= min(length, lengths.max()))
    people = np.random.default_rng(3).choice(able, count, replace=len(able) < count)
    return [data.of(int(person))[-int(longest) :].tolist() for person in people]


def training_lengths(data: Histories, max_length: int) -> NDArray[np.int64]:
    """Return how many positions each user trains: all events but two, the newest window."""
    return np.clip(np.diff(data.offsets) - 3, 0, max_length)


def training_flops(lengths: NDArray[np.int64], items: int, sizes: Sizes) -> float:
    """Return the floating-point operations that one epoch needs, forward and backward.

    Only matrix products count: four linear maps and causal attention in each block, and logits of
    all items. Backward takes twice the forward; nothing is computed twice.
    """
    dim, inner = sizes.dim, sizes.inner_dim
    token = sizes.blocks * 2 * dim * (4 * dim + 2 * inner) + 2 * dim * items
    pairs = float((lengths * (lengths + 1) // 2).sum())
    forward = float(lengths.sum()) * token + sizes.blocks * 4 * dim * pairs
    return 3 * forward


def request_flops(length: int, items: int, sizes: Sizes) -> float:
    """Return the operations of one request, with only the last position in the last block."""
    dim, inner = sizes.dim, sizes.inner_dim
    full = 2 * dim * (4 * dim + 2 * inner)
    last = 2 * dim * (2 * dim * length + 2 * dim + 2 * inner)
    attention = 4 * dim * ((sizes.blocks - 1) * length * (length + 1) / 2 + length)
    return (sizes.blocks - 1) * length * full + last + attention + 2 * dim * items


@dataclass
class Measurement:
    """One number, and how it came about."""

    task: str
    form: str
    value: float
    unit: str
    detail: dict[str, Any] = field(default_factory=dict)

    def print(self) -> None:
        """Print it as one line of JSON."""
        print(json.dumps(asdict(self)), flush=True)


@dataclass
class Meter:
    """What a piece of work took."""

    seconds: float = 0.0
    megabytes: float = 0.0
    detail: dict[str, float] = field(default_factory=dict)


@contextmanager
def measured() -> Iterator[Meter]:
    """Fill a meter with wall and processor seconds, and what others took of the processors."""
    meter, own, busy = Meter(), _own_seconds(), busy_seconds()
    start = time.perf_counter()
    yield meter
    meter.seconds = time.perf_counter() - start
    user, system = (after - before for after, before in zip(_own_seconds(), own, strict=True))
    others = max(0.0, busy_seconds() - busy - user - system)
    meter.detail = {"user": round(user, 3), "system": round(system, 3), "others": round(others, 2)}


def latency(call: Any, arguments: Sequence[Any], least_seconds: float = 1.0) -> dict[str, float]:
    """Return the median and the 95th percentile in seconds of ``call`` of each argument in turn.

    The arguments are gone through until ``least_seconds`` have passed, after a tenth to warm up.
    """
    for argument in arguments[: max(3, len(arguments) // 10)]:
        call(argument)
    times: list[float] = []
    end = time.perf_counter() + least_seconds
    while time.perf_counter() < end or len(times) < 5:
        for argument in arguments:
            start = time.perf_counter()
            call(argument)
            times.append(time.perf_counter() - start)
    times.sort()
    return {"median": median(times), "p95": times[int(0.95 * len(times))], "calls": len(times)}


def peak_memory() -> float:
    """Return the most memory that this process has held, in MB, that of its parent not counted."""
    peak = _status("VmHWM")
    if peak is None:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (1e6 if sys.platform == "darwin" else 1000)
    return peak


@contextmanager
def memory_measured() -> Iterator[Meter]:
    """Fill a meter with the peak of the process in MB, and how far a piece of work raised it."""
    meter, before, earlier = Meter(), _status("VmRSS"), peak_memory()
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forgets the peak so far
    yield meter
    meter.megabytes = max(earlier, peak_memory())
    meter.detail = {"before": before or earlier, "raised": peak_memory() - (before or earlier)}


def _status(name: str) -> float | None:
    """Return a line of Linux's account of this process, in MB."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1000 for line in file if line.startswith(name))
    except (OSError, StopIteration):
        return None


def busy_seconds() -> float:
    """Return processor seconds that all processes and other machines have taken since boot."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(part) for part in file.readline().split()[1:9]]
    except OSError:
        return sum(_own_seconds())
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime
