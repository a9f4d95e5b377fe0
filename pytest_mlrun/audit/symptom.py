"""Describe one thing that an audit needs, and whether it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that an audit needs.

    Attributes:
        what: Its name.
        lacks: Whether it is missing.
        said: What is there, or is not; a sentence without a full stop.
        cure: What to do about it.
    """

    what: str
    lacks: bool
    said: str
    cure: str = ""


def symptom(what: str, good: object, there: str, missing: str, cure: str) -> Symptom:
    """Return what is said of a thing that is there or missing.

    Args:
        what: Its name.
        good: Whether it is there: anything that is true.
        there: What is said if it is.
        missing: What is said if it is not.
        cure: What to do then.
    """
    return Symptom(what, lacks=False, said=there) if good else Symptom(what, lacks=True, said=missing, cure=cure)


def examine_times(times: Mapping[str, str], *, again: str = "") -> Iterator[Symptom]:
    """Yield a lack for each metric that no training repeats: how long something took.

    Args:
        times: Such metrics, with their units.
        again: What else has to be done, for a run that is recorded already.
    """
    for name, unit in times.items():
        yield Symptom(
            f"metric {name}",
            lacks=True,
            said=f"a time ({unit}), which is another in each training: every audit will have diverged",
            cure=f"write {name} = {{ abs = inf }} under [replay.tolerances] in mlrun.toml{again}; "
            "if it is a result of the model, the tolerance that it has to keep",
        )
