"""Public logs to learn with, and made-up ones whose rule is known.

Real data is looked for in the folder that ELASTIREC_DATA names, then in ``shared/data`` of the
working directory or of a folder above it; MovieLens is otherwise downloaded from GroupLens, once.
"""

from __future__ import annotations

import csv
import html
import io
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elastirec import _checks
from elastirec._tables import open_text, read_table
from elastirec.errors import DataError, MissingExtraError
from elastirec.interactions import Interactions

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_MD5 = {
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
}


@dataclass(frozen=True)
class Dataset:
    """A log with the titles of its items.

    Attributes
    ----------
    name : str
    log : Interactions
    titles : dict
        The title of each item id that has one.
    """

    name: str
    log: Interactions
    titles: dict[Any, str]

    def title(self, items: Iterable[Any]) -> list[str]:
        """Return the title of each item, or the id as text where there is none."""
        return [self.titles.get(item, str(item)) for item in items]

    def _repr_html_(self) -> str:
        return f"<h4>{html.escape(self.name)}</h4>{self.log._repr_html_()}"


def movielens_100k() -> Dataset:
    """Return MovieLens-100K: 943 users, 1,682 films, 100,000 ratings as events.

    Source: Harper and Konstan, "The MovieLens Datasets", TiiS 2015,
    grouplens.org/datasets/movielens

    Raises
    ------
    MissingExtraError
        If the data is not there and pooch, which would download it, is not installed.
    OSError
        If the download fails.
    """
    folder = _find("ml-100k/inter.tsv.xz")
    if folder is not None:
        titles = _titles(folder / "ml-100k" / "items.tsv.xz", "title")
        log = _log(
            read_table(str(folder / "ml-100k" / "inter.tsv.xz"), ["user", "item", "timestamp"])
        )
        return Dataset("MovieLens-100K", log, titles)
    with _download("ml-100k") as archive:
        ratings = _split(archive, "ml-100k/u.data", "\t")
        films = _split(archive, "ml-100k/u.item", "|")
    return Dataset("MovieLens-100K", _from_ratings(ratings), {int(f[0]): f[1] for f in films})


def movielens_1m(order: str = "time") -> Dataset:
    """Return MovieLens-1M: 6,040 users and a million ratings of 2000 to 2003, as events.

    Parameters
    ----------
    order : {"time", "sasrec"}, default="time"
        "time" has MovieLens's ids, by the times. "sasrec" is the file of the SASRec papers, with
        3,416 films, ids of its own and a fixed order: half of the events tie in time, so
        published numbers depend on it. It is not downloaded.

    Raises
    ------
    DataError
        If the file of the papers is not there.
    MissingExtraError, OSError
        As in `movielens_100k`.
    """
    if _checks.choice("order", order, ("time", "sasrec")) == "sasrec":
        return _movielens_1m_of_papers()
    folder = _find("ml-1m/inter.tsv.xz")
    if folder is not None:
        columns = read_table(str(folder / "ml-1m" / "inter.tsv.xz"), ["user", "item", "timestamp"])
        timed = np.array([time is not None for time in columns["timestamp"]])  # some rows lack it
        log = _log({name: values[timed].astype(np.int64) for name, values in columns.items()})
        return Dataset("MovieLens-1M", log, _titles(folder / "ml-1m" / "items.tsv.xz", "title"))
    with _download("ml-1m") as archive:
        ratings = _split(archive, "ml-1m/ratings.dat", "::")
        films = _split(archive, "ml-1m/movies.dat", "::")
    return Dataset("MovieLens-1M", _from_ratings(ratings), {int(f[0]): f[1] for f in films})


def _movielens_1m_of_papers() -> Dataset:
    name = "ml-1m/sasrec_ml-1m.txt.xz"
    folder = _find(name)
    if folder is None:
        raise DataError(f"there is no {name}; set ELASTIREC_DATA to a folder that has it")
    with open_text(folder / name) as file:
        pairs = np.array(file.read().split(), dtype=np.int64).reshape(-1, 2)
    titles = {}
    for film in _table(folder / "ml-1m" / "items.tsv.xz"):
        if film.get("sasrec_item"):
            titles[int(film["sasrec_item"])] = film["title"]
    log = _log({"user": pairs[:, 0], "item": pairs[:, 1]})
    return Dataset("MovieLens-1M in the order of the SASRec papers", log, titles)


