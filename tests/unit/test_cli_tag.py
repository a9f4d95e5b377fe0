"""``pytest-mlrun tag`` adds to a run what was found out later."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


@pytest.fixture
def store(make_run: MakeRun, write_runs: WriteRuns, tmp_path: Path) -> Path:
    """Two runs, recorded in a project with a vocabulary of tags, and a store beside it."""
    (tmp_path / "mlrun.toml").write_text('[naming.tags]\nstage = ["sweep", "candidate"]\nteam = []\n')
    context = {"project": json.dumps(str(tmp_path))}
    return write_runs([make_run("a", tags={"stage": "sweep"}, context=context), make_run("b", context=context)])


@pytest.mark.usefixtures("store")
def test_what_was_added_is_said_shown_and_found(make_console: MakeConsole) -> None:
    said, shown, found = make_console(), make_console(), make_console()

    assert main(["tag", "a", "stage=candidate", "team=ml", "--note", "best of all"], console=said) == 0
    main(["show", "a"], console=shown)
    main(["runs", "--tag", "stage=candidate", "--json"], console=found)

    assert _text(said.out).splitlines() == [
        "00000001  a",
        "  stage = candidate  (was sweep)",
        "  team = ml",
        "  note: best of all",
    ]
    tags, later = _text(shown.out).split("\ntags\n")[1].split("\nadded later\n")
    assert tags == "  stage = candidate\n  team = ml\n"
    assert later.endswith("stage = candidate, team = ml  note: best of all\n")
    assert [json.loads(line)["name"] for line in _text(found.out).splitlines()] == ["a"]


@pytest.mark.usefixtures("store")
def test_json_has_the_event_and_show_lists_it(make_console: MakeConsole) -> None:
    said, shown = make_console(), make_console()

    main(["tag", "b", "--note", "looks odd", "--json"], console=said)
    main(["show", "b", "--json"], console=shown)

    event = json.loads(_text(said.out))
    assert (event["note"], event["tags"]) == ("looks odd", {})
    assert json.loads(_text(shown.out))["annotations"] == [event]


@pytest.mark.parametrize(
    ("arguments", "headline"),
    [
        (["a"], "nothing to add: neither a tag nor a note"),
        (["a", "candidate"], "'candidate' is no tag: expected key=value"),
        (["a", "=candidate"], "'=candidate' is no tag: expected key=value"),
        (["a", "team=x", "team=y"], "tag 'team' is given twice"),
        (["a", "stage=candidat"], "tag 'stage' cannot be 'candidat'; did you mean 'candidate'?"),
        (["a", "stagee=sweep"], "tag 'stagee' is not in the vocabulary; did you mean 'stage'?"),
        (["a", "mlrun.x=1"], "tag name 'mlrun.x' begins with 'mlrun.', which is reserved"),
        (["c", "team=x"], "no run answers to 'c'"),
        (["a", "--note", "x" * 8001], "the note has 8001 characters, more than 8000"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_mistake_is_named_and_nothing_is_written(
    arguments: list[str], headline: str, store: Path, make_console: MakeConsole
) -> None:
    console = make_console()

    assert main(["tag", *arguments], console=console) == 2
    assert _text(console.err).splitlines()[0] == f"error: {headline}"
    assert not (store / "annotations").exists()


def test_a_damaged_event_ends_with_3_and_its_file_is_named(store: Path, make_console: MakeConsole) -> None:
    main(["tag", "a", "team=ml"], console=make_console())
    (event,) = (store / "annotations").iterdir()
    event.write_text("{}")
    listed, verified = make_console(), make_console()

    codes = [main(["runs", "--json"], console=listed), main(["verify"], console=verified)]

    assert codes == [3, 3]
    assert len(_text(listed.out).splitlines()) == 2
    assert _text(listed.err) == f"warning: not everything is shown: {event} is damaged. See: pytest-mlrun verify\n"
    assert _text(verified.out).startswith(
        "damaged: the annotation is not what was written: a field is missing or of another kind\n"
    )


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
