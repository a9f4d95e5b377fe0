"""A training with a neighbour is followed under one naming schema, and a fitted model is described."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pytest_mlrun

RNG = np.random.default_rng(11)
ROWS = RNG.normal(size=(400, 3))
POSITIVE = (ROWS[:, 0] - ROWS[:, 1] + RNG.normal(scale=0.5, size=400) > 0).astype(int)
TRAIN, VAL = slice(0, 300), slice(300, 400)


class Story:
    """A run under way, and what the store says of it afterwards."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def record(self) -> pytest_mlrun.RunRecord:
        [record] = [run for run in pytest_mlrun.open_store(self._store).runs() if run.parent_id is None]
        return record

    def children(self) -> list[pytest_mlrun.RunRecord]:
        return [run for run in pytest_mlrun.open_store(self._store).runs() if run.parent_id is not None]

    def points(self, name: str) -> list[float]:
        return [
            float(value) for value in pytest_mlrun.open_store(self._store).series(self.record().run_id, name).values
        ]

    def steps(self, name: str) -> list[int]:
        return [int(step) for step in pytest_mlrun.open_store(self._store).series(self.record().run_id, name).steps]

    def table(self, name: str) -> dict[str, list[Any]]:
        content = pytest_mlrun.open_store(self._store).read_artifact(self.record(), name)
        columns: dict[str, list[Any]] = pq.read_table(pa.BufferReader(content)).to_pydict()
        return columns

    def artifact(self, name: str) -> Any:
        return json.loads(pytest_mlrun.open_store(self._store).read_artifact(self.record(), name))

    def fit(self, name: str = "model") -> Any:
        return json.loads(self.record().context[f"fit.{name}"])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def run(store: Path) -> Iterator[pytest_mlrun.Run]:
    with pytest_mlrun.record(experiment="training", seed=5, store=store) as run:
        yield run


@pytest.fixture
def story(run: pytest_mlrun.Run, store: Path) -> Story:
    return Story(store)


def train_lightgbm(run: pytest_mlrun.Run) -> Any:
    lgb = pytest.importorskip("lightgbm")
    train = lgb.Dataset(ROWS[TRAIN], POSITIVE[TRAIN], feature_name=["age", "spend", "noise"])
    settings = {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_threads": 1}
    return lgb.train(
        {**settings, "learning_rate": 0.5, "scale_pos_weight": 3.0},
        train,
        60,
        valid_sets=[train, train.create_valid(ROWS[VAL], POSITIVE[VAL])],
        valid_names=["train", "val"],
        callbacks=[lgb.early_stopping(4, verbose=False), pytest_mlrun.lightgbm.callback(run)],
    )


def train_xgboost(run: pytest_mlrun.Run) -> Any:
    xgb = pytest.importorskip("xgboost")
    names = ["age", "spend", "noise"]
    train, val = (xgb.DMatrix(ROWS[part], POSITIVE[part], feature_names=names) for part in (TRAIN, VAL))
    settings = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "nthread": 1, "learning_rate": 0.9}
    return xgb.train(
        {**settings, "scale_pos_weight": 3.0},
        train,
        60,
        evals=[(train, "train"), (val, "val")],
        early_stopping_rounds=4,
        verbose_eval=False,
        callbacks=[pytest_mlrun.xgboost.callback(run)],
    )


TRAININGS: dict[str, Callable[[pytest_mlrun.Run], Any]] = {"lightgbm": train_lightgbm, "xgboost": train_xgboost}


@pytest.mark.parametrize("framework", TRAININGS)
def test_every_framework_gives_its_curves_the_same_names(framework: str, run: pytest_mlrun.Run, story: Story) -> None:
    TRAININGS[framework](run)

    curves = {"train_auc", "train_log_loss", "val_auc", "val_log_loss"}
    assert set(story.record().series) == curves
    assert {len(story.points(name)) for name in curves} == {len(story.points("val_auc"))}
    assert story.steps("val_auc") == list(range(len(story.points("val_auc"))))


@pytest.mark.parametrize("framework", TRAININGS)
def test_the_fit_names_the_step_that_early_stopping_chose(framework: str, run: pytest_mlrun.Run, story: Story) -> None:
    model = TRAININGS[framework](run)
    run.log_fit(model)

    # LightGBM watches every metric and stops at the first that no longer improves; XGBoost watches the last.
    best_step = int(story.record().metrics["best_step"])
    candidates = {int(np.argmax(story.points("val_auc"))), int(np.argmin(story.points("val_log_loss")))}
    assert best_step in candidates
    assert len(story.points("val_auc")) == best_step + 5
    assert story.fit()["best_step"] == best_step


