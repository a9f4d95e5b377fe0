"""Tables fit the terminal, whatever stands in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.report.table import Column, clean_text, cut_text, lay_out, text_width, wrap_text


def test_text_stands_left_and_numbers_stand_right() -> None:
    layout = lay_out([Column("name"), Column("auc", align="right")], [["a", "0.9"], ["bcd", "10.25"]], width=None)

    assert layout.header == ("name    auc",)
    assert layout.rows == ("a       0.9", "bcd   10.25")


def test_a_wide_character_takes_two_columns() -> None:
    layout = lay_out([Column("name"), Column("x")], [["予測", "1"], ["ab", "2"]], width=None)

    assert layout.header == ("name  x",)
    assert layout.rows == ("予測  1", "ab    2")


def test_a_combining_mark_takes_no_column() -> None:
    assert text_width("cafe\u0301") == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [("two\nlines", "two lines"), ("\x1b[31mred", "\\x1b[31mred"), ("a\u202eb", "a\\u202eb"), ("plain", "plain")],
)
def test_nothing_in_a_cell_can_move_the_cursor(text: str, shown: str) -> None:
    assert clean_text(text) == shown


def test_a_cut_is_marked_and_exact() -> None:
    assert cut_text("abcdefgh", 5) == "abcd…"
    assert cut_text("churn-lr0.02", 8, middle=True) == "chu…0.02"
    assert cut_text("short", 5) == "short"


def test_a_wide_character_is_never_halved() -> None:
    shown = cut_text("予測モデル", 4)

    assert shown == "予…"
    assert text_width(shown) == 3


def test_the_widest_text_column_gives_way_first() -> None:
    columns = [Column("name", cut="end", least=5), Column("why", cut="end", least=5)]

    layout = lay_out(columns, [["abcdefgh", "abcdefghijklmnop"]], width=20)

    assert layout.rows == ("abcdefgh  abcdefghi…",)


def test_long_titles_break_before_a_column_is_left_out() -> None:
    columns = [Column("id"), Column("max_leaf_nodes", align="right", wrap=True, rank=1)]

    layout = lay_out(columns, [["9f3a01bc", "64"]], width=20)

    assert layout.header == ("          max_leaf_", "id            nodes")
    assert layout.rows == ("9f3a01bc         64",)
    assert layout.left_out == ()


def test_columns_find_room_in_the_order_of_their_ranks() -> None:
    columns = [Column("id"), Column("host", rank=2), Column("auc", rank=1), Column("ms", rank=3)]

    layout = lay_out(columns, [["1234", "long-host-name", "0.91", "7"]], width=14)

    assert layout.rows == ("1234  0.91  7",)
    assert layout.left_out == ("host",)


def test_what_identifies_a_row_stays_however_narrow_the_terminal() -> None:
    columns = [Column("id"), Column("name", cut="end", least=4), Column("auc", rank=1)]

    layout = lay_out(columns, [["9f3a01bc", "abcdefgh", "0.9"]], width=10)

    assert layout.rows == ("9f3a01bc  abc…",)
    assert layout.left_out == ("auc",)


def test_a_table_without_rows_still_has_titles() -> None:
    assert lay_out([Column("a"), Column("b")], [], width=80).header == ("a  b",)


def test_a_line_breaks_at_its_spaces_and_never_inside_a_word() -> None:
    assert wrap_text("one two three", 8, hanging=2) == ["one two", "  three"]
    assert wrap_text("digest  sha256:0123456789", 12, hanging=8) == ["digest  sha256:0123456789"]
    assert wrap_text("one two three", None) == ["one two three"]


def test_names_that_do_not_fit_lose_what_they_all_begin_with() -> None:
    names = [f"churn-lgbm-lr{rate}-leaves16-cw1" for rate in (0.01, 0.05)]

    layout = lay_out([Column("name", cut="middle", least=8)], [[name] for name in names], width=22)

    assert layout.rows == ("…lr0.01-leaves16-cw1", "…lr0.05-leaves16-cw1")


def test_a_name_that_stands_alone_keeps_both_ends() -> None:
    layout = lay_out([Column("name", cut="middle", least=8)], [["churn-lgbm-lr0.01"]], width=12)

    assert layout.rows == ("chur…-lr0.01",)


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    rows=st.lists(st.lists(_WORDS, min_size=3, max_size=3), max_size=4),
    titles=st.lists(_WORDS, min_size=3, max_size=3),
    width=st.integers(20, 80),
)
@settings(max_examples=60, deadline=None)
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], titles: list[str], width: int) -> None:
    columns = [
        Column("id"),
        Column(titles[0], cut="middle", least=8),
        Column(titles[1], cut="end", least=8, wrap=True, rank=1),
        Column(titles[2], align="right", rank=2),
    ]

    layout = lay_out(columns, [["12345678", *row] for row in rows], width=width)

    assert len(layout.rows) == len(rows)
    assert all(text_width(line) <= width for line in (*layout.header, *layout.rows))
    assert all(line.isprintable() for line in (*layout.header, *layout.rows))


@given(text=_WORDS, width=st.integers(1, 30), middle=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_cut_text_never_exceeds_its_width(text: str, width: int, middle: bool) -> None:
    clean = clean_text(text)

    shown = cut_text(clean, width, middle=middle)

    assert text_width(shown) <= width
    assert shown == clean or "…" in shown
