"""Refuse values outside the range that mlrun.toml gives their metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsFloat, cast

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.store.pointfile import LogMetric


def check_ranges(recording: Recording, log_metric: LogMetric) -> LogMetric:
    """Make of a logging function one that looks at ranges first.

    Args:
        recording: The run.
        log_metric: Logs whatever it is given.

    Returns:
        The function that checks.
    """
    from pytest_mlrun.rules.metric_values import as_float
    from pytest_mlrun.rules.metric_vocabulary import check_value

    def log_checked(name: str, value: SupportsFloat, step: int | None = None) -> None:
        if not isinstance(cast("object", name), str) or name not in recording.channels:
            recording.open_channel(name)
        if name in recording.ranged:
            check_value(name, as_float(name, value), recording.ranged[name])
        log_metric(name, value, step)

    return log_checked
