"""Describe what was said about a run after it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Annotation:
    """One event: tags and a note that somebody added to a run, whose own row never changes.

    Attributes:
        annotation_id: UUIDv7, 36 characters, lower case.
        run_id: The run.
        time_us: Microseconds since the epoch, UTC.
        who: Such as ``ada@laptop``.
        note: Why, in a sentence; may be empty.
        tags: Name to text. Of several events with one name the last counts, by time and then by id.
        v: Version of the record's form.
        digest: ``sha256:<hex>`` over the canonical form of every other field.
    """

    annotation_id: str
    run_id: str
    time_us: int
    who: str
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    v: int = 1
    digest: str = ""
