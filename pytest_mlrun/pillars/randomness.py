"""Pin the global random generators to a seed, and tell which state a run left them in."""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeGuard, cast

from pytest_mlrun.errors import ConfigError, MarkerError
from pytest_mlrun.pillars.facts import digest_of
from pytest_mlrun.pillars.late_imports import watch_imports

if TYPE_CHECKING:
    import numpy as np

MAX_SEED = 2**32 - 1

_DERIVATION = b"pytest-mlrun seed 1"
_SHOWN_CHARACTERS = 24
_KEYED_LIBRARIES = ("jax",)


@dataclass(frozen=True, slots=True)
class GeneratorStates:
    """The states of the global generators at one moment, by stream."""

    streams: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Library:
    """How one library's global generators are pinned, read and put back.

    Attributes:
        name: Name in a record.
        module: Module that holds the generator; pinned only where it is loaded.
        needs: What the module must have; a stand-in of the same name may lack it.
        pin: Sets the seed.
        read: Returns the states by stream.
        write: Puts one stream's state back.
        encode: Returns the canonical bytes of one stream's state.
    """

    name: str
    module: str
    needs: str
    pin: Callable[[ModuleType, int], None]
    read: Callable[[ModuleType], dict[str, object]]
    write: Callable[[ModuleType, str, object], None]
    encode: Callable[[object], bytes]


def check_seed(value: object, *, source: Literal["marker", "option"] = "marker", where: str = "") -> int:
    """Return the seed if every library takes it.

    Args:
        value: What was written as seed.
        source: Whether a marker or an option said it.
        where: Place for the message.

    Raises:
        MarkerError: If a marker's seed is not a whole number from 0 to 4294967295.
        ConfigError: If an option's is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED:
        return int(value)
    shown = repr(value)
    cut = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
    headline = f"seed: expected a whole number from 0 to {MAX_SEED}, found {cut}"
    if source == "marker":
        raise MarkerError(headline, where=where, next_step="write a number: @pytest.mark.mlrun(seed=42)")
    raise ConfigError(headline, where=where, next_step="write a number: --mlrun-seed 42")


def derive_seed(seed: int, *names: str) -> int:
    """Return a seed for one purpose of a run, such as a replicate or a fixture.

    The first four bytes, big-endian, of the SHA-256 over ``pytest-mlrun seed 1``, the seed in decimal digits and each
    name in UTF-8, every one of them written as a netstring: ``<length>:<bytes>,``.

    Args:
        seed: The run's seed.
        names: What the derived seed is for; their order counts.

    Raises:
        MarkerError: If the seed is not a whole number from 0 to 4294967295.
    """
    parts = (_DERIVATION, b"%d" % check_seed(seed), *(name.encode("utf-8", "surrogatepass") for name in names))
    content = b"".join(b"%d:%b," % (len(part), part) for part in parts)
    return int.from_bytes(hashlib.sha256(content).digest()[:4])


def pin(seed: int) -> tuple[str, ...]:
    """Set every global generator that is loaded to the seed; import nothing.

    Returns:
        The names of the libraries pinned.

    Raises:
        MarkerError: If the seed is not a whole number from 0 to 4294967295.
    """
    check_seed(seed)
    pinned: list[str] = []
    for library, module in _loaded():
        library.pin(module, seed)
        pinned.append(library.name)
    return tuple(pinned)


@contextmanager
def pinned_imports(seed: int) -> Iterator[list[str]]:
    """Pin a library to the seed at the moment it loads, while the block lasts.

    Yields:
        The names of the libraries pinned so far.

    Raises:
        MarkerError: If the seed is not a whole number from 0 to 4294967295.
    """
    check_seed(seed)
    pinned: list[str] = []

    def pin_late(library: _Library, module: ModuleType) -> None:
        if _is_usable(module, library):
            library.pin(module, seed)
            pinned.append(library.name)

    callbacks = {
        library.module: lambda module, library=library: pin_late(library, module)
        for library in _LIBRARIES
        if library.module not in sys.modules
    }
    with watch_imports(callbacks):
        yield pinned


def find_unpinnable() -> tuple[str, ...]:
    """Return the loaded libraries that have no global generator to pin: their keys must come from the run's seed."""
    return tuple(name for name in _KEYED_LIBRARIES if name in sys.modules)


def end_state() -> dict[str, str]:
    """Return a digest of each global generator's state: equal digests mean the same draws were made."""
    return {
        stream: digest_of(library.encode(state))
        for library, module in _loaded()
        for stream, state in library.read(module).items()
    }


