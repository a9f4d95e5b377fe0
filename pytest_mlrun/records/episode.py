"""Hold an episode: a gate that began to fail, for one model on the same rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Episode:
    """The time from the first failure of a gate to its end.

    It ends when the gate is judged again and does not fail, or judges another model or other rows.

    Attributes:
        key: The same for one gate, model and rows, in every session: what an alert service deduplicates by.
        model: Digest of what the model put out on the rows, to six decimals; empty for a metric logged by hand.
        rows: Digest of the rows, by id and label; likewise.
        previous: Id of the run that the gate judged before; empty if there is none.
    """

    key: str
    model: str
    rows: str
    previous: str
