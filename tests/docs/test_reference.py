"""docs/reference.md is what the code says of itself."""

from __future__ import annotations

import re

import pytest_mlrun
from pytest_mlrun.options import OPTIONS
from pytest_mlrun.rules.marker import MarkerKeys
from tests.docs.reference import render
from tests.docs.running import ROOT

PAGE = ROOT / "docs" / "reference.md"


def test_the_reference_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m tests.docs.reference > docs/reference.md"


def test_the_reference_names_every_option_marker_argument_and_public_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:--)?([\w-]+)", page))

    wanted = {option.key for option in OPTIONS} | set(MarkerKeys.__annotations__) | set(pytest_mlrun.__all__)

    assert wanted <= named


def test_no_row_of_the_reference_is_without_a_sentence() -> None:
    rows = re.findall(r"^\| (`.+?`) \|(.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert [name for name, rest in rows if not rest.strip(" |")] == []
    assert len(rows) > 100
