"""Run the suites of eight teams as their owners do, and read what their owners read."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_mlrun import RunRecord, open_store

SWEEP = "tests/test_sweep.py"
REPLICATES = "tests/test_replicates.py"
SUITES = Path(__file__).parent / "suites"
FOREIGN = ("PYTEST_", "GIT_", "GITHUB_", "MLRUN_")
# Hypothesis takes a second to start in each of these processes, and pytest-asyncio warns of a setting that is not made;
# neither drives any of these tests.
SPARED = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:asyncio")
UNWANTED = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".pytest_mlrun")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    text: str

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(pytest.RunResult.parse_summary_nouns(self.text.splitlines()))

    def of(self, file: str) -> Counter[str]:
        """Outcomes of one file's tests, as ``-rA`` lists them."""
        listed = (line.split(" ", 2) for line in self.text.splitlines() if f" {file}::" in line)
        return Counter(words[0] for words in listed if words[0].isupper())

    @property
    def errors(self) -> str:
        return "\n".join(line for line in self.text.splitlines() if line.startswith("E  "))

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@dataclass(frozen=True)
class Checkout:
    """A suite in a git repository of its own."""

    path: Path
    environment: Mapping[str, str]
    first: list[Answer] = field(default_factory=list)

    def run(self, *command: str, folder: str = ".", **variables: str) -> Answer:
        done = subprocess.run(
            command,
            cwd=self.path / folder,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout)

    def python(self, *arguments: str, **variables: str) -> Answer:
        return self.run(sys.executable, *arguments, **variables)

    def pytest(self, *arguments: str, folder: str = ".", **variables: str) -> Answer:
        return self.run(sys.executable, "-m", "pytest", *SPARED, *arguments, folder=folder, **variables)

    def program(self, *arguments: str) -> Answer:
        return self.run(sys.executable, "-m", "pytest_mlrun", *arguments)

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
        answer = self.run("git", *author, *arguments)
        assert answer.code == 0, answer.text
        return answer.text.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "as it is")

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        (self.path / file).write_text(text.replace(old, new))

    @property
    def store(self) -> Path:
        return self.path / ".pytest_mlrun"

    def runs(self, experiment: str | None = None, *, file: str = "") -> list[RunRecord]:
        return [run for run in open_store(self.store).runs(experiment=experiment) if run.test.startswith(file)]


def check_out(suite: str, target: Path) -> Checkout:
    shutil.copytree(SUITES / suite, target / suite, ignore=UNWANTED)
    own = {
        "HOME": str(target),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "160",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name != "CI"}
    checkout = Checkout(target / suite, {**inherited, **own})
    checkout.git("init", "--quiet", "--initial-branch=main")
    checkout.commit()
    return checkout


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Checkout]:
    """A checkout that a test may change."""
    return lambda suite: check_out(suite, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkout]:
    """A checkout after its first ``pytest --mlrun``, shared by the tests that only read."""

    @functools.cache
    def train(suite: str) -> Checkout:
        checkout = check_out(suite, tmp_path_factory.mktemp("e2e"))
        checkout.first.append(checkout.pytest("--mlrun", "-rA"))
        return checkout

    return train


@pytest.fixture
def sweep(trained: Callable[[str], Checkout]) -> Checkout:
    return trained("sweep_and_winner")


@pytest.fixture
def credit(trained: Callable[[str], Checkout]) -> Checkout:
    return trained("train_once_assert_many")


@pytest.fixture
def replicates(trained: Callable[[str], Checkout]) -> Checkout:
    return trained("seed_replicates")


@pytest.fixture
def search(trained: Callable[[str], Checkout]) -> Checkout:
    return trained("search_loop")


@pytest.fixture
def monorepo(trained: Callable[[str], Checkout]) -> Checkout:
    return trained("monorepo")


def context(run: RunRecord, name: str) -> object:
    return json.loads(run.context[name])


def params(run: RunRecord) -> dict[str, object]:
    return {name: json.loads(text) for name, text in run.params.items()}


