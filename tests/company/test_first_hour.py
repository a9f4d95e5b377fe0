"""Each mistake of a first hour gives a message that a newcomer can act on, and nothing of ours besides."""

from __future__ import annotations

import itertools
import re
from textwrap import dedent

import pytest

from pytest_mlrun.cli import main
from tests.company.first_hour import MISTAKES, Mistake

# Collecting garbage for these at the end of each session takes longer than everything else.
QUICK = ("-pno:unraisableexception", "-pno:threadexception")


@pytest.mark.usefixtures("only_ours")
@pytest.mark.filterwarnings("default::pytest.PytestUnknownMarkWarning")
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_a_newcomer_reads_what_to_do(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], mistake: Mistake
) -> None:
    make(pytester, mistake)

    if mistake.command:
        if mistake.test:
            pytester.runpytest("--mlrun", *QUICK).assert_outcomes(passed=1)
        capsys.readouterr()
        assert main(mistake.command) == 2
        printed = capsys.readouterr().err
    else:
        result = pytester.runpytest(*mistake.arguments, *QUICK)
        printed = f"{result.stdout}\n{result.stderr}"

    wanted = "\n".join(line.replace("{folder}", str(pytester.path)) for line in mistake.lines)
    assert f"\n{wanted}\n" in f"\n{without_margins(printed)}\n"
    # No frame and no path of the package, whatever shows it.
    assert re.findall(r"pytest_mlrun[/\\]\w+\.py|INTERNALERROR|Traceback", printed) == []


def test_there_are_twenty_mistakes_and_more() -> None:
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES) >= 20


def without_margins(printed: str) -> str:
    """Return what was printed without the margin that pytest gives to an exception."""
    blocks = itertools.groupby(printed.splitlines(), key=lambda line: line.startswith("E  "))
    texts = ["\n".join(line[1:] if margin else line for line in lines) for margin, lines in blocks]
    return "\n".join(dedent(text) for text in texts).replace("\npytest_mlrun.", "\n")


def make(pytester: pytest.Pytester, mistake: Mistake) -> None:
    """Write the files of a mistake, and do what was done before."""
    if mistake.test:
        pytester.makepyfile(test_it=dedent(mistake.test))
    for name, content in mistake.files.items():
        (pytester.path / name).write_text(content, encoding="utf-8")
    for step in mistake.before:
        name, writes, content = step.partition(" << ")
        if writes:
            (pytester.path / name).write_text(content, encoding="utf-8")
        else:
            assert main(step.split()) == 0