@pytest.mark.parametrize("framework", TRAININGS)
def test_the_fit_keeps_features_importances_and_class_weights(
    framework: str, run: pytest_mlrun.Run, story: Story
) -> None:
    run.log_fit(TRAININGS[framework](run))

    table = story.table("features.parquet")
    assert table["feature"] == ["age", "spend", "noise"]
    assert min(table["importance_gain"][:2]) > table["importance_gain"][2]
    assert story.fit()["scale_pos_weight"] == 3.0
    assert story.fit()["features"] == 3


def test_a_lightgbm_wrappers_single_set_is_called_val(run: pytest_mlrun.Run, story: Story) -> None:
    lgb = pytest.importorskip("lightgbm")
    model = lgb.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1)

    model.fit(
        *(ROWS[TRAIN], POSITIVE[TRAIN]),
        eval_X=ROWS[VAL],
        eval_y=POSITIVE[VAL],
        callbacks=[pytest_mlrun.lightgbm.callback(run)],
    )
    run.log_fit(model, features=["a", "b", "c"])

    assert list(story.record().series) == ["val_log_loss"]
    assert story.points("val_log_loss") == list(model.evals_result_["valid_0"]["binary_logloss"])
    assert story.table("features.parquet")["feature"] == ["a", "b", "c"]
    assert "best_step" not in story.record().metrics


def test_an_xgboost_wrappers_sets_get_the_names_given(run: pytest_mlrun.Run, story: Story) -> None:
    xgb = pytest.importorskip("xgboost")
    follow = pytest_mlrun.xgboost.callback(run, splits=["train", "val"])
    model = xgb.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1, eval_metric=["error@0.7"], callbacks=[follow])

    parts = [(ROWS[part], POSITIVE[part]) for part in (TRAIN, VAL)]
    model.fit(*parts[0], eval_set=parts, verbose=False)

    assert set(story.record().series) == {"train_error_at_0.7", "val_error_at_0.7"}
    assert story.points("val_error_at_0.7") == model.evals_result()["validation_1"]["error@0.7"]


@pytest.mark.parametrize("framework", ["lightgbm", "xgboost"])
def test_cross_validation_logs_mean_and_spread(framework: str, run: pytest_mlrun.Run, story: Story) -> None:
    neighbour = pytest.importorskip(framework)
    follow = getattr(pytest_mlrun, framework).callback(run)
    if framework == "lightgbm":
        settings = {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1}
        found = neighbour.cv(settings, neighbour.Dataset(ROWS, POSITIVE), 3, nfold=3, callbacks=[follow])
        means, spreads = found["valid auc-mean"], found["valid auc-stdv"]
    else:
        settings = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}
        rows = neighbour.DMatrix(ROWS, POSITIVE)
        found = neighbour.cv(settings, rows, 3, nfold=3, callbacks=[follow], as_pandas=False)
        means, spreads = found["test-auc-mean"], found["test-auc-std"]

    assert story.points("val_auc") == pytest.approx(means)
    assert story.points("val_auc_std") == pytest.approx(spreads)


def test_a_logged_point_is_in_the_run_before_the_training_ends(run: pytest_mlrun.Run) -> None:
    lgb = pytest.importorskip("lightgbm")
    seen = []

    def look(env: Any) -> None:
        seen.append(run.metrics["val_auc"])

    look.order = 6  # type: ignore[attr-defined]
    train = lgb.Dataset(ROWS[TRAIN], POSITIVE[TRAIN])
    lgb.train(
        {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1},
        train,
        3,
        valid_sets=[train.create_valid(ROWS[VAL], POSITIVE[VAL])],
        callbacks=[pytest_mlrun.lightgbm.callback(run), look],
    )

    assert len(seen) == 3


def test_a_linear_models_coefficients_are_kept_by_class(run: pytest_mlrun.Run, story: Story) -> None:
    from sklearn.linear_model import LogisticRegression

    classes = np.array(["low", "mid", "top"])[np.digitize(ROWS[:, 0], [-0.5, 0.5])]
    model = LogisticRegression(class_weight={"low": 1, "mid": 2, "top": 1}).fit(ROWS, classes)
    run.log_fit(model)

    table = story.table("features.parquet")
    assert list(table) == ["feature", "coefficient_low", "coefficient_mid", "coefficient_top"]
    assert table["coefficient_mid"] == model.coef_[1].tolist()
    assert table["feature"] == ["x0", "x1", "x2"]
    assert story.fit()["class_weight"] == {"low": 1.0, "mid": 2.0, "top": 1.0}


