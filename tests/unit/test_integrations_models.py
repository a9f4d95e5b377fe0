"""A model that was logged comes back as it was, from its framework's own file, and nothing runs code unasked."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pytest_mlrun
from pytest_mlrun.integrations import models

Logged = tuple[pytest_mlrun.RunRecord, Any]
RNG = np.random.default_rng(7)
ROWS = RNG.normal(size=(240, 4))
POSITIVE = (ROWS[:, 0] + ROWS[:, 1] ** 2 + RNG.normal(scale=0.3, size=240) > 0.8).astype(int)
THREE = np.array(["low", "mid", "top"])[np.digitize(ROWS[:, 0], [-0.5, 0.5])]


@pytest.fixture
def round_trip(tmp_path: Path) -> Callable[..., Logged]:
    """Log a model in a run, and load it from the store."""

    def trip(model: object, **options: Any) -> Logged:
        store = tmp_path / "store"
        with pytest_mlrun.record(experiment="models", store=store) as run:
            run.log_model(model)
        [record] = pytest_mlrun.open_store(store).runs()
        return record, pytest_mlrun.load_model(record, store=store, **options)

    return trip


def model_of(record: pytest_mlrun.RunRecord) -> pytest_mlrun.Artifact:
    [artifact] = [artifact for artifact in record.artifacts if artifact.role == "model"]
    return artifact


def facts_of(record: pytest_mlrun.RunRecord) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(record.context[f"model.{model_of(record).name}"])
    return facts


def lightgbm_models() -> list[Any]:
    lgb = pytest.importorskip("lightgbm")
    quiet = {"n_estimators": 12, "num_leaves": 7, "verbose": -1, "n_jobs": 1}
    early = lgb.LGBMClassifier(**{**quiet, "n_estimators": 200, "learning_rate": 0.5})
    early.fit(
        ROWS[:160],
        POSITIVE[:160],
        eval_X=ROWS[160:],
        eval_y=POSITIVE[160:],
        callbacks=[lgb.early_stopping(3, verbose=False)],
    )
    return [
        lgb.LGBMClassifier(**quiet).fit(ROWS, POSITIVE),
        lgb.LGBMClassifier(**quiet, class_weight="balanced").fit(ROWS, THREE),
        lgb.LGBMClassifier(**quiet).fit(ROWS, POSITIVE.astype(bool)),
        lgb.LGBMRegressor(**quiet).fit(ROWS, ROWS[:, 2]),
        early,
    ]


@pytest.mark.parametrize("index", range(5))
def test_a_lightgbm_wrapper_comes_back_usable_from_lightgbms_own_text(
    index: int, round_trip: Callable[..., Logged]
) -> None:
    model = lightgbm_models()[index]

    record, loaded = round_trip(model)

    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))
    assert loaded.predict(ROWS).dtype == model.predict(ROWS).dtype
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS))
        assert list(loaded.classes_) == list(model.classes_)
    assert loaded.get_params() == model.get_params()
    assert loaded.best_iteration_ == model.best_iteration_
    assert model_of(record).name == "model.lightgbm.txt"


def test_a_lightgbm_booster_is_a_file_that_lightgbm_reads_without_us(
    round_trip: Callable[..., Logged], tmp_path: Path
) -> None:
    lgb = pytest.importorskip("lightgbm")
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lgb.train(settings, lgb.Dataset(ROWS, POSITIVE, feature_name=["a", "b", "c", "d"]), 9)

    record, loaded = round_trip(booster)
    content = pytest_mlrun.open_store(tmp_path / "store").read_artifact(record, "model.lightgbm.txt")
    (tmp_path / "model.txt").write_bytes(content)
    plain = lgb.Booster(model_file=tmp_path / "model.txt")

    for again in (loaded, plain):
        np.testing.assert_array_equal(again.predict(ROWS), booster.predict(ROWS))
        assert again.feature_name() == ["a", "b", "c", "d"]


def test_categories_of_a_data_frame_survive_in_lightgbms_text(round_trip: Callable[..., Logged]) -> None:
    lgb, pandas = pytest.importorskip("lightgbm"), pytest.importorskip("pandas")
    frame = pandas.DataFrame({"plan": pandas.Categorical(THREE), "months": ROWS[:, 1]})
    model = lgb.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(frame, POSITIVE)

    _, loaded = round_trip(model)

    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))


def xgboost_models() -> list[Any]:
    xgb = pytest.importorskip("xgboost")
    few = {"n_estimators": 12, "max_depth": 3, "n_jobs": 1}
    early = xgb.XGBClassifier(**{**few, "n_estimators": 200, "learning_rate": 0.9}, early_stopping_rounds=3)
    early.fit(ROWS[:160], POSITIVE[:160], eval_set=[(ROWS[160:], POSITIVE[160:])], verbose=False)
    return [
        xgb.XGBClassifier(**few, scale_pos_weight=3.0).fit(ROWS, POSITIVE),
        xgb.XGBClassifier(**few).fit(ROWS, np.digitize(ROWS[:, 0], [-0.5, 0.5])),
        xgb.XGBRegressor(**few).fit(ROWS, ROWS[:, 2]),
        xgb.XGBRFRegressor(**few).fit(ROWS, ROWS[:, 2]),
        xgb.XGBClassifier(**few, callbacks=[xgb.callback.EvaluationMonitor()]).fit(ROWS, POSITIVE),
        early,
    ]


@pytest.mark.parametrize("index", range(6))
def test_an_xgboost_wrapper_comes_back_usable_from_xgboosts_own_json(
    index: int, round_trip: Callable[..., Logged]
) -> None:
    model = xgboost_models()[index]

    record, loaded = round_trip(model)

    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS))
    given, back = model.get_params(), loaded.get_params()
    assert {name: back[name] for name in ("n_estimators", "max_depth", "scale_pos_weight")} == {
        name: given[name] for name in ("n_estimators", "max_depth", "scale_pos_weight")
    }
    assert model_of(record).name == "model.xgboost.json"
    assert model.get_booster().attr("pytest_mlrun") is None


def test_an_xgboost_booster_comes_back_with_its_feature_names(round_trip: Callable[..., Logged]) -> None:
    xgb = pytest.importorskip("xgboost")
    rows = xgb.DMatrix(ROWS, POSITIVE, feature_names=["a", "b", "c", "d"])
    booster = xgb.train({"objective": "binary:logistic", "nthread": 1}, rows, 8)

    _, loaded = round_trip(booster)

    np.testing.assert_array_equal(loaded.predict(rows), booster.predict(rows))
    assert loaded.feature_names == ["a", "b", "c", "d"]


def sklearn_models() -> list[Any]:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return [
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        RandomForestClassifier(5, random_state=0),
        make_pipeline(FunctionTransformer(np.abs), StandardScaler(), LogisticRegression()),
        CalibratedClassifierCV(LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc"),
        KNeighborsClassifier(),
        MLPClassifier((4,), random_state=0, max_iter=5, early_stopping=True),
    ]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("index", range(8))
def test_a_scikit_learn_model_comes_back_without_a_word_of_trust(index: int, round_trip: Callable[..., Logged]) -> None:
    model = sklearn_models()[index].fit(ROWS, POSITIVE)

    record, loaded = round_trip(model)

    np.testing.assert_array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS))
    assert model_of(record).name == "model.skops"


def test_boosted_trees_inside_a_pipeline_come_back(round_trip: Callable[..., Logged]) -> None:
    lgb = pytest.importorskip("lightgbm")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), lgb.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1))
    pipeline.fit(ROWS, POSITIVE)

    record, loaded = round_trip(pipeline)

    np.testing.assert_array_equal(loaded.predict_proba(ROWS), pipeline.predict_proba(ROWS))
    assert model_of(record).name == "model.skops"


def test_the_record_says_what_wrote_the_model(round_trip: Callable[..., Logged]) -> None:
    from importlib.metadata import version

    from sklearn.linear_model import LogisticRegression

    record, _ = round_trip(LogisticRegression().fit(ROWS, POSITIVE))

    assert facts_of(record) == {
        "format": "skops",
        "class": "sklearn.linear_model._logistic.LogisticRegression",
        "libraries": {name: version(name) for name in ("skops", "scikit-learn", "numpy", "scipy")},
    }
    assert model_of(record).size_bytes > 0


def test_an_onnx_model_comes_back_as_it_was(round_trip: Callable[..., Logged]) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", kind, [1])],
        [helper.make_tensor_value_info("y", kind, [1])],
    )
    model = helper.make_model(graph)

    record, loaded = round_trip(model)

    assert loaded == model
    assert model_of(record).name == "model.onnx"


def test_a_torch_module_comes_back_as_its_state_dict(round_trip: Callable[..., Logged]) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4))
    module[2].weight = module[0].weight  # tied: two names, one tensor
    rows = torch.from_numpy(ROWS).float()

    record, loaded = round_trip(module)
    again = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4))
    again.load_state_dict(loaded)

    assert torch.equal(again.eval()(rows), module.eval()(rows))
    assert model_of(record).name == "model.safetensors"
    assert facts_of(record)["class"] == "torch.nn.modules.container.Sequential"


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def as_artifact(media_type: str, *, unsafe: bool = False) -> pytest_mlrun.Artifact:
    return pytest_mlrun.Artifact("model", f"sha256:{'0' * 64}", 1, media_type, "model", unsafe)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_pickle_is_not_read_without_an_explicit_word(labelled: bool, tmp_path: Path) -> None:
    content = pickle.dumps(Bomb(tmp_path / "exploded"))
    # A record that was tampered with may lack the label: the format alone must be enough.
    artifact = as_artifact("application/x-python-pickle", unsafe=labelled)

    with pytest.raises(pytest_mlrun.ArtifactError, match=r"model 'model' is a pickle: loading it runs code") as refused:
        models.load_model(content, artifact)

    assert "unsafe=True" in str(refused.value)
    assert not (tmp_path / "exploded").exists()
    models.load_model(content, artifact, unsafe=True)
    assert (tmp_path / "exploded").exists()


class Ratio:
    """A type of the user's own."""

    def __init__(self, by: float = 2.0) -> None:
        self.by = by

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows[:, 0] / self.by


