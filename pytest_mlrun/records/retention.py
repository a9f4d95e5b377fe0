"""Hold what is decided about keeping artifacts, and what is remembered of those that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RESTORED: Final = "restored"
"""What a tombstone says of an object that came back."""


@dataclass(frozen=True, slots=True)
class Retention:
    """``[retention]``: how long artifacts are kept. Rows of runs are kept for ever.

    Attributes:
        exploratory_days: For how long after its end a run that no other rule keeps has its artifacts.
        registered_years: For how long a model version keeps its artifacts after it was registered or last held an
            alias. What ever held an alias whose policy asks for something keeps them for ever.
        top: How many of the best runs of each ``[leaderboard.<experiment>]`` keep theirs for ever.
        pin: The tag that keeps a run's; its value ``no`` takes the pin off.
    """

    exploratory_days: int = 90
    registered_years: int = 10
    top: int = 1
    pin: str = "keep"


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the artifacts of a run.

    Attributes:
        rule: The rule that decided, such as ``registered``, ``exploratory_days = 90`` or ``registered_years = 10``.
        kept: Whether they stay.
    """

    rule: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Fates:
    """What becomes of every run's artifacts, the strongest rule first.

    Attributes:
        runs: Run id to fate.
        objects: Digest to fate, of objects that are kept whichever run names them.
    """

    runs: Mapping[str, Fate]
    objects: Mapping[str, Fate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What one collection took away.

    Attributes:
        tombstone_id: UUIDv7, 36 characters, lower case.
        time_us: Microseconds since the epoch, UTC.
        who: Such as ``ada@laptop``.
        objects: Digest of each object to the rule by which it went, or to ``restored``. Of several tombstones with one
            digest the last counts, by time and then by id.
        v: Version of the form.
        digest: ``sha256:<hex>`` over the canonical form of every other field.
    """

    tombstone_id: str
    time_us: int
    who: str
    objects: Mapping[str, str] = field(default_factory=dict)
    v: int = 1
    digest: str = ""
