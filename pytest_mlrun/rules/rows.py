"""Tell rows that chose a winner from fresh ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_mlrun.records.run import RunRecord

_FOLDER, _SUFFIX = "labels/", ".arrow"
_TESTS = ("test", "testing", "holdout")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were evaluated.

    Attributes:
        ids: Identity of each row; its position where the test gave none.
        labels: True label or value of each row.
    """

    ids: Sequence[object]
    labels: Sequence[object]

    @property
    def positional(self) -> bool:
        """Whether the ids are positions, which say nothing about identity."""
        return all(identity == position for position, identity in enumerate(self.ids))


def labels_behind(run: RunRecord, metrics: Iterable[str]) -> dict[str, str]:
    """Return split to the digest of its labels, for the splits that metrics of a run were computed on.

    Args:
        run: The run.
        metrics: Names such as ``val_log_loss``; one that ``evaluate`` did not log has no rows.
    """
    labels = _labels_of(run)
    found: dict[str, str] = {}
    for metric in metrics:
        # The longest: "val_big_auc" is of the split "val_big", even where there is a split "val".
        split = max((name for name in labels if metric.startswith(f"{name}_")), key=len, default=None)
        if split is not None:
            found[split] = labels[split]
    return found


def find_worn(runs: Iterable[RunRecord], deciding: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return which splits, named or declared as tests, are the rows that decided, and in how many runs.

    Their metrics across a sweep are no test results: the winner was chosen by them.

    Args:
        runs: The candidates.
        deciding: Split to the digests of the labels of its rows, of the metrics that chose the winner.
    """
    digests = {digest for found in deciding.values() for digest in found}
    found: Counter[str] = Counter()
    for run in runs:
        for split, digest in _labels_of(run).items():
            if digest in digests and (split not in deciding or _is_test(split, run)):
                found[split] += 1
    return dict(sorted(found.items()))


def _is_test(split: str, run: RunRecord) -> bool:
    return split in _TESTS or split.startswith("test_") or f"holdout.{split}" in run.context


def _labels_of(run: RunRecord) -> dict[str, str]:
    return {
        artifact.name.removeprefix(_FOLDER).removesuffix(_SUFFIX): artifact.digest
        for artifact in run.artifacts
        if artifact.role == "labels"
    }


def count_reused(chosen: Rows, tested: Rows) -> int:
    """Return how many of the tested rows chose the winner.

    Rows are the same if their ids are. Ids that agree while a label differs are of another table, such as line numbers
    of two files. Where the ids are mere positions, the rows are the same if all labels are, in the same order.
    """
    if chosen.positional or tested.positional:
        same = list(chosen.ids) == list(tested.ids) and list(chosen.labels) == list(tested.labels)
        return len(tested.ids) if same else 0
    known = dict(zip(chosen.ids, chosen.labels, strict=True))
    shared = [
        (known[identity], label) for identity, label in zip(tested.ids, tested.labels, strict=True) if identity in known
    ]
    return len(shared) if all(used == label for used, label in shared) else 0
