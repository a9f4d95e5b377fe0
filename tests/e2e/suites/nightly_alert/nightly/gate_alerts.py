"""Tell whoever is on call once for an episode, not once a night: load with ``-p nightly.gate_alerts``."""

from __future__ import annotations

from nightly import alert


def pytest_mlrun_gate_failed(config, run, verdict, episode):
    alert.append(
        config.rootpath / "episodes.jsonl",
        {"run": run.short_id, "name": run.name, "gate": verdict.gate, "metric": verdict.metric, "key": episode.key},
    )
