"""Read back the rows behind a metric, of a run under way or of one in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from pytest_mlrun.records.run import Artifact
from pytest_mlrun.rules.scored_rows import ScoredRows

if TYPE_CHECKING:
    from pytest_mlrun.rules.predictions import Label

CONTEXT = "evaluated."
_TWO = 2


class Evaluated(TypedDict):
    """How a metric was computed; JSON in the context of its run.

    Attributes:
        metric: Name without the split.
        value: What came out.
        predictions: Artifact that holds what the model put out.
        truth: Artifact that holds row ids, labels and groups.
        threshold: Score from which a row counts as positive.
        classes: Classes in the order of the columns, if they were given.
        n: Number of rows.
    """

    metric: str
    value: float
    predictions: str
    truth: str
    threshold: float
    classes: list[Label] | None
    n: int


@dataclass(frozen=True, slots=True)
class Evaluations:
    """The evaluations of one run.

    Attributes:
        facts: Metric, with its split, to how it was computed.
        artifacts: The run's artifacts by name.
        read: Return the bytes of an artifact, compared with their digest.
    """

    facts: Mapping[str, Evaluated]
    artifacts: Mapping[str, Artifact]
    read: Callable[[Artifact], bytes]

    def rows(self, metric: str, value: float | None) -> ScoredRows | None:
        """Return the rows that a metric was computed on; None where it was logged by hand, or again since.

        Args:
            metric: Name of the metric, with its split.
            value: The metric as the run has it.

        Raises:
            StoreError: If the rows are missing or damaged.
        """
        fact = self.facts.get(metric)
        if fact is None or fact["value"] != value or not {fact["predictions"], fact["truth"]} <= set(self.artifacts):
            return None
        import numpy as np

        from pytest_mlrun.store.rows import read_arrays

        truth = read_arrays(self.read(self.artifacts[fact["truth"]]))
        predictions = read_arrays(self.read(self.artifacts[fact["predictions"]]))
        columns = [column for name, column in predictions.items() if name.startswith("y_out")]
        classes = fact["classes"]
        return ScoredRows(
            metric=fact["metric"],
            ids=truth["row_id"],
            truth=truth["y_true"],
            out=columns[0] if "y_out" in predictions else np.column_stack(columns),
            groups=truth.get("group"),
            threshold=fact["threshold"],
            labels=None if classes is None else tuple(classes),
        )


def facts_by_split(facts: Mapping[str, Evaluated], split: str, names: Iterable[str]) -> dict[str, object]:
    """Return the context entry of one split: its metrics, without the split, to how they were computed."""
    return {f"{CONTEXT}{split}": {name: dict(facts[f"{split}_{name}"]) for name in names}}
