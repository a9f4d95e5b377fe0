"""Say how far apart the environments of two runs are, and what put them there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_mlrun.records.reproduction import Level
from pytest_mlrun.rules.environment_facts import Fact, list_facts, list_packages

Document = Mapping[str, object]

_NO_ARITHMETIC = frozenset({"pip", "pytest-mlrun", "setuptools", "uv", "wheel"})
"""Distributions that take part in no number: another version is told, and sets nobody apart."""
_KERNELS = (
    *("variables.OPENBLAS_CORETYPE", "variables.MKL_CBWR", "variables.MKL_ENABLE_INSTRUCTIONS"),
    *("variables.ATEN_CPU_CAPABILITY", "variables.ONEDNN_", "variables.DNNL_", "variables.NPY_DISABLE_CPU_FEATURES"),
    *("variables.GLIBC_TUNABLES", "variables.MKL_DEBUG_CPU_TYPE", "variables.BLIS_ARCH_TYPE"),
    *("cpu.model", "cpu.architecture", "cpu.flags", "system.libc", "system.platform", "numpy.simd"),
    *("torch.cpu_capability", "torch.config", "python.build", "python.compiler"),
)
_OTHER_SYSTEM = (
    *("python.version", "python.implementation", "python.abi", "python.gil", "system.os", "system.byte_order"),
    *("torch.version", "torch.git_version", "torch.cuda", "torch.devices", "numpy.version"),
    *("image_digest", "variables.CUDA_VISIBLE_DEVICES", "variables.TF_ENABLE_ONEDNN_OPTS", "variables.XLA_FLAGS"),
)
_SAME_NUMBERS = (
    *("lock ", "variables.LC_", "variables.LANG", "variables.TZ"),
    *("variables.PYTHON",),
)
"""What the packages and the code say better, and what formats text."""
_OF_REPLAYS = frozenset({"variables.PYTHONNOUSERSITE", "python.flags.no_user_site", "python.flags.utf8_mode"})
"""What every replay sets for itself; and UTF-8 mode, which Python chooses by the locale that it was started under."""
_LEVELS: tuple[Level, ...] = ("L0", "L1", "L2", "L3")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Capture:
    """What a run's record says about its environment.

    Attributes:
        context: The run's context: dotted name to JSON text.
        document: Its ``environment.json``; None where it cannot be read.
    """

    context: Mapping[str, str]
    document: Document | None


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two environments are.

    Attributes:
        level: ``L0`` same in all that decides bits; ``L1`` other threads; ``L2`` another processor, kernel or C library
            under the same packages; ``L3`` another package, Python or system.
        reasons: What put them there: the differences of that level.
        lesser: Differences that alone would have set them less far apart, or not at all.
    """

    level: Level
    reasons: tuple[str, ...]
    lesser: tuple[str, ...] = ()


def environment_distance(recorded: Capture, replayed: Capture) -> Distance:
    """Compare the environments of a recorded run and of its replay.

    Args:
        recorded: What the record says.
        replayed: What the record of the replay says.
    """
    if recorded.document is None or replayed.document is None:
        which = "recorded run" if recorded.document is None else "replay"
        return Distance("L3", (f"the environment of the {which} cannot be read",))
    found: dict[Level | None, list[str]] = {}
    for reached, sentence in _differences(recorded, replayed):
        found.setdefault(reached, []).append(sentence)
    level: Level = next((step for step in reversed(_LEVELS) if step in found), "L0")
    lesser = [sentence for key in (*_LEVELS, None) if key != level for sentence in found.get(key, ())]
    return Distance(level, tuple(found.get(level, ())), tuple(lesser))


def uses_float32_nets(capture: Capture) -> bool:
    """Return whether a library was loaded whose nets compute in single precision, where small errors grow."""
    numerics = (capture.document or {}).get("numerics")
    torch = numerics.get("torch") if isinstance(numerics, Mapping) else None
    pinned = json.loads(capture.context.get("rand.pinned", "[]"))
    keyed = json.loads(capture.context.get("rand.unpinned", "[]"))
    return (
        bool(torch)
        or any(key.startswith("rand.end.torch") for key in capture.context)
        or (not {"torch", "tensorflow", "jax"}.isdisjoint([*pinned, *keyed]))
    )


def _differences(recorded: Capture, replayed: Capture) -> Iterator[tuple[Level | None, str]]:
    documents = [dict(recorded.document or {}), dict(replayed.document or {})]
    packages, facts = list_packages(documents), list_facts(documents)
    for name, values in _unequal(packages):
        yield None if name in _NO_ARITHMETIC else "L3", _sentence(name, values)
    for name, values in _unequal(facts):
        if name in _OF_REPLAYS:
            continue
        yield _level_of(name, values), _sentence(name, values)


def _unequal(sides: list[dict[str, Fact]]) -> Iterator[tuple[str, list[Fact]]]:
    for name in sorted(sides[0].keys() | sides[1].keys()):
        values = [side.get(name) for side in sides]
        if values[0] != values[1]:
            yield name, values


def _level_of(name: str, values: list[Fact]) -> Level | None:
    if name.startswith(_SAME_NUMBERS):
        return None
    if name.startswith(_OTHER_SYSTEM):
        return "L3"
    if name.startswith(_KERNELS):
        return "L2"
    return _level_of_pool(values) if name.startswith(("blas ", "openmp ")) else "L1"


def _level_of_pool(values: list[Fact]) -> Level:
    """Tell a pool's kernel from its threads: the line of a pool ends in their number."""
    kernels = {str(value).rsplit(" ", 2)[0] for value in values}
    return "L1" if len(kernels) == 1 else "L2"


def _sentence(name: str, values: list[Fact]) -> str:
    recorded, replayed = (_show(value) for value in values)
    return f"{name.removeprefix('variables.')}: {recorded} → {replayed}"


def _show(value: Fact) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