def test_a_pipeline_names_the_features_that_its_last_step_saw(run: pytest_mlrun.Run, story: Story) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    model = make_pipeline(
        PolynomialFeatures(2, include_bias=False), RandomForestClassifier(5, random_state=0, class_weight="balanced")
    ).fit(ROWS, POSITIVE)
    run.log_fit(model, features=["a", "b", "c"])

    table = story.table("features.parquet")
    assert table["feature"] == ["a", "b", "c", "a^2", "a b", "a c", "b^2", "b c", "c^2"]
    assert table["importance"] == model[-1].feature_importances_.tolist()
    assert story.fit()["class_weight"] == "balanced"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_curves_that_an_estimator_kept_become_series(run: pytest_mlrun.Run, story: Story) -> None:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((4,), max_iter=6, early_stopping=True, random_state=0).fit(ROWS, POSITIVE)
    boosted = GradientBoostingClassifier(n_estimators=7, random_state=0).fit(ROWS, POSITIVE)
    run.log_fit(network)
    run.log_fit(boosted, "boosted")

    assert story.points("train_loss") == pytest.approx(network.loss_curve_)
    assert story.points("val_score") == pytest.approx(network.validation_scores_)
    assert story.points("boosted_train_loss") == pytest.approx(boosted.train_score_)
    assert story.record().metrics["best_step"] == np.argmax(network.validation_scores_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_curve_that_the_test_logged_itself_is_not_logged_again(run: pytest_mlrun.Run, story: Story) -> None:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(ROWS, POSITIVE)
    run.log_metric("train_loss", 1.5, step=0)
    run.log_fit(model)

    assert story.points("train_loss") == [1.5]


def test_a_model_that_is_not_fitted_is_refused(run: pytest_mlrun.Run) -> None:
    from sklearn.linear_model import Ridge

    with pytest.raises(pytest_mlrun.ArtifactError, match="model Ridge is not fitted"):
        run.log_fit(Ridge())


def test_a_model_of_an_unknown_framework_is_refused_with_what_to_do(run: pytest_mlrun.Run) -> None:
    with pytest.raises(pytest_mlrun.ArtifactError, match=r"log_fit knows nothing of builtins\.object") as error:
        run.log_fit(object())

    assert "log_dict, log_table, log_metric" in str(error.value)


def test_too_few_feature_names_are_refused(run: pytest_mlrun.Run) -> None:
    from sklearn.linear_model import Ridge

    model = Ridge().fit(ROWS, ROWS[:, 0])

    with pytest.raises(pytest_mlrun.ArtifactError, match="2 feature names, but the model has 3 features"):
        run.log_fit(model, features=["a", "b"])


def test_a_torch_step_logs_loss_rate_and_gradient_norm(run: pytest_mlrun.Run, story: Story) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    rows, target = torch.from_numpy(ROWS).float(), torch.from_numpy(POSITIVE).float()[:, None]
    norms, losses = [], []
    for step in range(4):
        loss = torch.nn.functional.mse_loss(model(rows), target)
        optimizer.zero_grad()
        loss.backward()
        pytest_mlrun.torch.on_step(run, model, optimizer, loss, step, batch_size=len(rows))
        losses.append(float(loss.detach()))
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)))
        optimizer.step()
        schedule.step()

    assert story.points("learning_rate") == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert story.points("grad_norm") == pytest.approx(norms)
    assert story.points("train_loss") == losses
    assert story.points("batch_size") == [400.0] * 4
    facts = story.artifact("torch.json")
    assert facts["optimizer"] == "SGD"
    assert facts["groups"][0]["momentum"] == 0.9
    assert facts["parameters"] == 4
    assert facts["deterministic_algorithms"] is False


@pytest.fixture
def quiet_optuna() -> Any:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def wander(trial: Any, run: pytest_mlrun.Run) -> float:
    from optuna import TrialPruned

    x, loss = float(trial.suggest_float("x", -4, 4)), 0.0
    for step in range(3):
        loss = (x - 1) ** 2 + 1 / (step + 1)
        run.log_metric("val_loss", loss, step=step)
        trial.report(loss, step)
        if trial.should_prune():
            raise TrialPruned
    return loss


