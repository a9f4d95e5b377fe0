"""Begin child runs: trials of a search, and one training under several seeds or on several folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.run.folds import Fold, Splitter
    from pytest_mlrun.run.run import Run


class Repetitions:
    """What a run repeats as runs of their own; the class to use is ``Run``."""

    _recording: Recording
    _tmp_path: Callable[[], Path]

    @contextmanager
    def child(self, **params: object) -> Iterator[Run]:
        """Record one trial of a search as a run of its own: ``with mlrun.child(depth=3) as run: ...``.

        It starts from this run's seed and finishes with the block; the generators of this run go on undisturbed.
        """
        from pytest_mlrun.run.children import begin_child
        from pytest_mlrun.run.run import Run

        with begin_child(self._recording, params, seed=self._recording.plan.seed, seed_source="given") as recording:
            yield Run(recording, tmp_path=self._tmp_path)

    def seeds(
        self,
        count: int | None = None,
        *,
        until: Gate | NoRegression | None = None,
        looks: Sequence[int] | None = None,
    ) -> Iterator[Run]:
        """Repeat a training under several seeds derived from this run's: ``for run in mlrun.seeds(5): ...``.

        Each pass is a child run with the param ``replicate``. One that is left early finishes with this run.

        With ``until=gate`` the trainings end when the gate is decided: one built by ``no_regression`` with
        ``claim="procedure"``, or by ``floor`` or ``ceiling`` for the mean of the seeds. After 1, 2, 3 and 5 trainings,
        against 10 or more seeds of the baseline, or after 3, 5 and 10, it is looked at, each time at a level so small
        that all looks together err with 5 %. What they found is recorded; ``assert_all(gate)`` enforces it.

        Args:
            count: How many trainings.
            until: The gate that ends them.
            looks: Numbers of trainings after which to look at it, instead of those above; the last is the most.

        Raises:
            ParamError: If neither a count nor a gate is given, or the run trained under several seeds already.
            MetricError: If more seeds cannot decide the gate.
            RunNotFoundError: If the gate's baseline is missing: before anything trains.
        """
        from pytest_mlrun.pillars.randomness import derive_seed
        from pytest_mlrun.run.children import begin_child
        from pytest_mlrun.run.run import Run
        from pytest_mlrun.run.seeds import replicates

        for index in replicates(self._recording, count, until, looks):
            seed = derive_seed(self._recording.plan.seed, "replicate", str(index))
            with begin_child(self._recording, {"replicate": index}, seed=seed, seed_source="derived") as recording:
                yield Run(recording, tmp_path=self._tmp_path)

    def folds(
        self,
        splitter: Splitter,
        X: ArrayLike,  # noqa: N803 - scikit-learn's name
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Iterator[Fold]:
        """Train once a fold of a cross-validation: ``for fold in mlrun.folds(KFold(10), X, y): ...``.

        Each pass is a child run with the param ``fold``, a seed of its own, the positions ``fold.train`` and
        ``fold.test``, and digests of both in its record. A gate with ``claim="data"`` compares them with the same folds
        of a baseline.

        Args:
            splitter: What splits rows as scikit-learn's splitters do; give it a ``random_state``, such as this run's
                seed, so that another run has the same folds.
            X: The rows.
            y: Their labels.
            groups: What each row belongs to, for splitters that keep groups together.

        Raises:
            DataError: If it is no splitter, or a fold is tested on rows that it is trained on.
        """
        from pytest_mlrun.pillars.randomness import derive_seed
        from pytest_mlrun.run.children import begin_child
        from pytest_mlrun.run.folds import Fold, split_rows
        from pytest_mlrun.run.splits import add_splits

        for index, (train, test) in enumerate(split_rows(splitter, X, y, groups)):
            seed = derive_seed(self._recording.plan.seed, "fold", str(index))
            with begin_child(self._recording, {"fold": index}, seed=seed, seed_source="derived") as recording:
                add_splits(recording, {"train": train, "test": test})
                yield Fold(recording, tmp_path=self._tmp_path, train=train, test=test)