def roles(run: RunRecord) -> Counter[str]:
    return Counter(artifact.role for artifact in run.artifacts)


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", sorted(path.relative_to(SUITES).as_posix() for path in SUITES.glob("**/make_data.py"))
)
def test_a_suites_data_is_what_its_script_makes(script: str, tmp_path: Path) -> None:
    team = Path(script).parents[1]
    shutil.copytree(SUITES / team, tmp_path / team, ignore=UNWANTED)
    committed = {path.name: path.read_bytes() for path in (SUITES / team / "data").iterdir()}

    subprocess.run([sys.executable, tmp_path / script], check=True, timeout=60)

    for name, content in committed.items():
        assert len(content) < 100_000
        # A Parquet file names the writer's version; the others are the same bytes everywhere.
        if not name.endswith(".parquet"):
            assert (tmp_path / team / "data" / name).read_bytes() == content


# -- a sweep and the selection of its winner ---------------------------------------------------------------------------


def test_a_sweep_is_one_finished_run_for_each_case(sweep: Checkout) -> None:
    runs = sweep.runs(file=SWEEP)

    assert sweep.first[0].of("tests/test_load.py") == {"PASSED": 2}
    assert sweep.first[0].of(SWEEP) == {"PASSED": 6}
    assert {(run.experiment, run.status, run.outcome, run.cause) for run in runs} == {
        ("churn-2026q2", "finished", "passed", "")
    }
    assert sorted((params(run)["learning_rate"], params(run)["max_leaf_nodes"]) for run in runs) == [
        (rate, leaves) for rate in (0.02, 0.1, 0.4) for leaves in (4, 16)
    ]
    assert {run.name for run in runs} == {
        f"churn-hgb-lr{rate}-leaves{leaves}" for rate in (0.02, 0.1, 0.4) for leaves in (4, 16)
    }


def test_a_run_of_a_sweep_knows_its_code_data_environment_and_seed(sweep: Checkout) -> None:
    head = sweep.git("rev-parse", "HEAD")

    for run in sweep.runs(file=SWEEP):
        assert context(run, "code.commit") == head
        assert context(run, "code.dirty") is False
        assert context(run, "data.churn.digest") == sha256(sweep.path / "data/churn.csv")
        assert context(run, "env.python") == ".".join(map(str, sys.version_info[:3]))
        assert context(run, "rand.seed") == 42
        assert context(run, "pinned") is True


def test_a_run_of_a_sweep_keeps_rows_curve_figure_table_and_model(sweep: Checkout) -> None:
    for run in sweep.runs(file=SWEEP):
        wanted = {"predictions": 1, "labels": 1, "model": 1, "figure": 1, "table": 1, "environment": 1, "manifest": 1}
        assert wanted.items() <= roles(run).items()
        assert run.series["train_accuracy"].startswith("25:")
        assert {verdict.gate + " " + verdict.metric: verdict.decision for verdict in run.gates} == {
            "floor val_roc_auc": "PASS",
            "floor val_lift_at_10": "PASS",
            "ceiling val_log_loss": "PASS",
        }


def test_the_best_run_of_the_leaderboard_is_said_in_summary_and_top(sweep: Checkout) -> None:
    good = [run for run in sweep.runs(file=SWEEP) if run.metrics["val_roc_auc"] >= 0.75]
    best = min(good, key=lambda run: run.metrics["val_log_loss"])

    top = sweep.program("top", "churn-2026q2", "--by", "val_log_loss", "--where", "val_roc_auc >= 0.75", "--json")

    assert top.lines[0]["run_id"] == best.run_id
    assert len(top.lines) == len(good)
    assert [line.split()[1] for line in sweep.first[0].text.splitlines() if line.startswith("*  ")] == [best.name]


def test_the_program_lists_the_runs_that_the_store_holds(sweep: Checkout) -> None:
    listed = sweep.program("runs", "--json")

    assert {str(line["run_id"]) for line in listed.lines} == {run.run_id for run in sweep.runs()}


