"""``pytest-mlrun diff`` explains the difference of recorded runs by pillar."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main

Git = Callable[..., str]

PROJECT = '[data.prices]\npath = "data"\n'
TEST = """
import pytest

@pytest.mark.mlrun(experiment="prices", data="prices")
def test_prices(mlrun):
    (mlrun.data["prices"] / "a.csv").read_text()
    for step in range(3):
        mlrun.log_metric("loss", 1 / (step + 1), step=step)
    mlrun.set_tag("team", "pricing")
    mlrun.assert_ceiling("loss", 0.5)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with two data files that git ignores, and an installed package, all recorded once."""
    folder = pytester.path
    (folder / "data").mkdir()
    (folder / "data" / "a.csv").write_text("1\n2\n")
    (folder / "data" / "b.csv").write_text("3\n")
    (folder / "site" / "fakelib-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(folder / "site")
    (folder / "mlrun.toml").write_text(PROJECT)
    (folder / ".gitignore").write_text("data\nsite\n.pytest_mlrun\n__pycache__\n.pytest_cache\n")
    pytester.makepyfile(test_prices=TEST)
    assert main(["data", "lock"]) == 0
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    lock_and_record(pytester, seed=3)
    return folder


def lock_and_record(pytester: pytest.Pytester, *, seed: int) -> None:
    assert main(["data", "lock"]) == 0
    pytester.runpytest("--mlrun", f"--mlrun-seed={seed}").assert_outcomes(passed=1)


def differences(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]]]:
    capsys.readouterr()
    code = main(["diff", *arguments, "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_package_one_file_and_one_seed_are_exactly_what_is_named(
    project: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "site" / "fakelib-1.0.dist-info").rename(project / "site" / "fakelib-1.1.dist-info")
    (project / "data" / "a.csv").write_text("1\n9\n")
    lock_and_record(pytester, seed=4)

    code, found = differences(capsys, "test_prices")

    assert code == 1
    assert [(line["pillar"], line["name"]) for line in found] == [
        ("data", "prices: a.csv"),
        ("packages", "fakelib"),
        ("randomness", "seed"),
    ]
    assert [line["values"] for line in found[1:]] == [["1.0", "1.1"], [3, 4]]


def test_a_person_reads_the_same_three_and_that_nothing_else_differs(
    project: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "site" / "fakelib-1.0.dist-info").rename(project / "site" / "fakelib-1.1.dist-info")
    (project / "data" / "b.csv").unlink()
    lock_and_record(pytester, seed=4)
    capsys.readouterr()

    code = main(["diff", "test_prices"])

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    assert lines[3:] == [
        "data A B",
        "prices: b.csv sha256:1121cfcc… - vanished",
        "",
        "packages A B",
        "fakelib 1.0 1.1 changed",
        "",
        "randomness A B",
        "seed 3 4",
        "",
        "no difference in run, metrics, gates, tags, environment, code",
    ]


@pytest.mark.usefixtures("project")
def test_the_same_again_differs_in_nothing(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    lock_and_record(pytester, seed=3)

    code, found = differences(capsys, "test_prices~1", "test_prices")
    main(["diff", "test_prices"])

    assert (code, found) == (0, [])
    assert capsys.readouterr().out.splitlines()[-1].startswith("no difference: run, metrics, gates, tags, data")


def test_other_code_is_named_by_its_files(
    project: Path, pytester: pytest.Pytester, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "helper.py").write_text("ONE = 1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "second")
    (project / "helper.py").write_text("ONE = 2\n")
    lock_and_record(pytester, seed=3)
    capsys.readouterr()

    code = main(["diff", "test_prices"])

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    assert lines[lines.index("git diff --stat A B") :][:3] == [
        "git diff --stat A B",
        "helper.py | 1 +",
        "1 file changed, 1 insertion(+)",
    ]
    assert lines[lines.index("uncommitted in B") :][:3] == [
        "uncommitted in B",
        "helper.py | 2 +-",
        "1 file changed, 1 insertion(+), 1 deletion(-)",
    ]


def test_a_commit_that_is_not_here_is_said_to_be_missing(
    project: Path, pytester: pytest.Pytester, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    first = git("rev-parse", "HEAD")
    git("commit", "-q", "--amend", "-m", "again")
    lock_and_record(pytester, seed=3)
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    capsys.readouterr()

    main(["diff", "test_prices"])

    assert f"no repository here has commit {first[:10]}; fetch it" in capsys.readouterr().out
