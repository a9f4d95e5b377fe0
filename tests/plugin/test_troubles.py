"""What goes wrong outside any test is one clear error at the end, and loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

TWO = "def test_a(mlrun): mlrun.log_metric('auc', 0.5)\ndef test_b(mlrun): pass\n"


def test_a_hook_that_raises_is_one_error_and_stops_nothing(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makeconftest("def pytest_mlrun_run_finished(config, run):\n    raise RuntimeError('chat is down')\n")
    pytester.makepyfile(TWO)

    result = pytester.runpytest("--mlrun", "-q")

    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "pytest_mlrun_run_finished raised RuntimeError: chat is down",
            "*where:*conftest.py:2",
            "*next:*",
            "*(2 times)",
        ]
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert len(stored_runs()) == 2


def test_a_full_disk_loses_no_run_that_finished(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import resource, signal

        def test_before(mlrun): mlrun.log_metric("auc", 0.5)

        def test_full(mlrun):
            mlrun.log_metric("auc", 0.6)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
            mlrun.log_param("depth", 3)

        def test_after(mlrun): pass
        """
    )

    # A pipe has no size that a limit could reach; pytester would write to files.
    command = [sys.executable, "-m", "pytest", "--mlrun", "-s", "-p", "no:cacheprovider"]
    # Not measured: what coverage writes at the end meets the limit too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command, cwd=pytester.path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the run store cannot be written: the file-size limit is reached" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    assert not done.stderr
    before, full = stored_runs()
    assert (before.outcome, before.metrics["auc"]) == ("passed", 0.5)
    assert (full.status, full.metrics["auc"]) == ("running", 0.6)


@pytest.mark.parametrize("arguments", [["--mlrun"], ["--mlrun", "-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_a_store_that_is_a_file_is_one_error_a_test(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.path.joinpath(".pytest_mlrun").write_text("mine")
    pytester.makepyfile(TWO)

    result = pytester.runpytest_subprocess(*arguments)

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["the run store must be a folder: .pytest_mlrun is a file"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "pytest_mlrun/" not in result.stdout.str()


@pytest.mark.parametrize("fixture", ["mlrun_seed", "mlrun_clean_tree"])
def test_a_pin_never_looks_at_the_store(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.path.joinpath(".pytest_mlrun").write_text("mine")
    pytester.makepyfile(f"import pytest\n\ndef test_pin({fixture}): pass\n")

    result = pytester.runpytest()

    result.stdout.no_fnmatch_line("*run store*")
    assert result.ret in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}


@pytest.mark.parametrize("arguments", [[], ["--mlrun"]], ids=["plain", "mlrun"])
def test_a_missing_store_says_how_to_make_one(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makepyfile("def test_report(mlrun_store): pass")

    result = pytester.runpytest(*arguments)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["there is no run store in .pytest_mlrun", "*next:*record a first run: pytest --mlrun"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_an_unknown_run_is_an_error_without_a_line_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_train="def test_train(mlrun): pass",
        test_report="def test_report(mlrun_store): mlrun_store.find('nothing')",
    )
    pytester.runpytest("--mlrun", "test_train.py")

    result = pytester.runpytest("test_report.py")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*mlrun_store.find('nothing')*", "E*RunNotFoundError: *"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_a_run_kept_beyond_its_test_refuses_without_a_line_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        KEPT = []

        def test_run(mlrun): KEPT.append(mlrun)
        def test_plain(): KEPT[0].log_metric("auc", 0.5)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*RunClosedError: run test_run has finished and cannot be written to"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_a_broken_configuration_is_said_by_pins_too(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mlrun.toml").write_text("[dta.x]\npath = 'x'\n")
    pytester.makepyfile("def test_pin(mlrun_data): pass")

    result = pytester.runpytest()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["mlrun.toml: unknown section 'dta'; did you mean 'data'?"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_a_typo_on_one_param_of_a_pinned_test_fails_it_without_a_line_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.mlrun(sed=1))])
        def test_pin(mlrun_seed, x): pass
        """
    )

    result = pytester.runpytest()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes no argument 'sed'; did you mean 'seed'?"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_a_typo_in_a_module_without_experiments_fails_its_collection(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n\npytestmark = pytest.mark.mlrun(sed=1)\n\ndef test_plain(): pass\n")

    result = pytester.runpytest()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*takes no argument 'sed'; did you mean 'seed'?"])


def test_a_doctest_is_refused_with_the_cure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it='''
        """
        >>> 1
        1
        """
        import pytest

        @pytest.fixture(autouse=True)
        def every(mlrun): pass

        def test_run(): pass
        '''
    )

    result = pytester.runpytest("--mlrun", "--doctest-modules")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["test_it: a DoctestItem cannot be an experiment", "*next:*not in an autouse fixture"])
