"""Decide since when a model version has not been used."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from pytest_mlrun.records.event import ModelState


def unused_since_us(state: ModelState, version: int, *, guarded: AbstractSet[str]) -> int | None:
    """Return when a version was registered or last lost an alias; None if it is evidence for ever, or in use.

    For ever is what held a guarded alias: one whose policy asked something of it when it was promoted, or asks now.

    Args:
        state: What the model's events say.
        version: Number of the version.
        guarded: Aliases whose policy asks something now.
    """
    asked = {event.number for event in state.events if _asks(event.body.get("policy"))}
    served = {endpoint.version for endpoint in state.endpoints.values()}
    since_us = state.versions[version].registered_us
    for tenure in state.tenures:
        if tenure.version == version:
            if tenure.until_us is None or tenure.alias in guarded or tenure.number in asked:
                return None
            since_us = max(since_us, tenure.until_us)
    return None if version in served else since_us


def _asks(policy: object) -> bool:
    # What a later release may ask counts too; archiving is what happens to another version.
    return isinstance(policy, Mapping) and any(wanted for name, wanted in policy.items() if name != "archives")
