"""A baseline that is committed is there in every checkout, and is an error with the cure where it cannot serve."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.bundle_form import pack, unpack

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import numpy as np

rng = np.random.default_rng(20261202)
TRUTH, NOISE = rng.random(400), rng.standard_normal(400)

def train(run, *, worse=0.0, rows=400, shift=0.0, metrics=("rmse", "mae")):
    own = np.random.default_rng(run.seed).standard_normal(400)
    out = TRUTH + (0.3 + worse) * NOISE + 0.02 * own
    run.evaluate("val", (TRUTH + shift)[:rows], out[:rows], metrics=metrics)
"""
BASE = """
from model import train

def test_base(mlrun):
    train(mlrun)
    for run in mlrun.seeds(10): train(run)

def test_broken(mlrun):
    train(mlrun)
    assert False
"""
GATE = 'mlrun.assert_no_regression("val_rmse", against="churn@production", margin=0.01)'
FILE = "mlrun-baselines/churn@production.mlrun"


@pytest.fixture
def checkout(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the runs ``test_base``, which passed, and ``test_broken``."""
    pytester.makepyfile(model=MODEL, test_it=BASE)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")
    pytester.path.joinpath("mlrun.toml").touch()
    pytester.runpytest("--mlrun").assert_outcomes(passed=1, failed=1)
    return pytester


@pytest.fixture
def committed(checkout: pytest.Pytester) -> pytest.Pytester:
    """Somebody else's checkout of it: the baseline is committed, and there is no store."""
    assert main(["baseline", "init", "test_base", "--as", "churn@production"]) == 0
    checkout.path.joinpath(".pytest_mlrun").rename(checkout.path / "elsewhere")
    return checkout


def judge(pytester: pytest.Pytester, *bodies: str, options: tuple[str, ...] = ()) -> pytest.RunResult:
    tests = [f"def test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it="from model import train\n\n" + "\n".join(tests))
    return pytester.runpytest("--mlrun", *options)


def until(worse: float) -> str:
    gate = GATE.replace("assert_", "").replace("0.01", '0.01, claim="procedure"')
    return (
        f"gate = {gate}\n    [train(run, worse={worse}) for run in mlrun.seeds(until=gate)]\n    mlrun.assert_all(gate)"
    )


def test_models_and_procedures_are_compared_without_a_store(committed: pytest.Pytester, stored_runs: Runs) -> None:
    result = judge(committed, f"train(mlrun); {GATE}", f"train(mlrun, worse=0.2); {GATE}", until(0.0), until(0.2))

    result.assert_outcomes(passed=2, failed=2)
    by_name = {run.name: run.gates[0] for run in stored_runs() if run.gates}
    assert [by_name[f"test_new{place}"].decision for place in range(4)] == ["PASS", "FAIL", "PASS", "FAIL"]
    assert by_name["test_new3"].method.startswith("2 new against 10 stored seeds, rows and seeds")
    bundle = open_bundle(committed.path / FILE)

    assert bundle.row.name == "test_base"
    assert [run.params["replicate"] for run in bundle.companions] == [str(seed) for seed in range(10)]
    held = {artifact.role for artifact in bundle.row.artifacts if bundle.holds(artifact)}
    assert held == {"predictions", "labels", "environment"}


def test_what_cannot_serve_without_a_store_is_an_error_with_the_cure(committed: pytest.Pytester) -> None:
    sound = (committed.path / FILE).read_bytes()
    committed.path.joinpath(FILE).with_name("churn@damaged.mlrun").write_bytes(sound[:-40] + sound[-39:])
    committed.path.joinpath(FILE).with_name("churn@empty.mlrun").write_bytes(b"")
    cases = {
        f"train(mlrun); {GATE.replace('production', 'staging')}": "no baseline: there is no such model 'churn'",
        f"train(mlrun); {GATE.replace('churn@production', 'x.mlrun')}": "the bundle cannot be read: *",
        f"train(mlrun, rows=399); {GATE}": "val_rmse against *: the baseline was evaluated on other rows",
        f"train(mlrun, shift=0.1); {GATE}": "val_rmse against *: 400 of 400 rows have another label in the baseline",
        f"train(mlrun, metrics=['r2']); {GATE.replace('rmse', 'r2')}": "baseline * never logged 'val_r2'*",
        f"train(mlrun); {GATE.replace('production', 'damaged')}": "not a bundle as it was exported: *",
        f"train(mlrun); {GATE.replace('production', 'empty')}": "not a bundle as it was exported: *",
    }

    result = judge(committed, *cases)

    result.assert_outcomes(failed=len(cases))
    result.stdout.fnmatch_lines([line for text in cases.values() for line in (f"E*Error: {text}", "E*next:*")])
    result.stdout.fnmatch_lines(["E*next:*commit a run that passed: pytest-mlrun baseline init RUN --as churn@staging"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


REFUSED = {
    ("test_base",): "--as is needed: whose baseline is it?",
    ("test_base", "--as", "churn"): "'churn' names no alias",
    ("test_base", "--as", "../churn@x"): "'../churn@x' names no alias",
    ("nobody", "--as", "churn@production"): "no run answers to 'nobody'",
    ("test_broken", "--as", "churn@production"): "run * is no baseline: it ended failed",
}


def test_a_run_that_did_not_pass_is_no_baseline_nor_is_what_cannot_be_meant(
    checkout: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout.path / "mlrun-baselines"
    for arguments, found in REFUSED.items():
        capsys.readouterr()
        assert main(["baseline", "init", *arguments]) == 2
        error = capsys.readouterr().err
        assert fnmatch(error.splitlines()[0], f"error: {found}")
        assert "  next:  " in error
    assert not folder.exists()
    assert main(["baseline", "init", "test_base", "--as", "churn@production"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert fnmatch(said[0], "churn@production: run ????????  test_base, with 10 seeds")
    assert said[1].startswith(f"  commit it:  git add {FILE}   (")
    assert main(["export", "test_broken", "-o", FILE]) == 0

    result = judge(checkout, f"train(mlrun); {GATE}")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*RunNotFoundError: no baseline: the run committed as churn@production did not pass",
            "E*next:  commit one that passed: pytest-mlrun baseline init RUN --as MODEL@ALIAS",
        ]
    )


# -- with a registry ---------------------------------------------------------------------------------------------------

JUDGED = """
import pytest
from model import train
from sklearn.dummy import DummyRegressor

pytestmark = pytest.mark.mlrun(experiment="churn")

@pytest.mark.parametrize("worse", [0.0, 0.1])
def test_sweep(mlrun, worse):
    train(mlrun, worse=worse, metrics=["rmse"])
    mlrun.log_model(DummyRegressor().fit([[0.0]], [0.0]))

@pytest.mark.mlrun_select(experiment="churn", by="val_rmse")
def test_winner(mlrun):
    mlrun.evaluate("test", [0.0, 1.0, 2.0] * 9, [0.1, 0.9, 2.2] * 9, metrics=["mae"], row_ids=range(1000, 1027))
    mlrun.register("churn")
"""


@pytest.fixture
def registered(pytester: pytest.Pytester, git: object) -> pytest.Pytester:
    """A checkout with ``churn/1``, the winner of a sweep that a test of its own judged."""
    assert callable(git)
    pytester.makepyfile(model=MODEL, test_it=JUDGED)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")
    pytester.path.joinpath("mlrun.toml").touch()
    pytester.path.joinpath(".gitignore").write_text(".pytest_mlrun/\n__pycache__/\n.pytest_cache/\n")
    origin = pytester.path.parent / f"{pytester.path.name}-origin"
    git("init", "-q", "--bare", str(origin))
    git("config", "user.name", "Ada")
    git("config", "user.email", "ada@example.org")
    git("remote", "add", "origin", str(origin))
    git("add", ".")
    git("commit", "-qm", "Train")
    pytester.runpytest("--mlrun", "--mlrun-register").assert_outcomes(passed=3)
    git("push", "-q", "origin", "HEAD:main", "refs/mlrun/*:refs/mlrun/*")
    return pytester


@pytest.mark.slow
def test_promoting_writes_the_baseline_with_what_the_judge_measured(
    registered: pytest.Pytester, capsys: pytest.CaptureFixture[str], stored_runs: Runs
) -> None:
    capsys.readouterr()

    assert main(["promote", "churn/1", "production", "--note", "first"]) == 0

    assert f"  commit it:  git add mlrun-registry/churn/000002.json {FILE}\n" in capsys.readouterr().out
    runs = {run.name: run for run in stored_runs()}
    bundle = open_bundle(registered.path / FILE)
    assert (bundle.row.run_id, [run.run_id for run in bundle.companions]) == (
        runs["test_sweep[0.0]"].run_id,
        [runs["test_winner"].run_id],
    )
    gates = [GATE, GATE.replace("val_rmse", "test_mae")]
    both = JUDGED.split("def test_winner")[1].split("\n")[1] + "; train(mlrun, worse=0.0); " + "; ".join(gates)
    judge(registered, both.strip()).assert_outcomes(passed=1)
    registered.path.joinpath(".pytest_mlrun").rename(registered.path / "elsewhere")
    judge(registered, both.strip()).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_baseline_that_the_registry_owns_is_not_rewritten_by_hand(
    registered: pytest.Pytester, capsys: pytest.CaptureFixture[str], stored_runs: Runs
) -> None:
    assert main(["promote", "churn/1", "production", "--note", "first"]) == 0
    before = (registered.path / FILE).read_bytes()
    other = next(run.short_id for run in stored_runs() if run.name == "test_sweep[0.1]")
    capsys.readouterr()

    codes = [main(["baseline", "init", other, "--as", f"churn@{alias}"]) for alias in ("production", "staging")]

    assert codes == [2, 2]
    error = capsys.readouterr().err
    assert f"error: the baseline churn@production belongs to the registry, and {other} is another run" in error
    assert "  churn@production is churn/1, run " in error
    assert "  churn@staging is held by no version" in error
    assert (registered.path / FILE).read_bytes() == before
    assert main(["baseline", "init", "churn@production"]) == 0
    assert (registered.path / FILE).read_bytes() == before


@pytest.mark.slow
def test_promoting_without_the_store_says_where_the_baseline_comes_from(
    registered: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    store: Path = registered.path / ".pytest_mlrun"
    store.rename(registered.path / "elsewhere")
    capsys.readouterr()

    assert main(["promote", "churn/1", "production", "--note", "first"]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "  commit it:  git add mlrun-registry/churn/000002.json"
    assert "no baseline was written: the run is not in a store here." in said.err
    assert "pytest-mlrun baseline init churn@production" in said.err
    assert not (registered.path / FILE).exists()


# -- rewriting ---------------------------------------------------------------------------------------------------------

UPDATE = "--mlrun-update-baselines"


def test_the_session_rewrites_the_baselines_that_its_gates_name_and_fails(committed: pytest.Pytester) -> None:
    old = open_bundle(committed.path / FILE)
    bodies = (f"train(mlrun, worse=0.2); {GATE}", until(0.1).replace("churn@production", "mlrun-baselines/new.mlrun"))

    result = judge(committed, *bodies, options=(UPDATE, "-q"))

    assert result.ret == 1
    result.assert_outcomes(passed=2)
    new, seeds = open_bundle(committed.path / FILE), open_bundle(committed.path / "mlrun-baselines" / "new.mlrun")
    assert (new.row.name, new.row.gates, len(seeds.companions)) == ("test_new0", (), 10)
    result.stdout.fnmatch_lines(
        [
            f"baseline updated: {FILE} is test_new0 ({new.row.short_id})",
            f"  val_mae * {old.row.metrics['val_mae']:.4g} → {new.row.metrics['val_mae']:.4g}",
            f"  val_rmse * {old.row.metrics['val_rmse']:.4g} → {new.row.metrics['val_rmse']:.4g}",
            "  mean val_mae of 10 seeds * → none",
            f"  look at it, then:  git add {FILE}",
            "baseline updated: mlrun-baselines/new.mlrun is test_new1 (*)",
            "  mean val_rmse of 10 seeds  none → 0.*",
        ]
    )
    judge(committed, f"train(mlrun, worse=0.2); {GATE}").assert_outcomes(passed=1)


def test_what_cannot_become_a_baseline_is_said_and_leaves_the_file_as_it_is(committed: pytest.Pytester) -> None:
    before = (committed.path / FILE).read_bytes()
    other = GATE.replace("production", "broken")
    outside = GATE.replace("churn@production", "../outside.mlrun")

    result = judge(
        committed,
        f"train(mlrun); {GATE}",
        f"train(mlrun); {GATE}",
        f"train(mlrun); {other}; assert False",
        f"train(mlrun); {outside}",
        f"train(mlrun); {GATE.replace('churn@production', 'test_new0')}",
        options=(UPDATE,),
    )

    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*RegistryError: '../outside.mlrun' is no file of this project that could be a baseline",
            f"baseline not updated: {FILE}; 2 runs name it: select one with -k (test_new0, test_new1)",
            "baseline not updated: mlrun-baselines/churn@broken.mlrun; no run of it passed (test_new2)",
        ]
    )
    assert (committed.path / FILE).read_bytes() == before
    assert [file.name for file in (committed.path / "mlrun-baselines").iterdir()] == ["churn@production.mlrun"]


@pytest.mark.slow
def test_under_xdist_baselines_are_rewritten_once(committed: pytest.Pytester) -> None:
    gates = (f"train(mlrun); {GATE}", f"train(mlrun); {GATE.replace('production', 'staging')}")

    result = judge(committed, *gates, options=(UPDATE, "-p", "xdist", "-n", "2"))

    assert result.ret == 1
    assert sum(line.startswith("baseline updated: ") for line in result.stdout.lines) == 2
    assert len(list((committed.path / "mlrun-baselines").iterdir())) == 2


@pytest.mark.slow
def test_a_baseline_of_the_registry_is_rewritten_by_promoting_only(registered: pytest.Pytester) -> None:
    assert main(["promote", "churn/1", "production", "--note", "first"]) == 0
    before = (registered.path / FILE).read_bytes()

    result = judge(registered, f"train(mlrun); {GATE}", options=(UPDATE,))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*RegistryError: the baseline churn@production belongs to the registry, and is not rewritten here",
            "E*next:  promote the run, which writes its baseline: pytest-mlrun promote churn/N production",
        ]
    )
    assert (registered.path / FILE).read_bytes() == before


@pytest.mark.slow
def test_a_session_that_had_nothing_to_rewrite_says_so_and_fails(committed: pytest.Pytester) -> None:
    result = judge(committed, "train(mlrun)", options=(UPDATE,))

    assert result.ret == 1
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["no baseline was updated: no gate of this session names a committed file"])


@pytest.mark.slow
def test_a_baseline_that_cannot_be_written_is_said_after_the_promotion(
    registered: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    registered.path.joinpath("mlrun-baselines").write_text("in the way")
    capsys.readouterr()

    assert main(["promote", "churn/1", "production", "--note", "first"]) == 2

    said = capsys.readouterr()
    assert said.out.startswith("churn@production is churn/1\n")
    assert said.err.startswith("error: promoted, but its baseline was not written: ")
    assert "then: pytest-mlrun baseline init churn@production" in said.err


def test_a_committed_seed_that_was_dropped_or_changed_is_refused(committed: pytest.Pytester) -> None:
    file = committed.path / FILE
    members = unpack(file.read_bytes())
    dropped = next(name for name in members if name.startswith("runs/"))
    digest = json.loads(members["bundle.json"])["runs"]
    fewer = {name: content for name, content in members.items() if name != dropped}
    del digest[Path(dropped).stem]
    about = {**json.loads(members["bundle.json"]), "runs": digest}
    fewer["bundle.json"] = json.dumps(about, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    # What no run names any more would be refused for that reason.
    texts = b"".join(content for name, content in fewer.items() if name.endswith(".json"))
    fewer = {name: content for name, content in fewer.items() if name[:8] != "objects/" or name[8:].encode() in texts}
    file.write_bytes(pack(fewer))
    assert len(open_bundle(file).companions) == 9

    result = judge(committed, until(0.0))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*StoreDamagedError: baseline * has other seeds or folds than it recorded",
            "E*recorded 10, found 9, or one was changed",
            "E*next:*",
        ]
    )