def state_of(generator: np.random.Generator) -> str:
    """Return a digest of the state of a numpy generator that is not global."""
    return digest_of(_encode(generator.bit_generator.state))


def save() -> GeneratorStates:
    """Return the states of the global generators that are loaded."""
    return GeneratorStates(
        {stream: state for library, module in _loaded() for stream, state in library.read(module).items()}
    )


def restore(states: GeneratorStates) -> None:
    """Put saved states back; a library that was loaded later keeps its own."""
    for library, module in _loaded():
        for stream, state in states.streams.items():
            if stream.split(".", 1)[0] == library.name:
                library.write(module, stream, state)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the generators as they were: a library that loads inside the block may draw, in the first test only."""
    states = save()
    try:
        yield
    finally:
        restore(states)


def _loaded() -> Iterator[tuple[_Library, ModuleType]]:
    for library in _LIBRARIES:
        module = sys.modules.get(library.module)
        # A module that is still being imported, by another thread perhaps, is pinned when it has loaded.
        loading = getattr(getattr(module, "__spec__", None), "_initializing", False)
        if not loading and _is_usable(module, library):
            yield library, module


def _is_usable(module: object, library: _Library) -> TypeGuard[ModuleType]:
    return isinstance(module, ModuleType) and hasattr(module, library.needs)


def _encode_random(state: object) -> bytes:
    version, words, gauss = cast("tuple[int, tuple[int, ...], float | None]", state)
    return b"%d\n%b\n%b" % (version, struct.pack(f"<{len(words)}I", *words), _encode(gauss))


def _pin_numpy(module: ModuleType, seed: int) -> None:
    _use_bit_generator(module, "MT19937")
    module.seed(seed)


def _write_numpy(module: ModuleType, _stream: str, state: object) -> None:
    _use_bit_generator(module, cast("Mapping[str, str]", state)["bit_generator"])
    module.set_state(state)


def _use_bit_generator(module: ModuleType, name: str) -> None:
    # numpy.random.set_bit_generator can have put another kind behind the global functions: it cannot be re-seeded.
    if type(module.get_bit_generator()).__name__ != name:
        module.set_bit_generator(getattr(module, name)())


def _read_torch(module: ModuleType) -> dict[str, object]:
    states: dict[str, object] = {"torch": module.get_rng_state()}
    cuda = getattr(module, "cuda", None)
    # Asking before CUDA is in use would start it, which takes memory on every device.
    if cuda is not None and cuda.is_initialized():
        states |= {f"torch.cuda.{device}": state for device, state in enumerate(cuda.get_rng_state_all())}
    return states


def _write_torch(module: ModuleType, stream: str, state: object) -> None:
    if stream == "torch":
        module.set_rng_state(state)
    else:
        module.cuda.set_rng_state(state, int(stream.rpartition(".")[2]))


def _encode(value: object) -> bytes:
    """Return the canonical bytes of a state made of mappings, arrays, numbers and text."""
    if isinstance(value, Mapping):
        return b"{%b}" % b",".join(b"%b:%b" % (str(key).encode(), _encode(value[key])) for key in sorted(value))
    if isinstance(value, float):
        return value.hex().encode()
    dtype = getattr(value, "dtype", None)
    if dtype is not None and hasattr(value, "astype"):
        return bytes(value.astype(dtype.newbyteorder("<")).tobytes())
    return repr(value).encode()


# The modules that hold the generators, not the packages: "import numpy" alone does not load numpy.random.
_LIBRARIES = (
    _Library(
        "random",
        "random",
        "seed",
        pin=lambda _, seed: random.seed(seed),
        read=lambda _: {"random": random.getstate()},
        write=lambda _, __, state: random.setstate(cast("tuple[object, ...]", state)),
        encode=_encode_random,
    ),
    _Library(
        "numpy",
        "numpy.random",
        "get_bit_generator",
        pin=_pin_numpy,
        read=lambda module: {"numpy": module.get_state(legacy=False)},
        write=_write_numpy,
        encode=_encode,
    ),
    _Library(
        "torch",
        "torch",
        "manual_seed",
        pin=lambda module, seed: module.manual_seed(seed),
        read=_read_torch,
        write=_write_torch,
        encode=lambda state: bytes(state.tolist()),  # type: ignore[attr-defined]
    ),
    _Library(
        "tensorflow",
        "tensorflow",
        "random",
        pin=lambda module, seed: module.random.set_seed(seed),
        read=lambda _: {},
        write=lambda *_: None,
        encode=_encode,
    ),
)
