"""Leave marks on a run's way, by which it can be compared step by step with another."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, SupportsIndex

from pytest_mlrun.errors import MetricError, NamingError

if TYPE_CHECKING:
    import numpy as np

    from pytest_mlrun.recorder.recording import Recording


class Fingerprinted:
    """What a run marks; the class to use is ``Run``."""

    _recording: Recording
    _rng: np.random.Generator | None

    def fingerprint(self, name: str, array: object, step: SupportsIndex) -> None:
        """Record the digest of arrays at a step, and a sketch that tells how far two runs are apart there.

        With it goes where the random generators stand. ``pytest-mlrun diff A B`` then says at which step two runs part
        and what differed first: name the channels ``batch``, ``weights``, ``gradient``, ``loss``. All of the first
        thousand steps are kept, then ever fewer.

        Args:
            name: Name of the channel.
            array: An array, a tensor, a number, or a mapping or list of these, such as ``model.state_dict()``.
            step: The step.

        Raises:
            ArtifactError: If it is nothing of these.
        """
        from pytest_mlrun.rules.arguments import expect_text

        write = 'mlrun.fingerprint("weights", weights, step=7)'
        expect_text(name, what="the name of a fingerprint", write=write, error=NamingError)
        self._recording.fingerprints.add(name, array, _as_step(name, step, write), generators=self._own_generators())

    def _own_generators(self) -> dict[str, str]:
        from pytest_mlrun.pillars.randomness import state_of

        return {} if self._rng is None else {"mlrun.rng": state_of(self._rng)}


def _as_step(name: str, step: object, write: str) -> int:
    from pytest_mlrun.rules.arguments import show

    try:
        number = operator.index(step)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(step, bool) or not 0 <= number < 2**63:
        raise MetricError(
            f"the step of fingerprint {name!r} must be a whole number from 0 on, found {show(step)}",
            next_step=f"write {write}",
        )
    return number
