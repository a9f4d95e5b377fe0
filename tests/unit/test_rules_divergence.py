"""Where two runs part is named with the step, the channel, the size and the likely cause."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from pytest_mlrun.records.fingerprint import Fingerprint
from pytest_mlrun.rules.divergence import Divergence, Trace, locate

STEPS = 6


def trace(
    changed: Mapping[str, int] | None = None,
    *,
    size: float = 1.0,
    growth: float = 1.0,
    channels: tuple[str, ...] = ("batch", "weights"),
    steps: int = STEPS,
) -> Trace:
    """A way in which a channel is other from a step on: by a size, growing by a factor each step."""
    since = dict.fromkeys((*channels, "numpy", "loss"), steps) | dict(changed or {})

    def value(channel: str, step: int) -> float:
        return step + (size * growth ** (step - since[channel]) if step >= since[channel] else 0.0)

    fingerprints = {
        channel: {
            step: Fingerprint(f"{channel}{value(channel, step)!r}", 1, 0, (value(channel, step),))
            for step in range(steps)
        }
        for channel in channels
    }
    loss = np.arange(steps), np.array([value("loss", step) for step in range(steps)])
    generators = {"numpy": {step: repr(value("numpy", step)) for step in range(steps)}} if channels else {}
    return Trace({"loss": loss}, fingerprints, generators)


def found(one: Trace, other: Trace) -> Divergence:
    divergence = locate(one, other)
    assert divergence is not None
    return divergence


@pytest.mark.parametrize(
    ("changed", "growth", "step", "channel", "likely", "sentence"),
    [
        (
            {"batch": 3, "numpy": 3, "weights": 3, "loss": 3}, 1.0, 3, "batch", "randomness",
            ("same until step 2; then: batch (by 1), generators, weights, loss"
            " → randomness: other draws were made before"),
        ),
        (
            {"numpy": 3, "batch": 4, "weights": 4, "loss": 4}, 1.0, 3, "generators", "randomness",
            "same until step 2; then: generators → randomness: other draws were made before",
        ),
        (
            {"batch": 2, "weights": 2, "loss": 2}, 1.0, 2, "batch", "data",
            ("same until step 1; then: batch (by 1), weights, loss"
            " → data: other content or order, while the recorded generators agree"),
        ),
        (
            {"weights": 3, "loss": 4}, 1.0, 3, "weights", "arithmetic",
            ("same until step 2; then: weights (by 1, not growing)"
            " → arithmetic: code, settings or environment, for data and draws agree"),
        ),
        (
            {"weights": 0, "loss": 2}, 10.0, 0, "weights", "arithmetic",
            ("different from the first step on, 0; then: weights (by 1, growing to 1e+05)"
            " → arithmetic: code, settings or environment, for data and draws agree"),
        ),
        (
            {"loss": 5}, 1.0, 5, "loss", "arithmetic",
            ("same until step 4; then: loss (by 1, not growing)"
            " → arithmetic: code, settings or environment, for data and draws agree"),
        ),
    ],
    ids=["a draw more", "a draw more, batch later", "a cell", "learning rate", "kernel", "metric only"],
)  # fmt: skip
def test_the_first_channel_to_differ_names_the_cause(
    changed: dict[str, int], growth: float, step: int, channel: str, likely: str, sentence: str
) -> None:
    divergence = found(trace(), trace(changed, growth=growth))

    assert (divergence.step, divergence.channel, divergence.likely) == (step, channel, likely)
    assert divergence.sentence == sentence


def test_runs_that_agree_part_nowhere() -> None:
    assert locate(trace(), trace()) is None


def test_without_a_batch_in_both_nothing_tells_data_from_arithmetic() -> None:
    divergence = found(trace(channels=("weights",)), trace({"weights": 1}, channels=("weights",)))

    assert (divergence.step, divergence.channel, divergence.likely) == (1, "weights", "unclear")
    assert divergence.sentence == (
        "same until step 0; then: weights (by 1, not growing)"
        " → unclear: a fingerprint 'batch' in both would tell data and draws from arithmetic"
    )


def test_metrics_alone_tell_the_step_and_the_size() -> None:
    divergence = found(trace(channels=()), trace({"loss": 4}, size=0.25, channels=()))

    assert (divergence.step, divergence.channels, divergence.size, divergence.likely) == (4, ("loss",), 0.25, "unclear")


def test_a_run_that_stops_earlier_is_said_to() -> None:
    divergence = found(trace(), trace(steps=4))

    assert divergence.likely == "unclear"
    assert divergence.sentence == "same until step 3; then only one run goes on: batch, weights, loss at step 4"


def test_only_what_both_recorded_is_compared() -> None:
    assert locate(trace(channels=("batch", "gradient")), trace(channels=("batch",))) is None


def test_nan_in_one_run_only_is_said() -> None:
    one, other = trace(channels=()), trace({"loss": 5}, size=math.nan, channels=())

    divergence = found(one, other)

    assert divergence.size == math.inf
    assert "loss (NaN or infinite in one of them)" in divergence.sentence


def test_many_channels_are_counted() -> None:
    names = tuple(f"layer{number}" for number in range(9))

    divergence = found(trace(channels=names), trace(dict.fromkeys(names, 2), channels=names))

    assert divergence.sentence.startswith(
        "same until step 1; then: layer0 (by 1, not growing), layer1, layer2, layer3, layer4, 4 more → unclear"
    )