def test_every_trial_of_a_search_is_a_run_pruned_ones_too(
    quiet_optuna: Any, run: pytest_mlrun.Run, story: Story
) -> None:
    pruner = quiet_optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    study = pytest_mlrun.optuna.optimize(run, wander, n_trials=12, pruner=pruner)

    children = story.children()
    states = [trial.state.name for trial in study.trials]
    assert "PRUNED" in states
    assert [(run.status, run.outcome) for run in children] == [
        ("finished", "passed") if state == "COMPLETE" else ("killed", "skipped") for state in states
    ]
    assert [json.loads(run.params["x"]) for run in children] == [trial.params["x"] for trial in study.trials]
    pruned = children[states.index("PRUNED")]
    assert pruned.cause_detail == f"pruned at step {study.trials[states.index('PRUNED')].last_step}"
    assert "objective" not in pruned.metrics
    assert children[0].metrics["objective"] == study.trials[0].value


def test_the_best_trial_is_named_by_the_run_around_the_search(
    quiet_optuna: Any, run: pytest_mlrun.Run, story: Story, store: Path
) -> None:
    study = pytest_mlrun.optuna.optimize(run, wander, n_trials=5, pruner=quiet_optuna.pruners.NopPruner())

    best = pytest_mlrun.open_store(store).find(story.record().tags["best_trial"])
    assert json.loads(best.params["x"]) == study.best_params["x"]
    assert story.record().metrics["best_objective"] == study.best_value
    table = story.table("trials.parquet")
    assert table["run"][table["value"].index(study.best_value)] == best.run_id
    assert table["state"] == ["complete"] * 5


def test_a_search_is_repeated_by_the_runs_seed(quiet_optuna: Any, tmp_path: Path) -> None:
    tried = []
    for seed in (5, 5, 6):
        with pytest_mlrun.record(experiment="search", seed=seed, store=tmp_path / "store") as run:
            study = pytest_mlrun.optuna.optimize(run, wander, n_trials=4)
        tried.append([trial.params["x"] for trial in study.trials])

    assert tried[0] == tried[1] != tried[2]


def test_a_search_that_completes_nothing_says_so(quiet_optuna: Any, run: pytest_mlrun.Run) -> None:
    def give_up(trial: Any, run: pytest_mlrun.Run) -> float:
        raise quiet_optuna.TrialPruned("hopeless")

    with pytest.raises(pytest_mlrun.MetricError, match="none of 2 trials was completed"):
        pytest_mlrun.optuna.optimize(run, give_up, n_trials=2)


def test_a_trial_that_raised_is_a_failed_run_and_the_search_goes_on_if_told_so(
    quiet_optuna: Any, run: pytest_mlrun.Run, story: Story
) -> None:
    def sometimes(trial: Any, run: pytest_mlrun.Run) -> float:
        x = float(trial.suggest_int("x", 0, 9))
        if trial.number == 1:
            raise ZeroDivisionError("no such model")
        return x

    pytest_mlrun.optuna.optimize(run, sometimes, n_trials=3, catch=[ZeroDivisionError])

    assert [(run.status, run.outcome) for run in story.children()] == [
        ("finished", "passed"),
        ("failed", "failed"),
        ("finished", "passed"),
    ]


def test_a_hand_written_search_records_pruned_trials_too(
    quiet_optuna: Any, run: pytest_mlrun.Run, story: Story
) -> None:
    with pytest.raises(quiet_optuna.TrialPruned), run.child(depth=3):
        raise quiet_optuna.TrialPruned("no better than the median")

    [child] = story.children()
    assert (child.status, child.outcome, child.cause) == ("killed", "skipped", "")
    assert child.cause_detail == "no better than the median"


def test_a_closed_vocabulary_of_tags_stops_a_search_before_its_first_trial(
    quiet_optuna: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlrun.toml").write_text('[naming.tags]\nteam = ["risk"]\n')
    monkeypatch.chdir(tmp_path)
    tried = []

    def objective(trial: Any, run: pytest_mlrun.Run) -> float:
        tried.append(trial)
        return 0.0

    with (
        pytest.raises(pytest_mlrun.NamingError, match="best_trial"),
        pytest_mlrun.record(experiment="search", store=tmp_path / "store") as run,
    ):
        pytest_mlrun.optuna.optimize(run, objective, n_trials=2)

    assert tried == []
