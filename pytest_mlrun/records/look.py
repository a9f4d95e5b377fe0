"""Hold one look at held-out rows: a line of the ledger, and what it means for the run that looked."""

from __future__ import annotations

from dataclasses import dataclass

LEDGER_FILE = "mlrun-ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Look:
    """A model seen on held-out rows, or a gate that judged it there.

    Attributes:
        data: Name of the snapshot in ``mlrun.toml``.
        snapshot: Its digest.
        rows: Digest of the rows, by id and label.
        model: Digest of what the model put out on them, to six decimals.
        run: Id of the run.
        commit: What the run was made with; empty without git.
        gate: Kind and metric of the gate; ``evaluate`` and the split where none judged yet.
        mode: What the gate demands; ``evaluate`` likewise.
        verdict: What it found; empty likewise.
        digits: Decimals that were shown.
        number: Which look it is.
        of: How many there may be.
        time: When, UTC, as ``2026-10-02T08:15:00Z``.
    """

    data: str
    snapshot: str
    rows: str
    model: str
    run: str
    commit: str
    gate: str
    mode: str
    verdict: str
    digits: int
    number: int
    of: int
    time: str

    def spends(self, snapshot: str, rows: str) -> bool:
        """Whether the look is at these rows, or at others of the same snapshot."""
        return self.rows == rows or self.snapshot == snapshot

    @property
    def pair(self) -> tuple[str, str]:
        """Rows and model: the same pair again is no new look."""
        return self.rows, self.model


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands in the ledger.

    Attributes:
        look: Its line.
        since: Date of the first look at these rows.
        trouble: Why the ledger cannot be believed, a sentence; empty where it can.
        repaired: Whether a line that a crash had cut short was taken off.
    """

    look: Look
    since: str
    trouble: str = ""
    repaired: bool = False

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a person should know of the ledger, a sentence each."""
        torn = "a last line that a crash had cut short was taken off; nobody had seen its score"
        lost = f"it cannot be believed: {self.trouble}; a new model counts as the last look"
        restore = f"Restore the file: git log -- {LEDGER_FILE}"
        return (
            *((f"{LEDGER_FILE}: {torn}",) if self.repaired else ()),
            *((f"{LEDGER_FILE}: {lost}. {restore}",) if self.trouble else ()),
        )
