"""Facts read well: short, aligned, and never ambiguous."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import (
    count_of,
    fact,
    is_bad,
    last_error_line,
    name_of,
    outcome_of,
    short_digest,
    show_duration,
    show_number,
    show_numbers,
    show_size,
    show_time,
    sparkline,
)

MakeRun = Callable[..., RunRecord]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.812345, "0.8123"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (12.3456, "12.35"),
        (9999.0, "9999"),
        (25000.0, "25000"),
        (123456.7, "123500"),
        (43926.7, "43930"),
        (9999.6, "10000"),
        (-43926.7, "-43930"),
        (12345678.9, "1.235e+7"),
        (0.0000123, "1.230e-5"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (None, "-"),
    ],
)
def test_a_number_has_four_significant_digits(value: float | None, shown: str) -> None:
    assert show_number(value) == shown


def test_the_numbers_of_a_column_have_equally_many_decimals() -> None:
    assert show_numbers([0.9, 0.85123, None, math.nan]) == ["0.9000", "0.8512", "-", "nan"]
    assert show_numbers([3.0, 12.0]) == ["3", "12"]
    assert show_numbers([0.001, 950.0]) == ["0.001", "950"]
    assert show_numbers([0.00001, 0.00002]) == ["1.000e-5", "2.000e-5"]
    assert show_numbers([]) == []


def test_different_numbers_look_different_where_they_decide() -> None:
    assert show_numbers([0.812341, 0.812344]) == ["0.8123", "0.8123"]
    assert show_numbers([0.812341, 0.812344, 0.812341], distinct=True) == ["0.812341", "0.812344", "0.812341"]


@pytest.mark.parametrize(
    ("duration_us", "shown"),
    [
        (0, "0 ms"),
        (84_000, "84 ms"),
        (999_600, "1.0 s"),
        (12_340_000, "12.3 s"),
        (59_960_000, "1 min 00 s"),
        (192_000_000, "3 min 12 s"),
        (7_500_000_000, "2 h 05 min"),
    ],
)
def test_a_duration_has_the_unit_people_use(duration_us: int, shown: str) -> None:
    assert show_duration(duration_us) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (12_345, "12.3 kB"),
        (999_700, "1 MB"),
        (4_560_000_000, "4.56 GB"),
        (2 * 10**15, "2000 TB"),
    ],
)
def test_a_size_goes_by_thousands(size_bytes: int, shown: str) -> None:
    assert show_size(size_bytes) == shown


def test_a_time_is_as_short_as_its_age_allows() -> None:
    now = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)

    def shown(then: datetime) -> str:
        return show_time(_us(then), now_us=_us(now), zone=UTC)

    assert shown(datetime(2026, 11, 24, 14, 3, 27, tzinfo=UTC)) == "14:03:27"
    assert shown(datetime(2026, 11, 21, 14, 3, tzinfo=UTC)) == "Nov 21 14:03"
    assert shown(datetime(2025, 11, 24, 14, 3, tzinfo=UTC)) == "2025-11-24"


def test_a_time_is_shown_in_the_zone_asked_for() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    zone = timezone(timedelta(hours=2))

    assert show_time(_us(late), now_us=_us(late), zone=zone) == "01:30:00"


def test_a_curve_rises_falls_and_marks_what_is_not_finite() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], width=8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, math.nan, 0.0], width=8) == "█x▁"
    assert sparkline([math.inf, math.nan], width=8) == "xx"
    assert sparkline([2.0, 2.0], width=8) == "▅▅"
    assert sparkline([], width=8) == ""
    assert len(sparkline(list(range(1000)), width=24)) == 24
    assert sparkline([1.7e308, -1.7e308, 1.7e308, 1.7e308], width=2) == "▁█"


def test_an_outcome_names_its_cause(make_run: MakeRun) -> None:
    assert outcome_of(make_run()) == "passed"
    assert outcome_of(make_run(outcome="failed", cause="gate")) == "failed: gate"
    assert outcome_of(make_run(outcome="error", cause="error")) == "error"
    assert outcome_of(make_run(status="orphaned", outcome="", cause="unknown")) == "orphaned"
    assert outcome_of(make_run(status="killed", outcome="failed", cause="oom")) == "killed: oom"
    assert outcome_of(make_run(status="running", outcome="")) == "running"
    assert outcome_of(make_run(status="killed", outcome="skipped")) == "skipped"


def test_a_run_is_bad_if_training_or_its_test_went_wrong(make_run: MakeRun) -> None:
    assert not is_bad(make_run())
    assert not is_bad(make_run(outcome="skipped"))
    assert not is_bad(make_run(status="killed", outcome="skipped"))
    assert is_bad(make_run(outcome="failed"))
    assert is_bad(make_run(status="orphaned", outcome=""))


def test_a_rerun_says_which_attempt_it_is(make_run: MakeRun) -> None:
    assert name_of(make_run("sweep")) == "sweep"
    assert name_of(make_run("sweep", attempt=2)) == "sweep (attempt 2)"


def test_the_headline_of_an_error_is_found_in_its_traceback(make_run: MakeRun) -> None:
    text = "def test():\n>   fit()\nE   ValueError: X contains NaN.\nE   see the docs\n\ntest_a.py:3: ValueError\n"

    assert last_error_line(make_run(error=text)) == "ValueError: X contains NaN."
    assert last_error_line(make_run(error="Traceback:\n  x\nKeyError: 'a'\n")) == "KeyError: 'a'"
    assert last_error_line(make_run()) == ""


def test_a_digest_is_short_and_keeps_its_algorithm() -> None:
    assert short_digest("sha256:" + "0b77c2de" * 8) == "sha256:0b77c2de…"
    assert short_digest("none") == "none"


def test_a_series_knows_its_length() -> None:
    assert count_of("30:sha256:ab") == 30


def test_a_fact_that_is_not_known_is_none(make_run: MakeRun) -> None:
    run = make_run(context={"rand.seed": "42"})

    assert fact(run, "rand.seed") == 42
    assert fact(run, "code.commit") is None


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