def test_a_type_of_ones_own_is_loaded_once_it_is_named(round_trip: Callable[..., Logged], tmp_path: Path) -> None:
    name = f"{Ratio.__module__}.{Ratio.__qualname__}"

    with pytest.raises(pytest_mlrun.ArtifactError, match="names types that are not trusted") as refused:
        round_trip(Ratio(3.0))
    loaded = pytest_mlrun.load_model(only_run(tmp_path), store=tmp_path / "store", trusted=[name])

    assert f"trusted=['{name}']" in str(refused.value)
    assert isinstance(loaded, Ratio)
    assert loaded.by == 3.0


def only_run(tmp_path: Path) -> str:
    [record] = pytest_mlrun.open_store(tmp_path / "store").runs()
    return record.short_id


@pytest.mark.parametrize("function", ["numpy.fromfile", "sklearn.datasets._base.load_files", "os.system"])
def test_a_function_that_a_skops_file_names_is_refused(function: str, round_trip: Callable[..., Logged]) -> None:
    from importlib import import_module

    from sklearn.preprocessing import FunctionTransformer

    module, _, name = function.rpartition(".")

    with pytest.raises(pytest_mlrun.ArtifactError, match="names types that are not trusted"):
        round_trip(FunctionTransformer(getattr(import_module(module), name)).fit(ROWS))


