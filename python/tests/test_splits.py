"""Splits: who trains, who tests, and that nothing of the future gets into a history."""

from __future__ import annotations

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pytest

import elastirec as er

USERS = {1: "abcd", 2: "bcd", 3: "cd", 4: "d"}


@pytest.fixture
def log() -> er.Interactions:
    user = [u for u, items in USERS.items() for _ in items]
    return er.Interactions({"user": user, "item": list("".join(USERS.values()))})


@pytest.fixture
def timed() -> er.Interactions:
    """Three people with an event a day: 1 from day 0, 2 from day 4, 3 on day 8 alone."""
    days = {1: range(10), 2: range(4, 10), 3: [8]}
    rows = [(user, f"i{day}", day) for user, when in days.items() for day in when]
    user, item, day = zip(*rows, strict=True)
    return er.Interactions({"user": user, "item": item, "time": day}, time="time")


def histories(part: er.Interactions | er.Holdout, users: object = None) -> dict[int, str]:
    users = part.users_.tolist() if users is None else users
    return {user: "".join(part.history(user)) for user in users}


def targets(part: er.Holdout) -> dict[int, str]:
    return {user: "".join(part.target(user)) for user in part.users_.tolist()}


class TestLeaveOneOut:
    def test_the_last_item_is_the_test_and_the_one_before_the_validation(self, log):
        split = er.leave_one_out(log)
        assert histories(split.train) == {1: "ab", 2: "b", 3: "c", 4: "d"}
        assert histories(split.valid) == {1: "ab", 2: "b"}
        assert targets(split.valid) == {1: "c", 2: "c"}
        assert histories(split.test) == {1: "abc", 2: "bc", 3: "c"}
        assert targets(split.test) == {1: "d", 2: "d", 3: "d"}

    def test_all_parts_keep_the_ids_of_the_log(self, log):
        split = er.leave_one_out(log)
        assert split.train.items_.tolist() == log.items_.tolist() == list("abcd")
        assert split.train.users_.tolist() == log.users_.tolist()

    def test_it_warns_once_of_leakage(self, log):
        with pytest.warns(er.LeakageWarning, match="split_at_time") as caught:
            er.leave_one_out(log)
        assert [warning.filename for warning in caught] == [__file__]

    def test_times_stay_with_their_events(self, timed):
        train = er.leave_one_out(timed).train.to_frame()
        assert all(
            item == f"i{time}" for item, time in zip(train["item"], train["time"], strict=True)
        )

    def test_a_log_with_nothing_to_hold_out_is_refused(self):
        with pytest.raises(er.DataError, match="nobody"):
            er.leave_one_out(er.Interactions({"user": [1, 2], "item": [1, 2]}))

    def test_what_is_no_log_is_refused(self, log):
        with pytest.raises(er.DataError, match=r"er\.Interactions"):
            er.leave_one_out({"user": [1], "item": [2]})


