"""``pytest-mlrun data`` pins data and says what changed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console

MakeConsole = Callable[..., Console]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a file and a folder of data."""
    (tmp_path / "mlrun.toml").write_text(
        '[data.churn]\npath = "data/churn.csv"\n[data.images]\npath = "images"\n', encoding="utf-8"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "data" / "churn.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "images" / "one.png").write_bytes(b"one")
    (tmp_path / "images" / "two.png").write_bytes(b"two")
    return tmp_path


def test_the_first_lock_pins_everything(project: Path, make_console: MakeConsole) -> None:
    console = make_console()

    code = main(["data", "lock"], console=console)

    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    lines = _text(console.out).splitlines()
    assert code == 0
    assert lines[0] == f"new        churn  sha256:{digest[:8]}…  1 file, 8 B"
    assert lines[1].startswith("new        images  sha256:")
    assert lines[1].endswith("2 files, 6 B")
    assert lines[2] == "wrote mlrun.lock: commit it"
    assert json.loads((project / "mlrun.lock").read_text())["data"]["churn"]["digest"] == f"sha256:{digest}"


def test_a_second_lock_changes_nothing(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    before = (project / "mlrun.lock").stat()
    console = make_console()

    assert main(["data", "lock"], console=console) == 0
    assert [line.split()[0] for line in _text(console.out).splitlines()] == ["unchanged", "unchanged"]
    assert (project / "mlrun.lock").stat().st_ino == before.st_ino


def test_a_change_names_both_digests_and_the_files(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    (project / "images" / "two.png").write_bytes(b"2")
    (project / "images" / "three.png").write_bytes(b"three")
    (project / "images" / "one.png").unlink()
    console = make_console()

    main(["data", "lock", "images"], console=console)

    first, *files = _text(console.out).splitlines()
    assert first.startswith("changed    images  sha256:")
    assert first.count("sha256:") == 2
    assert files == [
        "  changed: two.png (3 → 1 bytes)",
        "  appeared: three.png",
        "  vanished: one.png",
        "wrote mlrun.lock: commit it",
    ]


def test_locking_one_name_leaves_the_others_alone(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    before = json.loads((project / "mlrun.lock").read_text())["data"]
    (project / "data" / "churn.csv").write_bytes(b"x")
    (project / "images" / "one.png").write_bytes(b"x")

    main(["data", "lock", "churn"], console=make_console())

    after = json.loads((project / "mlrun.lock").read_text())["data"]
    assert after["images"] == before["images"]
    assert after["churn"] != before["churn"]


def test_a_lock_edited_by_hand_is_not_written_over(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    lock = project / "mlrun.lock"
    edited = lock.read_text().replace(hashlib.sha256(b"a,b\n1,2\n").hexdigest(), "0" * 64, 1)
    lock.write_text(edited)
    console = make_console()

    assert main(["data", "lock"], console=console) == 2
    assert _text(console.err).startswith("error: mlrun.lock: the digest of 'churn' does not fit its files\n")
    assert lock.read_text() == edited


def test_data_that_the_project_dropped_leaves_the_lock(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    (project / "mlrun.toml").write_text('[data.churn]\npath = "data/churn.csv"\n', encoding="utf-8")
    console = make_console()

    main(["data", "lock"], console=console)

    assert "removed    images: mlrun.toml has no [data.images]\n" in _text(console.out)
    assert list(json.loads((project / "mlrun.lock").read_text())["data"]) == ["churn"]


def test_intact_data_is_verified_with_0(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    console = make_console()

    assert main(["data", "verify"], console=console) == 0
    assert [line.split()[:2] for line in _text(console.out).splitlines()] == [["intact", "churn"], ["intact", "images"]]
    assert _text(console.err) == ""


def test_changed_data_is_a_finding_and_the_rest_is_still_verified(project: Path, make_console: MakeConsole) -> None:
    main(["data", "lock"], console=make_console())
    (project / "data" / "churn.csv").write_bytes(b"a,b\n1,3\n")
    console = make_console()

    assert main(["data", "verify"], console=console) == 1
    assert _text(console.out).startswith("intact     images  sha256:")
    assert _text(console.err).startswith("error: data 'churn' changed: expected sha256 ")
    assert "  next:  if intended: pytest-mlrun data lock churn\n" in _text(console.err)


def test_data_that_was_never_locked_is_a_finding(project: Path, make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["data", "verify", "churn"], console=console) == 1
    assert _text(console.err).splitlines()[0] == "error: data 'churn' has no digest in mlrun.lock"
    assert not (project / "mlrun.lock").exists()


def test_missing_data_writes_no_lock(project: Path, make_console: MakeConsole) -> None:
    (project / "data" / "churn.csv").unlink()
    console = make_console()

    assert main(["data", "lock"], console=console) == 2
    assert _text(console.err).splitlines()[0] == "error: data 'churn' was not found: data/churn.csv"
    assert not (project / "mlrun.lock").exists()


def test_a_uri_is_fetched_and_pinned(project: Path, make_console: MakeConsole) -> None:
    uri = (project / "data" / "churn.csv").as_uri()
    (project / "mlrun.toml").write_text(f'[data.far]\npath = "{uri}"\n', encoding="utf-8")
    console = make_console()

    assert main(["data", "lock"], console=console) == 0
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert _text(console.out).splitlines()[0] == f"new        far  sha256:{digest[:8]}…  1 file, 8 B"


def test_the_nearest_project_counts_unless_one_is_named(project: Path, make_console: MakeConsole) -> None:
    above, named = make_console(folder=project / "images"), make_console(folder=project.parent)

    codes = (
        main(["data", "lock", "churn"], console=above),
        main(["data", "lock", "churn", "--project", project.name], console=named),
    )

    assert codes == (0, 0)
    assert _text(above.out).splitlines()[-1] == "wrote ../mlrun.lock: commit it"
    assert _text(named.out).startswith("unchanged  churn  ")


@pytest.mark.parametrize("verb", ["lock", "verify"])
@pytest.mark.parametrize(
    ("toml", "names", "headline"),
    [
        (None, [], "error: no mlrun.toml here or in a folder above"),
        (None, ["--project", "images"], "error: no mlrun.toml there"),
        ("", [], "error: mlrun.toml names no data"),
        (
            '[data.churn]\npath = "c.csv"\n',
            ["chrun"],
            "error: data 'chrun' is not in mlrun.toml; did you mean 'churn'?",
        ),
    ],
)
def test_a_project_that_cannot_be_meant_ends_with_2(
    verb: str, toml: str | None, names: list[str], headline: str, make_console: MakeConsole, tmp_path: Path
) -> None:
    if toml is not None:
        (tmp_path / "mlrun.toml").write_text(toml, encoding="utf-8")
    console = make_console()

    assert main(["data", verb, *names], console=console) == 2
    assert _text(console.err).splitlines()[0] == headline
    assert "\n  next:  " in _text(console.err)


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
