"""Logs: what frames they take, in what order they put the events, what they refuse."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import itertools
import lzma
import pickle
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import elastirec as er
from elastirec import _tables

TABLE = {"user": [2, 1, 2, 1], "item": ["tea", "milk", "rice", "tea"], "time": [5, 7, 3, 6]}
CSV = "user,item,time\n2,tea,5\n1,milk,7\n2,rice,3\n1,tea,6\n"


def log_of(frame: object, **names: str) -> er.Interactions:
    return er.Interactions(frame, time="time", **names)


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_every_frame_gives_the_same_log(make):
    log = log_of(make(TABLE))
    assert log.users_.tolist() == [1, 2]
    assert log.items_.tolist() == ["milk", "rice", "tea"]
    assert log.history(1).tolist() == ["tea", "milk"]
    assert log.history(2).tolist() == ["rice", "tea"]
    assert (log.n_users, log.n_items, log.n_interactions, len(log)) == (2, 3, 4, 4)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_to_frame_answers_in_the_library_of_the_input(make):
    frame = log_of(make(TABLE)).to_frame()
    assert type(frame) is type(make(TABLE))
    table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    assert table.to_dict("list") == {
        "user": [1, 1, 2, 2],
        "item": ["tea", "milk", "rice", "tea"],
        "time": [6, 7, 3, 5],
    }


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("log.csv", lambda path: path.write_text(CSV)),
        ("log.tsv", lambda path: path.write_text(CSV.replace(",", "\t"))),
        ("log.csv.gz", lambda path: path.write_bytes(gzip.compress(CSV.encode()))),
        (
            "log.2024.tsv.xz",
            lambda p: p.write_bytes(lzma.compress(CSV.replace(",", "\t").encode())),
        ),
        ("log.parquet", lambda path: pq.write_table(pa.table(TABLE), path)),
    ],
)
def test_paths_are_read_by_their_ending(tmp_path, name, write):
    write(tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        assert log_of(path).history(2).tolist() == ["rice", "tea"]


def test_other_column_names():
    log = er.Interactions({"who": [1, 1], "what": [5, 4]}, user="who", item="what")
    assert list(log.to_frame()) == ["who", "what"]


@pytest.mark.parametrize("make", [dict, pd.DataFrame])
def test_names_of_columns_may_be_numbers(make):
    frame = make({0: [4, 3, 2, 1], 1: [7, 7, 8, 8], 2: [10, 20, 30, 40]})
    log = er.Interactions(frame, user=1, item=2, time=0)
    assert log.history(7).tolist() == [20, 10]
    assert list(log.to_frame()) == [1, 2, 0]


def test_without_times_the_rows_are_in_order():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = er.Interactions({"user": [1, 2, 1, 1], "item": [9, 9, 3, 9]})
    assert log.history(1).tolist() == [9, 3, 9]


def test_ties_keep_the_order_of_the_rows_and_are_counted():
    table = {"user": [1, 1, 1, 2, 2], "item": [5, 3, 4, 1, 2], "time": [7, 7, 7, 7, 8]}
    with pytest.warns(er.TimeTieWarning, match="2 of 5 events") as caught:
        log = log_of(table)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert log.history(1).tolist() == [5, 3, 4]


TIMES = [
    [3.5, 4.25],
    [np.datetime64("2024-01-01"), np.datetime64("2024-01-02T03:00")],
    [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)],
    [dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
    ["2024-01-01", "2024-01-01T00:00:01"],
    [dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 2, tzinfo=dt.UTC)],
]


@pytest.mark.parametrize("times", TIMES, ids=lambda times: type(times[0]).__name__)
@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_times_may_be_numbers_datetimes_dates_or_iso_strings(make, times):
    if make is not dict and isinstance(times[0], np.datetime64):
        times = np.array(times, dtype="datetime64[ns]")
    frame = make({"user": [1, 1], "item": [8, 9], "time": times[::-1]})
    assert log_of(frame).history(1).tolist() == [9, 8]


def test_times_in_two_zones_are_compared_as_moments():
    zone = dt.timezone(dt.timedelta(hours=5))
    early, late = dt.datetime(2024, 1, 1, 6, tzinfo=zone), dt.datetime(2024, 1, 1, 2, tzinfo=dt.UTC)
    assert log_of({"user": [1, 1], "item": [8, 9], "time": [late, early]}).history(1)[0] == 9


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_times_with_a_zone_are_kept_in_utc(make):
    zone = dt.timezone(dt.timedelta(hours=5))
    times = [dt.datetime(2024, 1, 1, 6, tzinfo=zone), dt.datetime(2024, 1, 1, 7, tzinfo=zone)]
    frame = log_of(make({"user": [1, 1], "item": [8, 9], "time": times})).to_frame()
    found = frame["time"].to_pylist() if make is pa.table else frame["time"].to_list()
    assert found == [dt.datetime(2024, 1, 1, 1), dt.datetime(2024, 1, 1, 2)]


@pytest.mark.filterwarnings("ignore::elastirec.TimeTieWarning")
@pytest.mark.parametrize("make", [dict, pd.DataFrame])
def test_times_of_seconds_may_be_far_off(make):
    far = np.array([2**42, 2**60], "datetime64[s]")
    log = log_of(make({"user": [1, 1], "item": [8, 9], "time": far[[0, 0]]}))
    assert log.to_frame()["time"][0] == far[0]
    with pytest.raises(er.DataError, match=r"row 1 .* a time beyond datetime64\[us\] \(1 of 2"):
        log_of({"user": [1, 1], "item": [8, 9], "time": far})
    with pytest.raises(er.DataError, match="'time', row 1"):
        log_of({"user": [1, 1], "item": [8, 9], "time": [np.datetime64(0, "s"), far[1]]})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *itertools.product(["user", "item", "time"], [int, float, str]),
        *itertools.product(["time"], ["datetime64[s]", "datetime64[ns]"]),
    ],
)
def test_what_a_mask_hides_is_missing(column, kind):
    table = {"user": [1, 1], "item": [1, 2], "time": [1, 2]}
    table[column] = np.ma.array(np.array([1, 2]).astype(kind), mask=[False, True])
    with pytest.raises(er.DataError, match=f"column '{column}', row 1 .* missing"):
        log_of(table)


def test_a_mask_that_hides_nothing_is_none():
    times = np.ma.array(["2024-01-02", "2024-01-01"], dtype="datetime64[ns]")
    log = log_of({"user": [1, 1], "item": np.ma.array([8, 9]), "time": times})
    assert log.history(1).tolist() == [9, 8]


def test_floats_without_fraction_are_integers_as_csv_readers_make_them():
    log = er.Interactions({"user": [1.0, 2.0], "item": np.array([3.0, 4.0])})
    assert log.users_.dtype == np.int64
    assert log.history(1).tolist() == [3]


def test_columns_of_a_frame_with_gaps_elsewhere_are_fine():
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "note": [None, "x"]})
    assert er.Interactions(frame).n_users == 2


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("kind", ["category", "string"])
def test_ids_may_be_categories(make, kind):
    frame = pd.DataFrame({"user": ["b", "a", "b"], "item": ["x", "x", "y"]}).astype(kind)
    frame = frame if make is pd.DataFrame else pl.from_pandas(frame)
    frame = frame.to_arrow() if make is pa.table else frame
    assert er.Interactions(frame).history("b").tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        (2.5, "fraction"),
        ("tea", "all be of one kind|one kind"),
        (True, "neither an integer nor a string"),
        (b"tea", "neither an integer nor a string"),
        (2**70, "more than 64 bits"),
        (Decimal(2), "neither"),
        ((1, 2), "neither"),
    ],
)
@pytest.mark.parametrize("column", ["user", "item"])
def test_a_bad_id_is_named_with_column_and_row(column, value, problem):
    table = {"user": [1, 2, 3], "item": [1, 2, 3]}
    table[column] = [1, 2, value]
    with pytest.raises(er.DataError, match=problem) as caught:
        er.Interactions(table)
    message = str(caught.value)
    assert repr(column) in message
    assert "row 2" in message or "row 0" in message  # where kinds are mixed, the first number
    assert "of 3 rows" in message


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("column", ["user", "item", "time"])
def test_a_gap_is_named_in_every_frame(make, column):
    table = {name: list(values) for name, values in TABLE.items()}
    table[column][1] = None
    with pytest.raises(er.DataError, match=rf"'{column}', row 1 .*1 of 4 rows"):
        log_of(make(table))


@pytest.mark.parametrize(
    "times",
    [
        [1.0, float("nan")],
        [1.0, float("inf")],
        [1, "soon"],
        [np.datetime64("2024-01-01"), np.datetime64("NaT", "D")],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [True, False],
        [1 + 2j, 2j],
    ],
)
def test_a_bad_time_is_named(times):
    with pytest.raises(er.DataError, match="'time'"):
        log_of({"user": [1, 1], "item": [1, 2], "time": times})


def test_a_missing_column_is_answered_with_the_nearest():
    with pytest.raises(er.DataError, match=r"no column 'user'.*mean 'users'\?.*'users', 'item'"):
        er.Interactions({"users": [1], "item": [1]})
    with pytest.raises(er.DataError, match="There are no columns at all"):
        er.Interactions({})


def test_a_repeated_column_is_refused():
    frame = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    with pytest.raises(er.DataError, match="item"):
        er.Interactions(frame)


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame])
def test_an_empty_frame_is_refused(make):
    with pytest.raises(er.DataError, match="no rows"):
        er.Interactions(make({"user": [], "item": []}))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(er.DataError, match="differ in length"):
        er.Interactions({"user": [1, 2], "item": [1]})


def test_an_array_with_two_dimensions_is_refused():
    with pytest.raises(er.DataError, match="one dimension"):
        er.Interactions({"user": np.ones((2, 2), int), "item": [1, 2]})


@pytest.mark.parametrize("value", [1, "ab", None])
def test_a_column_is_a_list_or_an_array(value):
    with pytest.raises(er.DataError, match="column 'user' must be a list or an array, got"):
        er.Interactions({"user": value, "item": [1, 2]})


@pytest.mark.parametrize("frame", [None, 5, [[1, 2]], np.ones((3, 2))])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(er.DataError, match="frame"):
        er.Interactions(frame)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("log.csv", "user,item\n1,2\n3\n", "line 3 is too short"),
        ("log.csv", "", "the file is empty; its first line should name the columns"),
        ("log.csv", "\n\n", "the file is empty"),
        ("log.csv", 'user,item\n1,"a\n1,b\n', r"line 2 cannot be read.* quotes .* must be closed"),
        ("log.csv", 'user,item\n\n"1\n",a\n2,"b"c\n', r"line 5 cannot be read.* doubled"),
        ("log.tsv", 'user\titem\n1\ta\n2\t"b\n2\tc\n', "line 3 cannot be read"),
        ("log.csv", '"user,item\n1,2\n', "line 1 cannot be read"),
        ("log.csv.gz", "user,item\n1,2\n", "cannot be read as text: Not a gzipped file"),
        ("log.csv.xz", "user,item\n1,2\n", "cannot be read as text"),
        ("log.csv.bz2", "user,item\n1,2\n", "cannot be read as text"),
        ("log.csv", "user,item\n1,NA\n", "'item', row 0 .* text files make of empty cells, NA"),
        ("log.csv", "user,item\n", "no rows"),
        ("log.csv", "user,user,item\n1,2,3\n", "2 columns named 'user'"),
        ("log.csv", "user,item\n1,\n", "'item', row 0"),
        ("log.xlsx", "user,item\n1,2\n", "should end in"),
        ("log.parquet", "user,item\n1,2\n", "no Parquet file"),
    ],
)
def test_a_file_with_a_flaw_is_refused(tmp_path, name, text, problem):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(er.DataError, match=problem):
        er.Interactions(path)


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_a_damaged_parquet_file_is_refused(tmp_path, monkeypatch, library):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": range(1000), "item": range(1000)}), path)
    data = bytearray(path.read_bytes())
    data[100:2000] = bytes(1900)
    path.write_bytes(data)
    monkeypatch.setattr(_tables, "find_spec", lambda name: name == library)
    with pytest.raises(er.DataError, match="no Parquet file or damaged"):
        er.Interactions(path)


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("log.csv", bytes),
        ("log.csv.gz", gzip.compress),
        ("log.csv.xz", lzma.compress),
        ("log.csv.bz2", bz2.compress),
    ],
)
def test_a_mark_of_byte_order_is_no_part_of_a_name(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(b"\xef\xbb\xbf" + CSV.encode()))
    assert log_of(tmp_path / name).n_users == 2


def test_ids_in_a_file_with_leading_zeros_stay_strings(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n007,1\n7,2\n")
    assert er.Interactions(path).users_.tolist() == ["007", "7"]


def test_a_missing_file_is_the_usual_error(tmp_path):
    for name in ("none.csv", "none.csv.gz", "none.parquet"):
        with pytest.raises(FileNotFoundError):
            er.Interactions(tmp_path / name)


def test_an_unknown_user_is_named_with_what_was_meant():
    log = er.Interactions({"user": ["alice", "bob"], "item": [1, 2]})
    with pytest.raises(er.UnknownIdError, match="unknown user 'alise'; did you mean 'alice'"):
        log.history("alise")
    with pytest.raises(KeyError, match="the users of this log are strings"):
        log.history(7)


def test_a_log_survives_pickling(data):
    again = pickle.loads(pickle.dumps(data.log))
    assert np.array_equal(again.users_, data.log.users_)
    assert again.history(3).tolist() == data.log.history(3).tolist()


def test_notebooks_show_counts_times_and_lengths():
    html = log_of(TABLE)._repr_html_()
    for part in ("users", "items", "events", "3 to 7", "median 2"):
        assert part in html
    assert repr(log_of(TABLE)) == "Interactions(2 users, 3 items, 4 events)"
