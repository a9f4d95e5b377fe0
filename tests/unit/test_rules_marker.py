"""A marker says what it can mean, and a typo in one is answered with the right word."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
import pytest

from pytest_mlrun.errors import MarkerError
from pytest_mlrun.rules.marker import MarkerArguments, Selection, merge_markers, read_marker, read_selection


def read(**kwargs: object) -> MarkerArguments:
    return merge_markers([read_marker((), kwargs, owner="test_gbm")])


def test_everything_that_a_marker_can_say_is_read() -> None:
    found = read(
        experiment="churn-2026q2",
        data=["churn", "prices", "churn"],
        seed=42,
        tags={"team": "fraud"},
        floors={"auc": 0.8},
        ceilings=MappingProxyType({"log_loss": np.float32(0.5)}),
        primary="log_loss",
        must_detect={"auc": 0.02},
        clean_tree="require",
        entropy="off",
        resources={"gpu": 1},
    )

    assert found == MarkerArguments(
        experiment="churn-2026q2",
        data=("churn", "prices"),
        seed=42,
        tags={"team": "fraud"},
        floors={"auc": 0.8},
        ceilings={"log_loss": 0.5},
        primary="log_loss",
        must_detect={"auc": 0.02},
        clean_tree="require",
        entropy="off",
        resources={"gpu": 1},
    )


def test_a_bare_marker_says_nothing() -> None:
    assert read() == MarkerArguments()
    assert merge_markers([]) == MarkerArguments()


def test_short_forms_are_read() -> None:
    found = read(data="churn", tags=["nightly", "gpu"], must_detect=1, seed=np.int64(7))

    assert found.data == ("churn",)
    assert found.tags == {"nightly": "true", "gpu": "true"}
    assert found.must_detect == 1.0
    assert found.seed == 7
    assert type(found.seed) is int


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(MarkerError) as caught:
        read_marker(("churn",), {}, owner="test_gbm")

    assert caught.value.headline == "test_gbm: the mlrun marker takes no positional argument, found 'churn'"
    assert caught.value.next_step.startswith("name it, such as experiment='churn'; it takes: experiment, data, ")


@pytest.mark.parametrize(
    ("key", "headline"),
    [
        ("floor", "test_gbm: the mlrun marker takes no argument 'floor'; did you mean 'floors'?"),
        ("exprimnt", "test_gbm: the mlrun marker takes no argument 'exprimnt'; did you mean 'experiment'?"),
        ("zzz", "test_gbm: the mlrun marker takes no argument 'zzz'"),
    ],
)
def test_an_unknown_argument_is_answered_with_the_right_one(key: str, headline: str) -> None:
    with pytest.raises(MarkerError) as caught:
        read(**{key: 1})

    assert caught.value.headline == headline
    assert caught.value.next_step.startswith("use one of: experiment, data, seed, tags, floors, ceilings, ")


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("experiment", "", "must be one line of 1 to 250 characters, found ''"),
        ("experiment", "a\nb", r"must be one line of 1 to 250 characters, found 'a\nb'"),
        ("experiment", 3, "must be one line of 1 to 250 characters, found 3"),
        ("data", 3, "must be a name of [data.…], or a list of them, found 3"),
        ("data", ["a", ""], "must be a name of [data.…], or a list of them, found ['a', '']"),
        ("data", {"a"}, "must be a name of [data.…], or a list of them, found {'a'}"),
        ("seed", -1, "must be a whole number from 0 to 4294967295, found -1"),
        ("seed", 2**32, "must be a whole number from 0 to 4294967295, found 4294967296"),
        ("seed", True, "must be a whole number from 0 to 4294967295, found True"),
        ("seed", 1.0, "must be a whole number from 0 to 4294967295, found 1.0"),
        ("seed", "42", "must be a whole number from 0 to 4294967295, found '42'"),
        ("seed", None, "must be a whole number from 0 to 4294967295, found None"),
        ("tags", "nightly", "must be a mapping of text to text, or a list of names, found 'nightly'"),
        ("tags", {"a": 1}, "must be a mapping of text to text, found {'a': 1}"),
        ("floors", 0.8, "must be a mapping of metric names to numbers, found 0.8"),
        ("floors", [("auc", 0.8)], "must be a mapping of metric names to numbers, found [('auc', 0.8)]"),
        ("floors", {3: 0.8}, "must be a mapping of metric names to numbers, found {3: 0.8}"),
        ("floors", {"auc": "0.8"}, "of 'auc' must be a finite number, found '0.8'"),
        ("floors", {"auc": True}, "of 'auc' must be a finite number, found True"),
        ("floors", {"auc": math.nan}, "of 'auc' must be a finite number, found nan"),
        ("ceilings", {"loss": math.inf}, "of 'loss' must be a finite number, found inf"),
        ("ceilings", {"loss": None}, "of 'loss' must be a finite number, found None"),
        ("primary", [], "must be one line of 1 to 250 characters, found []"),
        ("must_detect", 0, "must be greater than 0, found 0"),
        ("must_detect", {"auc": -1.0}, "must be greater than 0, found {'auc': -1.0}"),
        ("must_detect", "0.1", "must be a finite number, found '0.1'"),
        ("clean_tree", "required", "must be 'require' or 'record', found 'required'; did you mean 'require'?"),
        ("clean_tree", True, "must be 'require' or 'record', found True"),
        ("entropy", "on", "must be 'detect' or 'off', found 'on'"),
        ("resources", ["gpu"], "must be a mapping such as {\"gpu\": 1}, found ['gpu']"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(key: str, value: object, wrong: str) -> None:
    with pytest.raises(MarkerError) as caught:
        read(**{key: value})

    assert caught.value.headline == f"test_gbm: the mlrun marker: {key} {wrong}"
    assert caught.value.next_step == f"correct {key}"


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(MarkerError) as caught:
        read(floors="x" * 500)

    assert caught.value.headline.endswith("xxx…")
    assert len(caught.value.headline) < 160


def test_a_floor_above_its_ceiling_is_refused() -> None:
    with pytest.raises(MarkerError, match=r"test_gbm: the floor of 'auc', 0.9, is above its ceiling, 0.8"):
        read(floors={"auc": 0.9}, ceilings={"auc": 0.8})


def test_the_closest_marker_wins_for_each_key() -> None:
    function = read_marker((), {"seed": 1, "clean_tree": "record"}, owner="test_gbm")
    module = read_marker((), {"seed": 2, "experiment": "churn", "data": ["a", "b"]}, owner="test_churn.py")

    merged = merge_markers([function, module])

    assert (merged.seed, merged.clean_tree, merged.experiment, merged.data) == (1, "record", "churn", ("a", "b"))


def test_floors_ceilings_and_tags_are_merged_by_name() -> None:
    kinds = ("function", "class", "module")
    markers: list[dict[str, object]] = [
        {"floors": {"auc": 0.9}, "tags": {"team": "fraud"}},
        {"floors": {"recall": 0.5}},
        {"floors": {"auc": 0.7, "f1": 0.6}, "ceilings": {"loss": 1}, "tags": ["nightly"]},
    ]

    merged = merge_markers([read_marker((), keys, owner=kind) for kind, keys in zip(kinds, markers, strict=True)])

    assert merged.floors == {"auc": 0.9, "f1": 0.6, "recall": 0.5}
    assert merged.ceilings == {"loss": 1.0}
    assert merged.tags == {"nightly": "true", "team": "fraud"}


def test_the_data_of_the_closest_marker_replaces_the_rest() -> None:
    markers = [read_marker((), {"data": name}, owner="t") for name in ("small", "large")]

    assert merge_markers(markers).data == ("small",)


# -- mlrun_select ------------------------------------------------------------------------------------------------------


def test_a_selection_is_read() -> None:
    kwargs = {"experiment": "churn", "by": "val_log_loss", "where": "val_roc_auc >= 0.85", "goal": "min"}

    assert read_selection((), kwargs, owner="t") == Selection("churn", "val_log_loss", "val_roc_auc >= 0.85", "min")


def test_what_a_selection_leaves_out_is_left_to_the_leaderboard() -> None:
    assert read_selection((), {}, owner="t") == Selection(experiment="", by="", where=None, goal=None)


@pytest.mark.parametrize(
    ("args", "kwargs", "headline"),
    [
        (("churn",), {}, "test_winner: the mlrun_select marker takes no positional argument, found 'churn'"),
        ((), {"sort": "auc"}, "test_winner: the mlrun_select marker takes no argument 'sort'"),
        ((), {"were": "a > 1"}, "test_winner: the mlrun_select marker takes no argument 'were'; did you mean 'where'?"),
        ((), {"where": 3}, "test_winner: the mlrun_select marker: where must be text, found 3"),
        (
            (),
            {"goal": "mx"},
            "test_winner: the mlrun_select marker: goal must be 'max' or 'min', found 'mx'; did you mean 'max'?",
        ),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(
    args: tuple[object, ...], kwargs: dict[str, object], headline: str
) -> None:
    with pytest.raises(MarkerError) as caught:
        read_selection(args, kwargs, owner="test_winner")

    assert caught.value.headline == headline
