"""A constraint is read as it is meant, or answered with the place where it went wrong."""

from __future__ import annotations

import math

import pytest

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.rules.where import parse_where


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("val_precision >= 0.6", Comparison("metric", "val_precision", ">=", 0.6)),
        ("val_precision>=0.6", Comparison("metric", "val_precision", ">=", 0.6)),
        ("metrics.val/auc < 1e-3", Comparison("metric", "val/auc", "<", 0.001)),
        ("metric.x > -0.5", Comparison("metric", "x", ">", -0.5)),
        ("x>-.5", Comparison("metric", "x", ">", -0.5)),
        ("x <= +5.", Comparison("metric", "x", "<=", 5.0)),
        ("loss < inf", Comparison("metric", "loss", "<", math.inf)),
        ("loss > -inf", Comparison("metric", "loss", ">", -math.inf)),
        ("val.auc == 1", Comparison("metric", "val.auc", "==", 1.0)),
        ("recall@10 != 0", Comparison("metric", "recall@10", "!=", 0.0)),
        ("`f1 score` > 0", Comparison("metric", "f1 score", ">", 0.0)),
        ("metrics.`f1 score` > 0", Comparison("metric", "f1 score", ">", 0.0)),
        ("metrics.status > 0", Comparison("metric", "status", ">", 0.0)),
        ("params.learning_rate < 0.1", Comparison("param", "learning_rate", "<", 0.1)),
        ("param.criterion == gini", Comparison("param", "criterion", "==", "gini")),
        ("params.flag == true", Comparison("param", "flag", "==", True)),
        ("params.flag != False", Comparison("param", "flag", "!=", False)),
        ("params.name == 'true'", Comparison("param", "name", "==", "true")),
        ("params.name == '0.5'", Comparison("param", "name", "==", "0.5")),
        ("params.name >= 'b'", Comparison("param", "name", ">=", "b")),
        ("params.a.b == 1", Comparison("param", "a.b", "==", 1.0)),
        ("tags.team == 'fraud'", Comparison("tag", "team", "==", "fraud")),
        ('tags.team == "it\'s, and so on"', Comparison("tag", "team", "==", "it's, and so on")),
        ("tags.version == 3", Comparison("tag", "version", "==", "3")),
        ("tag.nightly != true", Comparison("tag", "nightly", "!=", "true")),
        ("status == finished", Comparison("attribute", "status", "==", "finished")),
        ("attributes.status != 'orphaned'", Comparison("attribute", "status", "!=", "orphaned")),
        ("outcome == ''", Comparison("attribute", "outcome", "==", "")),
        ("cause == nan", Comparison("attribute", "cause", "==", "nan")),
        ("experiment == churn-2026q2", Comparison("attribute", "experiment", "==", "churn-2026q2")),
        ("name == test_sweep[0.05-32]", Comparison("attribute", "name", "==", "test_sweep[0.05-32]")),
        ("test == tests/test_a.py::test_b", Comparison("attribute", "test", "==", "tests/test_a.py::test_b")),
        ("attempt >= 2", Comparison("attribute", "attempt", ">=", 2.0)),
    ],
)
def test_a_comparison_is_read(text: str, parsed: Comparison) -> None:
    assert parse_where(text) == (parsed,)
    assert type(parse_where(text)[0].value) is type(parsed.value)


@pytest.mark.parametrize("joint", [" and ", " AND ", ", ", ",", " && ", "&&"])
def test_comparisons_are_joined(joint: str) -> None:
    text = f"auc >= 0.6{joint}status == finished{joint}tags.team == 'fraud'"

    assert [comparison.field for comparison in parse_where(text)] == ["auc", "status", "team"]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_text_is_no_constraint(text: str) -> None:
    assert parse_where(text) == ()


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("auc = 0.6", "'=' is no operator; did you mean '=='?", 4),
        ("auc => 0.6", "'=>' is no operator; did you mean '>='?", 4),
        ("auc =< 0.6", "'=<' is no operator; did you mean '<='?", 4),
        ("auc <> 0.6", "'<>' is no operator; did you mean '!='?", 4),
        ("auc ~ 0.6", "'~' is no operator; use one of == != <= >= < >", 4),
        ("auc in 0.6", "'in' is no operator; use one of == != <= >= < >", 4),
        ("auc", "an operator is missing at the end; use one of == != <= >= < >", 3),
        ("auc >=", "auc >= needs a value", 6),
        ("auc >= and b < 1", "auc >= needs a value", 7),
        ("auc >= 0.6 and", "a comparison is missing at the end", 14),
        ("auc >= 0.6,", "a comparison is missing at the end", 11),
        ("auc >= 0.6 or b < 1", "'or' is not understood: every comparison must hold", 11),
        ("auc >= 0.6 | b < 1", "'or' is not understood: every comparison must hold", 11),
        ("auc >= 0.6 b < 1", "'and' is expected, found 'b'", 11),
        ("(auc >= 0.6)", "parentheses are not understood", 0),
        ("auc >= 0.6)", "parentheses are not understood", 10),
        ("not auc >= 0.6", "'not' is not understood; use !=", 0),
        ("0.6 <= auc", "a comparison begins with a name, found 0.6", 0),
        ("0.5 < auc < 0.9", "a comparison begins with a name, found 0.5", 0),
        ("auc > 0.5 < 0.9", "one comparison has two sides", 10),
        ("and auc > 1", "a name is expected, found 'and'", 0),
        (">= 0.6", "a name is expected, found '>='", 0),
        ("'auc' > 1", "a comparison begins with a name, found 'auc'", 0),
        ("auc > high", "auc is compared with a number, found high", 6),
        ("auc > 'high'", "auc is compared with a number, found 'high'", 6),
        ("auc == true", "auc is compared with a number, found true", 7),
        ("auc == nan", "NaN equals nothing, so no run would match", 7),
        ("attempt == first", "attempt is compared with a number, found first", 11),
        ("params.flag < true", "flag is compared with true, which has no order: use == or !=", 12),
        ("tags.team < 'b'", "team is text: use == or !=", 10),
        ("status > finished", "status is text: use == or !=", 7),
        ("status == finishd", "status is never 'finishd'; did you mean 'finished'?", 10),
        ("outcome == green", "outcome is never 'green'", 11),
        ("attributes.statsu == finished", "a run has no attribute 'statsu'; did you mean 'status'?", 0),
        ("metrics. > 1", "'metrics.' names no metric", 0),
        ("parms.lr > 1", "'parms' is none of metrics, params, tags; did you mean 'params'?", 0),
        ("tags.team == 'fraud", "the quote is not closed", 13),
        ("auc > 1; b < 2", "auc is compared with a number, found 1;", 6),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, reason: str, place: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse_where(text)

    assert caught.value.headline == f"where: {reason}"
    assert caught.value.details == (text, " " * place + "^")
    assert caught.value.next_step


def test_a_mistake_reads_well() -> None:
    with pytest.raises(QueryError) as caught:
        parse_where("val_precision => 0.6")

    assert str(caught.value).splitlines() == [
        "where: '=>' is no operator; did you mean '>='?",
        "  val_precision => 0.6",
        "                ^",
        "  next:  a constraint reads: val_auc >= 0.8 and params.depth < 5 and status == finished",
    ]


def test_the_words_of_a_status_are_listed() -> None:
    with pytest.raises(QueryError) as caught:
        parse_where("status == done")

    assert caught.value.next_step == "one of: running, finished, failed, killed, orphaned"
