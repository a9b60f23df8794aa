"""Public data sets and made-up ones."""

from __future__ import annotations

import io
import sys
import types
import zipfile

import numpy as np
import pytest

import elastirec as er


def test_synthetic_histories_follow_their_rule():
    data = er.datasets.synthetic(200, 50, 10, noise=0.0, random_state=1)
    assert data.log.n_users == 200
    lengths = data.log.lengths()
    assert (lengths.min(), lengths.max()) == (5, 10)
    for user in range(0, 200, 17):
        history = data.log.history(user).tolist()
        for item, title in zip(history[1:], data.title(history[:-1]), strict=True):
            assert title.endswith(f"which leads to {item}")
    assert "synthetic" in data._repr_html_()


def test_synthetic_histories_depend_on_the_seed_alone():
    one, two, other = (er.datasets.synthetic(50, 20, random_state=seed) for seed in (1, 1, 2))
    frames = [np.asarray(data.log.to_frame()["item"]) for data in (one, two, other)]
    assert frames[0].tolist() == frames[1].tolist() != frames[2].tolist()
    with pytest.raises(er.ConfigError, match="noise"):
        er.datasets.synthetic(noise=2)


@pytest.mark.filterwarnings("ignore::elastirec.TimeTieWarning")
def test_items_have_titles(real_data, monkeypatch):
    monkeypatch.setenv("ELASTIREC_DATA", str(real_data))
    assert er.datasets.movielens_100k().title([1, 50]) == ["Toy Story", "Star Wars"]
    beauty = er.datasets.amazon_beauty()
    assert beauty.title([1])[0].startswith("OPI Nail Lacquer")
    papers = er.datasets.movielens_1m(order="sasrec")
    assert papers.log.history(1)[:4].tolist() == [1, 2, 3, 4]
    assert len(papers.titles) == papers.log.n_items


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("ELASTIREC_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_not_downloaded_says_where_to_put_it(nothing_here):
    for load in (er.datasets.amazon_beauty, lambda: er.datasets.movielens_1m(order="sasrec")):
        with pytest.raises(er.DataError, match="set ELASTIREC_DATA"):
            load()
    with pytest.raises(er.ConfigError, match="order"):
        er.datasets.movielens_1m(order="rows")


def test_without_pooch_the_message_says_what_to_install(nothing_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'pip install "elastirec\[datasets\]"'):
        er.datasets.movielens_100k()


ARCHIVES = {
    "ml-100k": {
        "u.data": "1\t20\t5\t100\n1\t10\t4\t90\n2\t20\t1\t95\n",
        "u.item": "10|Café (1990)|x\n20|Heat (1995)|y\n",
    },
    "ml-1m": {
        "ratings.dat": "1::20::5::100\n1::10::4::90\n2::20::1::95\n",
        "movies.dat": "10::Café (1990)::Drama\n20::Heat (1995)::Action\n",
    },
}


@pytest.mark.parametrize(
    ("name", "load"),
    [("ml-100k", er.datasets.movielens_100k), ("ml-1m", er.datasets.movielens_1m)],
)
def test_archives_of_grouplens_are_read(nothing_here, monkeypatch, name, load):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for member, text in ARCHIVES[name].items():
            file.writestr(f"{name}/{member}", text.encode("latin-1"))
    path = nothing_here / "archive.zip"
    path.write_bytes(archive.getvalue())
    asked = {}

    def retrieve(url: str, **options: object) -> str:
        asked.update(url=url, **options)
        return str(path)

    pooch = types.SimpleNamespace(retrieve=retrieve, os_cache=lambda name: nothing_here)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    data = load()
    assert data.log.history(1).tolist() == [10, 20]
    assert data.title([10, 20, 30]) == ["Café (1990)", "Heat (1995)", "30"]
    assert asked["url"] == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
    assert asked["known_hash"].startswith("md5:")