def test_what_a_trusted_module_only_imported_is_refused(round_trip: Callable[..., Logged]) -> None:
    from sklearn.metrics import _scorer
    from sklearn.preprocessing import FunctionTransformer

    def posing() -> None:
        """Written down as sklearn.metrics._scorer.partial, which is functools'."""

    posing.__module__, posing.__name__, posing.__qualname__ = _scorer.__name__, "partial", "partial"

    assert hasattr(_scorer, "partial")
    with pytest.raises(pytest_mlrun.ArtifactError, match="names types that are not trusted") as refused:
        round_trip(FunctionTransformer(posing).fit(ROWS))
    assert "sklearn.metrics._scorer.partial" in str(refused.value)


def test_a_function_that_scores_is_trusted(round_trip: Callable[..., Logged]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import fbeta_score, make_scorer
    from sklearn.model_selection import GridSearchCV

    model = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring=make_scorer(fbeta_score, beta=2))

    _, loaded = round_trip(model.fit(ROWS, POSITIVE))

    assert loaded.score(ROWS, POSITIVE) == model.score(ROWS, POSITIVE)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/vnd.lightgbm",
        "application/vnd.xgboost+json",
        "application/vnd.skops",
        "application/vnd.onnx",
        "application/vnd.safetensors",
    ],
)
def test_bytes_that_are_no_model_are_refused_without_a_traceback_of_ours(
    media_type: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in ("lightgbm", "xgboost", "onnx", "safetensors", "torch"):
        pytest.importorskip(module)

    with pytest.raises(pytest_mlrun.ArtifactError, match="model 'model' cannot be read here"):
        models.load_model(b"no model at all", as_artifact(media_type))

    assert "Traceback" not in capfd.readouterr().err


def test_an_artifact_that_is_no_model_is_not_loaded() -> None:
    with pytest.raises(pytest_mlrun.ArtifactError, match="artifact 'model' is not a model: text/csv"):
        models.load_model(b"a,b", as_artifact("text/csv"))


def test_a_model_that_was_not_logged_is_named_with_those_that_were(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    with pytest_mlrun.record(experiment="models", store=tmp_path / "store") as run:
        run.log_model(Ridge().fit(ROWS, ROWS[:, 0]), "ridge")

    with pytest.raises(pytest_mlrun.ArtifactError, match="logged no model 'model'") as error:
        pytest_mlrun.load_model(only_run(tmp_path), store=tmp_path / "store")

    assert "its models: ridge.skops" in str(error.value)


def test_a_damaged_model_is_not_loaded(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    with pytest_mlrun.record(experiment="models", store=tmp_path / "store") as run:
        artifact = run.log_model(Ridge().fit(ROWS, ROWS[:, 0]))
    digits = artifact.digest.removeprefix("sha256:")
    path = tmp_path / "store" / "objects" / digits[:2] / digits[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(pytest_mlrun.StoreDamagedError, match="an object is damaged"):
        pytest_mlrun.load_model(only_run(tmp_path), store=tmp_path / "store")