def amazon_beauty() -> Dataset:
    """Return the 5-core of Amazon's beauty reviews: 22,363 users, 12,101 products, 198,502 events.

    The rows keep the order of S3-Rec's file, as times are whole days and some are missing. It is
    not downloaded. Source: McAuley et al., "Image-based recommendations on styles and
    substitutes", SIGIR 2015; Zhou et al., "S3-Rec", CIKM 2020.

    Raises
    ------
    DataError
        If the data is not there.
    """
    folder = _find("amazon-beauty/inter.tsv.xz")
    if folder is None:
        raise DataError("there is no amazon-beauty; set ELASTIREC_DATA to a folder that has it")
    columns = read_table(str(folder / "amazon-beauty" / "inter.tsv.xz"), ["user", "item"])
    titles = _titles(folder / "amazon-beauty" / "items.tsv.xz", "title")
    return Dataset("Amazon Beauty", _log(columns), titles)


def synthetic(
    n_users: int = 1000,
    n_items: int = 200,
    length: int = 20,
    *,
    noise: float = 0.2,
    random_state: int = 0,
) -> Dataset:
    """Return made-up histories in which each item leads to another, in one round of all items.

    Parameters
    ----------
    n_users, n_items : int, default=1000, 200
    length : int, default=20
        Longest history; lengths are uniform from half of it.
    noise : float, default=0.2
        Share of events that break the rule, drawn uniformly. The best possible hit rate at 1 is
        about ``1 - noise``.
    random_state : int, default=0
        Seed of the histories and of the rule.
    """
    users = _checks.integer("n_users", n_users)
    items = _checks.integer("n_items", n_items, 2)
    longest = _checks.integer("length", length)
    share = _checks.real("noise", noise, "[0, 1]")
    rng = np.random.Generator(np.random.Philox(_checks.integer("random_state", random_state, 0)))
    order = rng.permutation(items)
    follower = np.empty(items, dtype=np.int64)
    follower[order] = np.roll(order, -1)
    chosen = np.empty((users, longest), dtype=np.int64)
    chosen[:, 0] = rng.integers(items, size=users)
    for step in range(1, longest):
        noisy = rng.random(users) < share
        strays = rng.integers(items, size=users)
        chosen[:, step] = np.where(noisy, strays, follower[chosen[:, step - 1]])
    lengths = rng.integers((longest + 1) // 2, longest + 1, size=users)
    there = np.arange(longest) < lengths[:, None]
    people = np.repeat(np.arange(users), lengths)
    titles = {item: f"item {item}, which leads to {follower[item]}" for item in range(items)}
    return Dataset("synthetic sequences", _log({"user": people, "item": chosen[there]}), titles)


def _log(columns: dict[str, Any]) -> Interactions:
    log = Interactions(columns, time="timestamp" if "timestamp" in columns else None)
    log._names = replace(log._names, library=None)  # answer in whichever library there is
    return log


def _find(name: str) -> Path | None:
    """Return the folder of data that has the file, or None."""
    given = os.environ.get("ELASTIREC_DATA")
    here = Path.cwd()
    folders = [Path(given)] if given else []
    folders += [parent / "shared" / "data" for parent in (here, *here.parents)]
    return next((folder for folder in folders if (folder / name).is_file()), None)


def _table(path: Path) -> list[dict[str, str]]:
    with open_text(path) as file:  # titles hold quotation marks, which mean nothing here
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _titles(path: Path, column: str) -> dict[Any, str]:
    return {int(row["item"]): row[column] for row in _table(path) if row[column]}


def _download(name: str) -> zipfile.ZipFile:
    try:
        import pooch
    except ImportError:
        raise MissingExtraError(
            f"{name} is not here, and pooch, which would download it, is not installed:"
            ' pip install "elastirec[datasets]", or set ELASTIREC_DATA to a folder that has it'
        ) from None
    path = pooch.retrieve(
        f"{_GROUPLENS}{name}.zip",
        known_hash=f"md5:{_MD5[name]}",
        fname=f"{name}.zip",
        path=pooch.os_cache("elastirec"),
    )
    return zipfile.ZipFile(path)


def _split(archive: zipfile.ZipFile, name: str, separator: str) -> list[list[str]]:
    with io.TextIOWrapper(archive.open(name), encoding="latin-1") as file:
        return [line.rstrip("\n").split(separator) for line in file]


def _from_ratings(rows: list[list[str]]) -> Interactions:
    numbers = np.array(rows, dtype=np.int64)
    return _log({"user": numbers[:, 0], "item": numbers[:, 1], "timestamp": numbers[:, 3]})