class TestSplitAtTime:
    def test_histories_end_and_targets_begin_at_the_moment(self, timed):
        split = er.split_at_time(timed, valid=5, test=8)
        assert histories(split.train, [1, 2]) == {1: "i0i1i2i3i4", 2: "i4"}
        assert split.train.n_interactions == 6
        assert histories(split.valid) == {1: "i0i1i2i3i4", 2: "i4"}
        assert targets(split.valid) == {1: "i5i6i7", 2: "i5i6i7"}
        assert histories(split.test) == {1: "i0i1i2i3i4i5i6i7", 2: "i4i5i6i7"}
        assert targets(split.test) == {1: "i8i9", 2: "i8i9"}

    def test_new_users_are_held_out_on_request(self, timed):
        split = er.split_at_time(timed, test=8, new_users=True)
        assert split.valid is None
        assert split.test.users_.tolist() == [1, 2, 3]
        assert split.test.history(3).tolist() == []
        assert split.test.target(3).tolist() == ["i8"]

    def test_repeated_targets_count_once(self):
        table = {"user": [1] * 4, "item": [7, 8, 8, 9], "time": [0, 1, 2, 3]}
        split = er.split_at_time(er.Interactions(table, time="time"), test=1)
        assert split.test.target(1).tolist() == [8, 9]

    @pytest.mark.parametrize("unit", ["us", "ns", "s"])
    @pytest.mark.parametrize("test", ["2d", "48h", dt.timedelta(days=2), np.timedelta64(2, "D")])
    def test_durations_count_back_from_the_end(self, test, unit):
        start = np.datetime64("2024-01-01", unit)
        times = start + np.arange(10) * np.timedelta64(1, "D")
        table = {"user": [1] * 10, "item": np.arange(10), "time": times}
        split = er.split_at_time(er.Interactions(table, time="time"), test=test)
        assert split.test.target(1).tolist() == [7, 8, 9]

    def test_durations_of_numbers_are_seconds(self, timed):
        assert er.split_at_time(timed, test="3s").test.target(1).tolist() == [
            "i6",
            "i7",
            "i8",
            "i9",
        ]

    @pytest.mark.parametrize(
        "moment",
        [
            "2024-01-03",
            dt.date(2024, 1, 3),
            dt.datetime(2024, 1, 3),
            np.datetime64("2024-01-03"),
            dt.datetime(2024, 1, 3, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2024-01-03T02:00:00+02:00",
            "2024-01-03T00:00:00Z",
        ],
    )
    @pytest.mark.filterwarnings("error")
    def test_moments_may_be_given_in_many_ways(self, moment):
        days = [dt.date(2024, 1, day) for day in range(1, 5)]
        log = er.Interactions({"user": [1] * 4, "item": [1, 2, 3, 4], "time": days}, time="time")
        assert er.split_at_time(log, test=moment).test.target(1).tolist() == [3, 4]

    @pytest.mark.parametrize("test", ["soon", "7 parsecs", None, float("nan"), [8]])
    def test_what_is_no_time_is_refused(self, timed, test):
        with pytest.raises(er.ConfigError, match="test must be a number"):
            er.split_at_time(timed, test=test)

    @pytest.mark.parametrize(
        "test",
        [pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT"), "NaT", "0001-01-01T00+05"],
        ids=repr,
    )
    def test_a_missing_moment_is_refused(self, timed, test):
        days = {"user": [1, 1], "item": [1, 2], "time": [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]}
        for log in (timed, er.Interactions(days, time="time")):
            with pytest.raises(er.ConfigError, match="test must be a"):
                er.split_at_time(log, test=test)

    def test_the_validation_comes_before_the_test(self, timed):
        with pytest.raises(er.ConfigError, match="valid must be before test"):
            er.split_at_time(timed, valid="2s", test="2s")

    @pytest.mark.parametrize(("test", "problem"), [(0, "no event is before"), (99, "nobody")])
    def test_an_empty_part_is_refused(self, timed, test, problem):
        with pytest.raises(er.DataError, match=problem):
            er.split_at_time(timed, test=test)

    def test_times_are_needed(self, log):
        with pytest.raises(er.DataError, match="needs times"):
            er.split_at_time(log, test=1)

    def test_it_does_not_leak_and_does_not_warn(self, timed, recwarn):
        split = er.split_at_time(timed, valid=5, test=8)
        frame = split.train.to_frame()
        assert max(frame["time"]) < 5
        assert not recwarn


class TestSplitSequences:
    def test_people_are_in_one_part_only(self, data):
        split = er.split_sequences(data.log, fractions=(0.5, 0.25, 0.25))
        train = data.log.users_[split.train.lengths() > 0]
        parts = [train, split.valid.users_, split.test.users_]
        assert [len(part) for part in parts] == [60, 30, 30]
        assert len(np.unique(np.concatenate(parts))) == 120

    def test_the_last_item_is_the_target(self, data):
        test = er.split_sequences(data.log).test
        for user in test.users_.tolist():
            whole = data.log.history(user).tolist()
            assert [*test.history(user).tolist(), *test.target(user).tolist()] == whole

    def test_equal_seeds_choose_equally(self, data):
        one, two, other = (er.split_sequences(data.log, random_state=s) for s in (1, 1, 2))
        assert one.test.users_.tolist() == two.test.users_.tolist() != other.test.users_.tolist()

    @pytest.mark.parametrize(
        "fractions",
        [(0.5, 0.5), (0.9, 0.2, -0.1), (1, 1, 1), (0.3, 0.3, 0.3), 0.8, None, "abc", "aaa"],
    )
    def test_fractions_add_up_to_one(self, data, fractions):
        with pytest.raises(er.ConfigError, match="three shares"):
            er.split_sequences(data.log, fractions=fractions)

    @pytest.mark.parametrize("seed", [-1, "x", 1.5, True])
    def test_odd_seeds_are_refused(self, data, seed):
        with pytest.raises(er.ConfigError, match="random_state must be an integer of at least 0"):
            er.split_sequences(data.log, random_state=seed)
        assert er.split_sequences(data.log, random_state=None).test.n_users == 12

    def test_no_validation_and_nobody_to_train(self, data):
        assert er.split_sequences(data.log, fractions=(0.9, 0, 0.1)).valid is None
        with pytest.raises(er.DataError, match="nobody"):
            er.split_sequences(data.log, fractions=(0, 0, 1))


def test_a_user_who_is_not_held_out_is_named(log):
    test = er.leave_one_out(log).test
    with pytest.raises(er.DataError, match="user 4 has nothing held out"):
        test.target(4)
    with pytest.raises(er.UnknownIdError, match="unknown user 5"):
        test.target(5)


def test_a_split_survives_pickling_and_prints(split):
    again = pickle.loads(pickle.dumps(split))
    assert again.test.users_.tolist() == split.test.users_.tolist()
    assert repr(again.test) == "Holdout(120 users, 120 targets)"
    assert "Holdout" in again._repr_html_()
    train, valid, test = again
    assert (train, valid, test) == (again.train, again.valid, again.test)
