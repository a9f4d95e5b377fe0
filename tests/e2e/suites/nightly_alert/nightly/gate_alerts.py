"""Tell whoever is on call once for an episode, not once a night: load with ``-p nightly.gate_alerts``."""

from __future__ import annotations

import pytest

from nightly import alert


@pytest.hookimpl(optionalhook=True)
def pytest_mlrun_gate_failed(config, run, verdict):
    alert.append(
        config.rootpath / "episodes.jsonl",
        {"run": run.short_id, "name": run.name, "gate": verdict.gate, "metric": verdict.metric},
    )
