"""Tell whoever is on call what went wrong, one JSON line for each run."""

from __future__ import annotations

import json
from pathlib import Path


def describe(run) -> dict[str, object]:
    broken = [gate for gate in run.gates if gate.failed]
    reason = "; ".join(
        f"{gate.gate} {gate.metric} {gate.estimate:.4g} (wanted {gate.bound:g})" for gate in broken
    )
    return {
        "run": run.short_id,
        "name": run.name,
        "status": run.status,
        "cause": run.cause,
        "reason": reason or run.cause_detail or run.error.strip().rpartition("\n")[2],
    }


def append(file: Path, line: dict[str, object]) -> None:
    with file.open("a") as alerts:
        alerts.write(json.dumps(line) + "\n")