@pytest.mark.slow
def test_one_case_alone_scores_as_it_did_in_the_sweep(sweep: Checkout, fresh: Callable[[str], Checkout]) -> None:
    alone = fresh("sweep_and_winner")

    answer = alone.pytest("--mlrun", "-k", "test_sweep and 0.1-16", "-n", "1")

    [run] = alone.runs()
    [twin] = [other for other in sweep.runs(file=SWEEP) if other.name == run.name]
    assert answer.outcomes["passed"] == 1
    assert {**run.metrics, "fit_s": 0} == {**twin.metrics, "fit_s": 0}


def test_the_winner_is_judged_on_rows_that_nobody_chose_it_by(sweep: Checkout) -> None:
    [run] = sweep.runs(file="tests/test_winner.py")
    good = [other for other in sweep.runs(file=SWEEP) if other.metrics["val_roc_auc"] >= 0.75]
    best = min(good, key=lambda other: other.metrics["val_log_loss"])

    assert sweep.first[0].of("tests/test_winner.py") == {"PASSED": 1}
    assert context(run, "selection.winner") == best.run_id
    assert context(run, "selection.candidates") == 6
    assert context(run, "selection.reused.test") == {"rows": 0, "of": 300}
    assert "REUSED" not in sweep.first[0].text


@pytest.mark.slow
def test_a_release_against_a_model_that_is_not_there_is_refused_with_its_name(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("sweep_and_winner")

    answer = checkout.pytest("--mlrun", "--mlrun-register", "tests/test_sweep.py", "tests/test_release.py")

    assert answer.code == 1
    assert "churn@production" in answer.errors
    assert not (checkout.path / "mlrun-registry").exists()


# -- train once, assert in many tests ----------------------------------------------------------------------------------


def test_ten_tests_of_one_training_are_one_run(credit: Checkout) -> None:
    [run] = credit.runs()

    assert credit.first[0].outcomes == {"passed": 10}
    assert (run.status, run.outcome) == ("finished", "passed")
    assert params(run) == {"C": 0.5, "penalty": "l2"}
    assert len(run.gates) == 6
    assert roles(run)["model"] == 1


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The credit suite with uncommitted edits, one of which breaks a gate."""
    checkout = check_out("train_once_assert_many", tmp_path_factory.mktemp("edited"))
    checkout.edit("tests/test_credit_model.py", '"test_roc_auc", 0.65', '"test_roc_auc", 0.99')
    checkout.edit("credit/model.py", "max_iter=200", "max_iter=201")
    (checkout.path / "credit/new_idea.py").write_text("IDEA = 'try a forest'\n")
    checkout.first.append(checkout.pytest("--mlrun"))
    return checkout


@pytest.mark.slow
def test_one_broken_question_fails_its_test_and_the_run_and_no_other_test(edited: Checkout) -> None:
    [run] = edited.runs()

    assert edited.first[0].outcomes == {"passed": 9, "failed": 1}
    assert f"floor not met: test_roc_auc {run.metrics['test_roc_auc']:.4g} < 0.99" in edited.first[0].text
    assert (run.outcome, run.cause) == ("failed", "gate")
    assert Counter(verdict.decision for verdict in run.gates) == {"PASS": 5, "FAIL": 1}


@pytest.mark.slow
def test_uncommitted_edits_are_kept_as_a_patch_new_files_included(edited: Checkout) -> None:
    [run] = edited.runs()
    [patch] = [artifact for artifact in run.artifacts if artifact.role == "patch"]

    kept = (edited.store / "objects" / patch.digest[7:9] / patch.digest[9:]).read_text()

    assert context(run, "code.dirty") is True
    assert "+    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=201))" in kept
    assert "+IDEA = 'try a forest'" in kept


# -- seed replicates ---------------------------------------------------------------------------------------------------


def test_replicates_are_runs_with_seeds_of_their_own(replicates: Checkout) -> None:
    runs = replicates.runs("vibration", file=REPLICATES)
    [mean] = [run for run in runs if "val_accuracy_mean" in run.metrics]
    children = [run for run in runs if run.parent_id == mean.run_id]
    alone = [run for run in runs if run.parent_id is None and run is not mean]

    assert replicates.first[0].of(REPLICATES) == {"PASSED": 6}
    assert Counter(context(run, "rand.seed") for run in alone) == Counter([1000, 1001, 1002, 1003])
    assert Counter(params(run)["replicate"] for run in children) == Counter(range(4))
    assert len({context(run, "rand.seed") for run in children}) == 4
    assert mean.metrics["val_accuracy_mean"] == pytest.approx(sum(run.metrics["val_accuracy"] for run in children) / 4)


@pytest.mark.slow
def test_another_order_of_tests_changes_no_score(replicates: Checkout, fresh: Callable[[str], Checkout]) -> None:
    again = fresh("seed_replicates")

    again.pytest("--mlrun", REPLICATES, "-p", "no:randomly")

    scores = [
        {(run.test, run.case, run.params.get("replicate")): dict(run.metrics) for run in checkout.runs(file=REPLICATES)}
        for checkout in (replicates, again)
    ]
    assert len(scores[0]) == 10
    assert scores[0] == scores[1]


def test_replicates_until_a_gate_is_decided_need_a_baseline_before_anything_trains(replicates: Checkout) -> None:
    until = replicates.runs("vibration", file="tests/test_until.py")

    assert replicates.first[0].of("tests/test_until.py") == {"FAILED": 1}
    assert "no baseline: there is no such model 'vibration'" in replicates.first[0].errors
    assert len(until) == 1


@pytest.mark.slow
def test_replicates_stop_when_the_gate_is_decided(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("seed_replicates")
    # The team records ten seeds once, and commits them. Its 107 rows decide no margin of 0.03.
    checkout.edit("tests/test_until.py", "margin=0.03", "margin=0.3")
    checkout.edit("tests/test_replicates.py", "mlrun.seeds(4)", "mlrun.seeds(10)")
    recorded = checkout.pytest("--mlrun", "-q", "-k", "mean_over_replicates", "tests/test_replicates.py")
    wrote = checkout.program("baseline", "init", "test_the_mean_over_replicates", "--as", "vibration@production")
    checkout.commit()
    shutil.rmtree(checkout.store)

    answer = checkout.pytest("--mlrun", "tests/test_until.py")

    assert (recorded.code, wrote.code, answer.code) == (0, 0, 0), answer.text
    parent, *seeds = checkout.runs("vibration")
    (verdict,) = parent.gates
    assert (verdict.decision, verdict.claim) == ("PASS", "this procedure")
    assert verdict.method.startswith(f"{len(seeds)} new against 10 stored seeds, rows and seeds, looks at 1, 2, 3, 5")
    assert len(seeds) in {1, 2, 3}


# -- a search loop with child runs -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_search_is_a_run_and_every_trial_a_child_of_it(search: Checkout) -> None:
    runs = search.runs(experiment="demand-search")
    [parent] = [run for run in runs if run.test.endswith("::test_random_search") and run.parent_id is None]
    trials = [run for run in runs if run.parent_id == parent.run_id]
    finished = [run for run in trials if run.outcome == "passed"]

    assert search.first[0].outcomes == {"passed": 3}
    assert (len(runs), len(trials), len(finished)) == (15, 6, 5)
    assert params(parent) == {"trials": 6}
    assert all({"learning_rate", "alpha"} <= params(run).keys() for run in trials)
    assert parent.tags["best_trial"] == min(finished, key=lambda run: run.metrics["val_rmse"]).run_id
    assert parent.metrics["diverged"] == 1


@pytest.mark.slow
def test_a_trial_that_diverged_keeps_its_point_and_its_reason(search: Checkout) -> None:
    [trial] = [run for run in search.runs() if run.outcome == "failed"]

    points = open_store(search.store).series(trial.run_id, "train_rmse")

    assert (trial.status, params(trial)["learning_rate"]) == ("failed", 1e6)
    assert "DivergedError: training error" in trial.error
    assert list(points.steps) == [0]
    assert points.values[0] > 1e6


# -- a nightly job with an alert ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_good_night_alerts_nobody(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("nightly_alert")

    answer = checkout.pytest("--mlrun", "-n", "2", "--junitxml=nightly.xml")

    assert answer.outcomes == {"passed": 3}
    assert {run.name for run in checkout.runs()} == {"fraud-de", "fraud-es", "fraud-fr"}
    assert not (checkout.path / "alerts.jsonl").exists()
    cases = ET.parse(checkout.path / "nightly.xml").iter("testcase")
    assert {prop.get("name") for case in cases for prop in case.iter("property")} >= {
        "mlrun_id",
        "mlrun_param_market",
        "mlrun_metric_val_average_precision",
        "mlrun_gate_floor_val_average_precision",
    }


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = check_out("nightly_alert", tmp_path_factory.mktemp("bad"))
    checkout.python("scripts/make_data.py", "--drift", "es")
    checkout.first.append(checkout.program("data", "lock", "payments"))
    checkout.first.append(checkout.pytest("--mlrun", "-n", "2", "-p", "nightly.gate_alerts"))
    return checkout


@pytest.mark.slow
def test_a_bad_night_alerts_once_with_every_broken_floor(bad_night: Checkout) -> None:
    [alert] = [json.loads(line) for line in (bad_night.path / "alerts.jsonl").read_text().splitlines()]

    locked, trained = bad_night.first
    assert locked.code == 0, locked.text
    assert trained.outcomes == {"passed": 2, "failed": 1}
    assert (alert["name"], alert["cause"]) == ("fraud-es", "gate")
    assert "floor val_average_precision 0.27" in alert["reason"]
    assert "floor val_roc_auc 0.55" in alert["reason"]


@pytest.mark.slow
def test_a_bad_night_opens_one_episode_for_each_gate(bad_night: Checkout) -> None:
    file = bad_night.path / "episodes.jsonl"

    assert file.exists()
    assert len(file.read_text().splitlines()) == 2


# -- a monorepo --------------------------------------------------------------------------------------------------------


def test_two_teams_share_a_session_and_nothing_else(monorepo: Checkout) -> None:
    runs = monorepo.runs()
    files = {"churn": "churn/data/customers.csv", "pricing": "pricing/data/quotes.npz"}

    assert monorepo.first[0].outcomes == {"passed": 6}
    assert Counter(run.experiment for run in runs) == {"churn": 4, "pricing": 2}
    assert {run.test for run in runs} == {"tests/test_model.py::TestModel::test_baseline"}
    assert len({run.session_id for run in runs}) == 1
    for run in runs:
        assert context(run, "data.train.digest") == sha256(monorepo.path / files[run.experiment])
    assert {run.tags.get("country", run.tags.get("tier")) for run in runs} == {"de", "candidate"}


def test_an_estimator_is_a_param_by_class_and_settings(monorepo: Checkout) -> None:
    ridge, forest = sorted((run.params["model"] for run in monorepo.runs(experiment="pricing")), key=len)

    assert "Ridge" in ridge
    assert '"alpha":0.5' in ridge
    assert "RandomForestRegressor" in forest
    assert '"min_samples_leaf":3' in forest


@pytest.mark.slow
def test_one_team_alone_records_into_the_same_store(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("monorepo")

    answer = checkout.pytest("--mlrun", "tests", folder="pricing")

    assert answer.outcomes == {"passed": 2}
    assert {run.test for run in checkout.runs()} == {"tests/test_model.py::TestModel::test_baseline"}
    assert not (checkout.path / "pricing/.pytest_mlrun").exists()


@pytest.mark.slow
def test_a_teams_word_that_its_vocabulary_refuses_stops_before_training(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("monorepo")
    checkout.edit("churn/tests/test_model.py", 'tags={"country": "de"}', 'tags={"country": "at"}')

    answer = checkout.pytest("--mlrun")

    assert answer.code != 0
    assert "country" in answer.text
    assert "de, fr" in answer.text
    assert not any(run.metrics for run in (checkout.runs(experiment="churn") if checkout.store.exists() else []))


# -- recording outside pytest ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = check_out("record_outside", tmp_path_factory.mktemp("script"))
    for arguments in (("--alpha", "0.1"), ("--alpha", "1.0", "--minimum", "1.1")):
        checkout.first.append(checkout.python("train.py", *arguments))
    return checkout


@pytest.mark.slow
def test_a_script_records_what_a_test_would_and_is_marked_unpinned(script: Checkout) -> None:
    good, _ = script.runs(experiment="tickets")

    assert script.first[0].code == 0, script.first[0].text
    assert (good.status, good.outcome, params(good)) == ("finished", "passed", {"alpha": 0.1})
    assert context(good, "pinned") is False
    assert context(good, "data.tickets.digest") == sha256(script.path / "data/tickets.csv")
    assert good.series["learning_curve"].startswith("3:")
    assert {"model", "predictions", "labels"} <= roles(good).keys()


@pytest.mark.slow
def test_a_script_that_breaks_a_gate_exits_with_the_reason_and_leaves_its_run(script: Checkout) -> None:
    _, bad = script.runs(experiment="tickets")

    assert script.first[1].code == 1
    assert f"floor not met: val_accuracy {bad.metrics['val_accuracy']:.4g} < 1.1" in script.first[1].text
    assert (bad.outcome, bad.cause) == ("failed", "gate")


@pytest.mark.slow
def test_tests_read_what_the_script_recorded_and_train_nothing(script: Checkout) -> None:
    before = [run.run_id for run in script.runs()]

    answer = script.pytest()

    assert answer.outcomes == {"passed": 2}
    assert [run.run_id for run in script.runs()] == before


@pytest.mark.slow
def test_the_program_shows_a_scripts_runs(script: Checkout) -> None:
    table, lines = script.program("runs", "--experiment", "tickets"), script.program("runs", "--json")

    assert [line["outcome"] for line in lines.lines] == ["failed", "passed"], "newest first"
    assert all(run.short_id in table.text for run in script.runs())


# -- a fresh checkout in CI --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pull_request(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    origin = check_out("fresh_checkout", tmp_path_factory.mktemp("origin"))
    target = tmp_path_factory.mktemp("runner")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(target / "work"))
    checkout = Checkout(target / "work", origin.environment)
    checkout.git("checkout", "--quiet", "--detach")
    head = checkout.git("rev-parse", "HEAD")
    variables = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SHA": head, "GITHUB_JOB": "train"}
    checkout.first.append(checkout.pytest("--mlrun", "-rA", "--junitxml=report.xml", **variables))
    return checkout


def test_a_shallow_detached_checkout_trains_from_a_clean_tree(pull_request: Checkout) -> None:
    runs = pull_request.runs(file="tests/test_filter.py")

    assert pull_request.first[0].of("tests/test_filter.py") == {"PASSED": 2}
    assert {run.outcome for run in runs} == {"passed"}
    assert {context(run, "code.commit") for run in runs} == {pull_request.git("rev-parse", "HEAD")}
    assert {context(run, "code.branch") for run in runs} == {None}
    assert {context(run, "code.dirty") for run in runs} == {False}


def test_a_run_in_ci_knows_its_job(pull_request: Checkout) -> None:
    [commit] = {context(run, "ci.commit") for run in pull_request.runs()}
    [job] = {context(run, "ci.job") for run in pull_request.runs()}

    assert (commit, job) == (pull_request.git("rev-parse", "HEAD"), "train")


def test_training_leaves_the_checkout_clean(pull_request: Checkout) -> None:
    assert pull_request.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_a_dirty_tree_trains_nothing_where_a_clean_one_is_required(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("fresh_checkout")
    checkout.edit("spam/__init__.py", "Read mails as word counts.", "Read mails as counts of words.")

    answer = checkout.pytest("--mlrun", "tests/test_filter.py")

    assert answer.code == 1
    assert answer.outcomes.get("passed", 0) == 0
    assert "spam/__init__.py" in answer.text
    assert not any(run.metrics for run in checkout.runs())


def test_one_changed_byte_of_the_data_trains_nothing(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("fresh_checkout")
    mails = checkout.path / "data/mails.npz"
    content = bytearray(mails.read_bytes())
    content[len(content) // 2] ^= 1
    mails.write_bytes(content)
    checkout.commit()

    answer = checkout.pytest("--mlrun", "tests/test_filter.py")

    assert answer.code == 1
    assert answer.outcomes.get("passed", 0) == 0
    assert "data 'mails' changed" in answer.text
    assert "pytest-mlrun data lock mails" in answer.text
    assert {(run.cause, len(run.metrics)) for run in checkout.runs()} == {("data_snapshot", 0)}


@pytest.mark.slow
def test_a_fresh_checkout_compares_with_the_committed_baseline(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("fresh_checkout")
    first = checkout.pytest("--mlrun", "--mlrun-update-baselines", "tests/test_regression.py")
    checkout.commit()
    shutil.rmtree(checkout.path / ".pytest_mlrun")

    answer = checkout.pytest("--mlrun", "tests/test_regression.py")

    assert first.code == 1  # so that a person looks
    assert checkout.git("ls-files", "mlrun-baselines") == "mlrun-baselines/spam@production.mlrun"
    assert answer.outcomes == {"passed": 1}


def test_a_fresh_checkout_without_its_baseline_is_red_and_says_which(pull_request: Checkout) -> None:
    answer = pull_request.first[0]

    assert answer.of("tests/test_regression.py") == {"FAILED": 1}
    assert "no baseline: there is no such model 'spam'" in answer.errors


# -- the first session of a stranger -----------------------------------------------------------------------------------


def test_without_the_option_experiments_are_skipped_and_nothing_is_written(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("sweep_and_winner")

    answer = checkout.pytest("-rs", "tests/test_load.py", "tests/test_sweep.py")

    assert answer.outcomes == {"passed": 2, "skipped": 6}
    assert "training experiment: run with --mlrun" in answer.text
    assert not checkout.store.exists()
    assert checkout.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_experiments_can_be_selected_by_their_mark(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("train_once_assert_many")

    chosen = checkout.pytest("--collect-only", "-m", "mlrun")
    others = checkout.pytest("--mlrun", "-m", "not mlrun")

    assert "9/10 tests collected (1 deselected)" in chosen.text
    assert others.outcomes == {"passed": 1, "deselected": 9}
    assert not checkout.store.exists()


@pytest.mark.slow
def test_quiet_says_nothing_of_runs(fresh: Callable[[str], Checkout]) -> None:
    answer = fresh("seed_replicates").pytest("--mlrun", "-q", "-k", "global_generator", "tests/test_replicates.py")

    assert "mlrun" not in answer.text
    assert answer.text.splitlines()[-1].startswith("1 passed, 5 deselected in")


@pytest.mark.slow
def test_data_that_was_never_locked_names_the_command_that_locks_it(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("seed_replicates")
    (checkout.path / "mlrun.lock").unlink()

    answer = checkout.pytest("--mlrun", "-k", "global_generator", "tests/test_replicates.py")

    assert answer.code == 1
    assert "pytest-mlrun data lock bearings" in answer.text


@pytest.mark.slow
def test_a_misspelled_key_of_the_marker_is_corrected_before_anything_trains(fresh: Callable[[str], Checkout]) -> None:
    checkout = fresh("sweep_and_winner")
    checkout.edit("tests/test_sweep.py", "floors={", "floor={")

    answer = checkout.pytest("--mlrun", "tests/test_sweep.py")

    assert answer.code == 2
    assert "did you mean 'floors'?" in answer.text
    assert not checkout.store.exists()


def test_an_empty_store_answers_with_the_command_that_fills_it(fresh: Callable[[str], Checkout]) -> None:
    answer = fresh("sweep_and_winner").program("runs")

    assert answer.code == 2
    assert "pytest --mlrun" in answer.text
    assert "Traceback" not in answer.text
