"""What a test or its fixtures draw without a seed is in the record and in the summary, with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pytest_mlrun import open_store
from pytest_mlrun.cli import main

SUITE = """
import random
import numpy as np, pytest

pytestmark = pytest.mark.mlrun(experiment="draws", seed=1)

@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng().normal(size=5)

@pytest.fixture
def noise():
    return random.Random().random()

@pytest.mark.parametrize("number", [1, 2])
def test_a(mlrun, rows, noise, number):
    for _ in range(3):
        np.random.PCG64()

def test_seeded(mlrun):
    np.random.default_rng(mlrun.seed)
    np.random.RandomState(mlrun.seed)
    mlrun.rng.random()

@pytest.mark.mlrun(entropy="off")
def test_off(mlrun, noise):
    np.random.default_rng()
"""
LINES = [
    "test_draws.py:8:numpy.random.default_rng:1",
    "test_draws.py:12:random.Random:1",
    "test_draws.py:17:numpy.random.PCG64:3",
]


def drawn() -> dict[str, tuple[object, object]]:
    """Return what each run says of its draws."""
    return {
        run.name: tuple(json.loads(run.context.get(key, "null")) for key in ("rand.entropy", "randomness.unpinned"))
        for run in open_store().runs()
    }


def test_a_run_names_the_lines_of_its_body_and_of_every_fixture_it_uses(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_draws=SUITE)

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=4)
    assert drawn() == {
        "test_a[1]": ("detect", LINES),
        "test_a[2]": ("detect", LINES),
        "test_seeded": ("detect", None),
        "test_off": ("off", None),
    }
    result.stdout.fnmatch_lines_random(
        [
            "UNPINNED randomness, another in every run: start it from mlrun.seed",
            "  test_draws.py:8  numpy.random.default_rng  (2 runs)",
            "  test_draws.py:12  random.Random  (2 runs)",
            "  test_draws.py:17  numpy.random.PCG64  (2 runs)",
        ]
    )


@pytest.mark.slow
def test_show_and_diff_tell_of_the_draws(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    pytester.makepyfile(test_draws=SUITE)
    pytester.runpytest("--mlrun")
    capsys.readouterr()

    main(["show", "test_a[1]"])
    shown = capsys.readouterr().out
    code = main(["diff", "test_a[1]", "test_seeded", "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert "UNPINNED: test_draws.py:8 numpy.random.default_rng, test_draws.py:12 random.Random, " in shown
    assert "test_draws.py:17 numpy.random.PCG64 x3" in shown
    assert code == 1
    assert [line["values"] for line in told if line["name"] == "unpinned draws"] == [[json.dumps(LINES), None]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("set_up", "arguments"),
    [
        (lambda _: None, ["--mlrun-entropy=off"]),
        (lambda pytester: pytester.makeini("[pytest]\nmlrun_entropy = off\n"), []),
    ],
    ids=["option", "configuration"],
)
def test_nothing_is_looked_for_when_it_is_switched_off(
    pytester: pytest.Pytester, set_up: Callable[[pytest.Pytester], object], arguments: list[str]
) -> None:
    set_up(pytester)
    pytester.makepyfile("import numpy as np\ndef test_it(mlrun):\n    np.random.default_rng()\n")

    result = pytester.runpytest("--mlrun", *arguments)

    assert drawn() == {"test_it": ("off", None)}
    result.stdout.no_fnmatch_line("UNPINNED*")


def test_another_word_is_refused_at_the_start(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--mlrun", "--mlrun-entropy=on")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --mlrun-entropy: expected detect or off, found 'on'"])


@pytest.mark.slow
def test_workers_tell_too_and_a_shared_run_counts_its_fixture_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_shared="""
        import pytest, uuid

        @pytest.fixture(scope="module")
        def trained(mlrun_module):
            mlrun_module.set_tag("id", str(uuid.uuid4()))

        def test_one(mlrun_module, trained): ...
        def test_two(mlrun_module, trained): ...
        """
    )

    result = pytester.runpytest("--mlrun", "-p", "xdist", "-n1", "--dist=loadscope")

    result.assert_outcomes(passed=2)
    assert drawn() == {"test_shared": ("detect", ["test_shared.py:5:uuid.uuid4:1"])}
    result.stdout.fnmatch_lines(["  test_shared.py:5  uuid.uuid4"])
