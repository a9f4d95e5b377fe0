"""The run: what a test logs to, reads from and asserts on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, SupportsFloat

from pytest_mlrun.errors import MarkerError, MetricError, NamingError, ParamError, RegistryError
from pytest_mlrun.run.assertions import Assertions
from pytest_mlrun.run.fingerprints import Fingerprinted
from pytest_mlrun.run.repetitions import Repetitions

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import ArrayLike

    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.project import Goal
    from pytest_mlrun.records.run import Artifact
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.rules.predictions import Label
    from pytest_mlrun.run.winner import Winner


class Run(Assertions, Repetitions, Fingerprinted):
    """One attempt of one experiment, under way.

    The fixture ``mlrun`` hands it to a test; ``pytest_mlrun.record`` to a script. What a call wrote survives the death
    of the process as soon as the call returned.
    """

    def __init__(self, recording: Recording, *, tmp_path: Callable[[], Path] | None = None) -> None:
        self._recording = recording
        self._tmp_path = tmp_path or (lambda: Path(tempfile.mkdtemp(prefix="mlrun-")))
        self._rng: np.random.Generator | None = None
        # The method's own job, without the call in between, which costs a tenth of a point.
        vars(self)["log_metric"] = recording.log_metric

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.id[-8:]}>"

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """UUIDv7 of the run; its last 8 digits name it on the command line."""
        return self._recording.id

    @property
    def name(self) -> str:
        """Run name, from the template in ``mlrun.toml`` or the test's name."""
        return self._recording.plan.name

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self._recording.plan.experiment

    @property
    def seed(self) -> int:
        """Exactly the configured seed, 0 to 2**32 - 1: what every global generator started from."""
        return self._recording.plan.seed

    @property
    def rng(self) -> np.random.Generator:
        """A numpy generator of this run's own, started from its seed."""
        if self._rng is None:
            import numpy as np

            self._rng = np.random.default_rng(self.seed)
        return self._rng

    @property
    def data(self) -> Mapping[str, Snapshot]:
        """Verified snapshots by the name they have in ``mlrun.toml``."""
        from pytest_mlrun.run.snapshots import SnapshotsByName

        return SnapshotsByName(self._recording)

    @property
    def params(self) -> Mapping[str, object]:
        """Params recorded so far, as JSON values."""
        from pytest_mlrun.rules.params import read_param

        return MappingProxyType({name: read_param(text) for name, text in self._recording.params.items()})

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last value of every metric logged so far."""
        return MappingProxyType(self._recording.values)

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags set so far."""
        return MappingProxyType(self._recording.tags)

    @property
    def winner(self) -> Winner:
        """The best run of the experiment that ``@pytest.mark.mlrun_select`` names.

        Raises:
            MarkerError: If the test does not carry the marker.
        """
        from pytest_mlrun.run.winner import Winner

        selected = self._recording.selected
        if selected is None:
            raise MarkerError(
                f"run {self.name} has no winner: its test is not marked mlrun_select",
                where=self._recording.plan.test,
                next_step=f'write @pytest.mark.mlrun_select(experiment="{self.experiment}", by="…") above the test',
            )
        return Winner(selected.winner, selected.reader)

    @property
    def tmp_path(self) -> Path:
        """A temporary folder of this run's own."""
        return self._tmp_path()

    # -- params, tags ----------------------------------------------------------------------------------------------

    def log_param(self, name: str, value: object) -> None:
        """Record a param, once.

        Raises:
            ParamError: If the value has no stable description, or the param has another value already.
            NamingError: If ``mlrun.toml`` refuses the name.
        """
        from pytest_mlrun.rules.arguments import expect_text

        expect_text(name, what="the name of a param", write='mlrun.log_param("depth", 3)', error=NamingError)
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record several params, each once; see ``log_param``."""
        from pytest_mlrun.rules.arguments import expect_mapping
        from pytest_mlrun.rules.naming import check_param_names
        from pytest_mlrun.rules.params import describe_param

        expect_mapping(params, what="params", write='mlrun.log_params({"depth": 3})', error=ParamError)
        check_param_names(params, self._recording.plan.project.naming)
        self._recording.write_params({name: describe_param(name, value) for name, value in params.items()})

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag; a later value replaces an earlier one."""
        from pytest_mlrun.rules.arguments import expect_text

        expect_text(key, what="the name of a tag", write='mlrun.set_tag("team", "risk")', error=NamingError)
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set several tags.

        Raises:
            NamingError: If ``mlrun.toml`` has a vocabulary that lacks a tag or its value.
        """
        from pytest_mlrun.rules.arguments import as_tag_text, expect_mapping
        from pytest_mlrun.rules.naming import check_tag

        expect_mapping(tags, what="tags", write='mlrun.set_tags({"team": "risk"})', error=NamingError)
        texts = {key: as_tag_text(key, value, error=NamingError) for key, value in tags.items()}
        for key, value in texts.items():
            check_tag(key, value, self._recording.plan.project.naming)
        self._recording.write_tags(texts)

    # -- metrics ---------------------------------------------------------------------------------------------------

    def log_metric(self, name: str, value: SupportsFloat, step: int | None = None) -> None:
        """Record a metric: a summary value, or with ``step`` a point of its series.

        NaN and infinities are stored; NaN satisfies no gate.

        Raises:
            MetricError: If the value is not a number or outside its range, the step not a whole one, or the name not
                one that can be kept.
            NamingError: If ``mlrun.toml`` refuses the name.
        """
        self._recording.log_metric(name, value, step)

    def log_metrics(self, metrics: Mapping[str, SupportsFloat], step: int | None = None) -> None:
        """Record several metrics at one step; see ``log_metric``."""
        from pytest_mlrun.rules.arguments import expect_mapping

        expect_mapping(metrics, what="metrics", write='mlrun.log_metrics({"loss": 0.5})', error=MetricError)
        self._recording.open_channels(tuple(metrics))
        for name, value in metrics.items():
            self.log_metric(name, value, step)

    # -- artifacts -------------------------------------------------------------------------------------------------

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None, *, link: bool = False) -> None:
        """Store a copy of a file, or of every file of a folder, under ``name`` (default: its own name).

        With ``link=True`` nothing is copied: the file becomes read-only and gets a second name in the store. Do not
        write to it again; ``pytest-mlrun verify`` tells if somebody did.
        """
        from pytest_mlrun.run.files import add_path

        add_path(self._recording, path, name, link=link)

    def log_checkpoint(
        self,
        step: int,
        path: str | os.PathLike[str],
        *,
        metric: str = "",
        goal: Goal | None = None,
        keep_best: int = 1,
        keep_last: bool = True,
    ) -> bool:
        """Keep a copy of a checkpoint if it is the last or one of the best; those that it beats go.

        They are the artifacts ``checkpoints/<step>/<file>``. A training that is killed keeps what it had.

        Args:
            step: When it was, such as the epoch.
            path: A file or folder; the next checkpoint may be written over it.
            metric: What decides, by its last value; without one only the last checkpoint is kept.
            goal: Whether more or less of it is better; ``mlrun.toml`` or the metric's name if not given.
            keep_best: How many of the best are kept.
            keep_last: Whether the last one is kept too, to go on from.

        Returns:
            Whether it is one of the best.

        Raises:
            ArtifactError: If there is no such file, or nothing says which value is better.
            MetricError: If the metric was never logged.
        """
        from pytest_mlrun.run.checkpoints import add_checkpoint

        return add_checkpoint(
            self._recording, step, path, metric=metric, goal=goal, keep_best=keep_best, keep_last=keep_last
        )

    def log_dict(self, dictionary: Mapping[str, object] | list[object], name: str) -> Artifact:
        """Store a dictionary or list as JSON."""
        from pytest_mlrun.run.files import add_dict

        return add_dict(self._recording, dictionary, name)

    def log_text(self, text: str, name: str) -> Artifact:
        """Store text as UTF-8."""
        from pytest_mlrun.run.files import add_text

        return add_text(self._recording, text, name)

    def log_table(self, table: object, name: str = "table.parquet") -> Artifact:
        """Store a table: a mapping of columns, a list of rows, or a pandas, polars or Arrow table.

        The suffix of the name says the format: ``.parquet``, ``.arrow``, ``.csv`` or ``.json``.
        """
        from pytest_mlrun.run.files import add_table

        return add_table(self._recording, table, name)

    def log_figure(self, figure: object, name: str = "figure.png") -> Artifact:
        """Store a matplotlib figure (or anything with ``savefig``); the suffix says the format."""
        from pytest_mlrun.run.files import add_figure

        return add_figure(self._recording, figure, name)

    def log_model(self, model: object, name: str = "model") -> Artifact:
        """Store a fitted model in its framework's own or a safe format; see ``pytest_mlrun.load_model``.

        LightGBM text, XGBoost JSON, skops for scikit-learn, ONNX, safetensors for torch. Only what none of them takes
        is pickled, and labelled ``unsafe``.
        """
        from pytest_mlrun.run.files import add_model

        return add_model(self._recording, model, name)

    def log_fit(self, model: object, name: str = "model", *, features: Sequence[str] | None = None) -> None:
        """Record what a fitted LightGBM, XGBoost or scikit-learn model says of itself.

        Its features with their importances or coefficients become the table ``features.parquet``, the step that early
        stopping chose the metric ``best_step``, curves that it kept series such as ``train_loss``; its class and class
        weights are in the context. Of a model under another ``name`` they all begin with ``<name>_``.

        Args:
            model: The model, or a pipeline that ends in it.
            name: What it is called; the name that ``log_model`` gets.
            features: Names of the features, where the model has none.

        Raises:
            ArtifactError: If the model is not fitted, or of a framework that is not known.
        """
        from pytest_mlrun.run.fits import add_fit

        self._recording.write_context({f"fit.{name}": add_fit(self, model, name=name, features=features)})

    def log_split(self, **rows: ArrayLike) -> None:
        """Record which rows each split holds: ``log_split(train=ids, val=ids)``.

        Only digests and counts are kept.

        Args:
            rows: What tells each row of a split from every other: a list, array or pandas index of numbers, texts or
                dates; an array of two dimensions, one row a row; or a mask of truth values, which stands for positions.

        Raises:
            DataError: If a row is in two splits of the run, or twice in one, or a split changes its rows.
        """
        from pytest_mlrun.run.splits import add_splits

        add_splits(self._recording, rows)

    def evaluate(
        self,
        split: str,
        y_true: ArrayLike,
        y_pred_or_score: ArrayLike,
        *,
        metrics: Sequence[str],
        row_ids: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        threshold: float = 0.5,
        labels: Sequence[Label] | None = None,
        data: str | None = None,
    ) -> dict[str, float]:
        """Compute metrics on a split, log each as ``<split>_<metric>``, and keep the rows behind them.

        Args:
            split: Name of the split, such as ``val``.
            y_true: True labels or values, shape ``(n,)``.
            y_pred_or_score: Scores ``(n,)`` or ``(n, k)``, or predicted labels or values ``(n,)``.
            metrics: Names such as ``roc_auc``, ``log_loss``, ``rmse``; scikit-learn's spellings are accepted.
            row_ids: Identity of each row; default its position.
            groups: Group of each row, such as the user it belongs to.
            threshold: Score from which a row counts as positive.
            labels: Classes in the order of the score columns.
            data: Snapshot that the rows are of, where it has another name than the split and some data of the run is
                held out.

        Returns:
            Metric name, without the split, to value; of held-out rows no more digits than chance leaves.

        Raises:
            MetricError: If a metric is unknown or undefined on these rows.
            DataError: If nothing says whether the rows are held out.
            HoldoutSpentError: If held-out rows were looked at as often as they may be.
        """
        from pytest_mlrun.run.evaluation import Evaluation, log_evaluation, read_names

        names = read_names(split, metrics)
        rows = Evaluation(split, y_true, y_pred_or_score, names, row_ids, groups, threshold, labels, data)
        scores = log_evaluation(self._recording, rows)
        self.log_metrics({f"{split}_{name}": value for name, value in scores.items()})
        return scores

    def register(self, name: str) -> None:
        """Ask for this run, or for the winner that it judged, to become the next version of a model.

        ``pytest --mlrun --mlrun-register`` does so at its end, if everything passed. Without that option nothing
        happens.

        Args:
            name: Name of the model, such as ``churn``.

        Raises:
            RegistryError: If the name can name no model, there is no ``mlrun.toml``, or the run is none of pytest's.
        """
        from pytest_mlrun.registry.registering import check_asked
        from pytest_mlrun.rules.arguments import expect_text

        expect_text(name, what="the name of a model", write='mlrun.register("churn")', error=RegistryError)
        check_asked(name, self._recording.plan.project, pinned=self._recording.plan.pinned)
        self._recording.write_context({f"register.{name}": True})
