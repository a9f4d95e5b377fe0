"""Say how far two environments are apart, and so how far two results may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_mlrun.rules.environment_facts import Fact, list_facts

_OWN: Final = "pytest-mlrun"
_NEAR: Final = frozenset({"cpu.cores", "cpu.usable_cores"})
# Decide nothing of a result: how the interpreter was built is told by its version and the machine.
_IGNORED: Final = (
    "variables.",
    "python.flags.no_user_site",
    "python.flags.safe_path",
    "python.build",
    "python.compiler",
    "python.abi_flags",
    "lock ",
    "image_digest",
)
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "L0": (1e-9, 1e-9),
    "L1": (1e-9, 1e-3),
    "L2": (1e-6, 1e-2),
    "L3": (2e-2, 2e-2),
}
_ABSOLUTE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two environments are apart.

    Attributes:
        level: ``L0`` (the same), ``L1`` (other threads), ``L2`` (another processor), ``L3`` (other software).
        reasons: What differs at that level.
        single: Whether single precision is computed with, by torch.
    """

    level: str
    reasons: tuple[str, ...]
    single: bool

    @property
    def relative(self) -> float:
        """Relative difference that is allowed."""
        return _LIMITS[self.level][self.single]

    @property
    def source(self) -> str:
        """Where the tolerance comes from."""
        return f"default of {self.level}{', single precision' if self.single and self.level != 'L3' else ''}"


def measure_distance(recorded: Mapping[str, object], replayed: Mapping[str, object]) -> Distance:
    """Compare two environments.

    Args:
        recorded: The ``environment.json`` of the record.
        replayed: That of the replay.
    """
    reasons = {"L3": list(_compare_packages(recorded, replayed)), "L2": [], "L1": []}
    before, after = list_facts([recorded, replayed])
    for name in sorted(before.keys() | after.keys()):
        if name.startswith(_IGNORED) or before.get(name) == after.get(name):
            continue
        level = _level_of(name, before.get(name), after.get(name))
        reasons[level].append(f"{name}: {_show(before.get(name))} → {_show(after.get(name))}")
    single = any(_has_torch(document) for document in (recorded, replayed))
    for level in ("L3", "L2", "L1"):
        if reasons[level]:
            return Distance(level, tuple(reasons[level]), single)
    return Distance("L0", ("same packages, interpreter, processor and threads",), single)


def allow(distance: Distance, recorded: float, *, rows: int | None) -> float:
    """Return the difference that is allowed for a metric.

    Args:
        distance: How far the environments are apart.
        recorded: The recorded value.
        rows: Number of rows, for a metric that counts them: two may fall to the other side.
    """
    allowed = max(_ABSOLUTE, distance.relative * abs(recorded))
    flips = 0 if distance.level == "L0" or (distance.level == "L1" and not distance.single) else 2
    return max(allowed, flips / rows) if rows else allowed


def _level_of(name: str, before: Fact, after: Fact) -> str:
    if name in _NEAR:
        return "L1"
    if name.startswith("cpu.") or name in {"system.libc", "system.platform"}:
        return "L2"
    if " threads" in f"{before}" and " threads" in f"{after}":
        return "L1" if f"{before}".rsplit(" ", 2)[0] == f"{after}".rsplit(" ", 2)[0] else "L2"
    return "L3" if name.startswith(("python.", "system.")) else "L2"


def _compare_packages(recorded: Mapping[str, object], replayed: Mapping[str, object]) -> Iterator[str]:
    before, after = dict(_packages(recorded)), dict(_packages(replayed))
    for name in sorted(before.keys() | after.keys()):
        told, found = before.get(name), after.get(name)
        if told is None or found is None:
            yield f"{name}: {'not there' if told is None else told[0]} → {'not there' if found is None else found[0]}"
        elif told[0] != found[0]:
            yield f"{name}: {told[0]} → {found[0]}"
        elif told[1] and found[1] and told[1] != found[1]:
            yield f"{name} {told[0]}: other files"


def _packages(document: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, str]]]:
    packages = document.get("distributions")
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, dict) and package.get("name") != _OWN:
            built_here = "url" in package and "commit" not in package
            record = "" if built_here else str(package.get("record") or "")
            yield str(package.get("name")), (str(package.get("version")), record)


def _has_torch(document: Mapping[str, object]) -> bool:
    numerics = document.get("numerics")
    return isinstance(numerics, dict) and numerics.get("torch") is not None


def _show(fact: Fact) -> str:
    return "unknown" if fact is None else f"{fact!s:.40}"
