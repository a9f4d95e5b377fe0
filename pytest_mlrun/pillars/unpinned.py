"""Notice randomness that no seed holds: which line of the user's code drew it, and how often."""

from __future__ import annotations

import linecache
import os
import random
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final, Literal, TypeAlias

from pytest_mlrun.pillars.late_imports import watch_imports

Owner: TypeAlias = "Literal['user', 'library', 'standard', 'harness']"

_NUMPY: Final = "numpy.random"
_NUMPY_CALLS: Final = re.compile(
    r"\b(default_rng|SeedSequence|RandomState|PCG64DXSM|PCG64|MT19937|Philox|SFC64|seed)\s*\("
)
_NUMPY_PICKLE: Final = "numpy/random/_pickle.py"
_ORIGINAL: Final = "_mlrun_original"
_WATCH: Final = "_mlrun_watch"
_OPEN_MODULES: Final[Mapping[str, str]] = {
    "uuid.py": "uuid.uuid4",
    "secrets.py": "secrets",
    "random.py": "random.SystemRandom",
}
"""Modules of the standard library whose caller is who wanted randomness; all others want a name or a key."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A line that drew randomness without a seed.

    Attributes:
        path: File of the user's code.
        line: Its line.
        what: What was called there.
    """

    path: str
    line: int
    what: str


class Draws:
    """How often each line drew; many threads may draw."""

    def __init__(self) -> None:
        self._counts: dict[Draw, int] = {}
        self._lock = threading.Lock()

    def note(self, draw: Draw) -> None:
        """Count a draw."""
        with self._lock:
            self._counts[draw] = self._counts.get(draw, 0) + 1

    def counts(self) -> dict[Draw, int]:
        """Return the lines with their counts."""
        with self._lock:
            return dict(self._counts)


@contextmanager
def noticed(draws: Draws) -> Iterator[None]:
    """Count every draw without a seed by the user's code while the block lasts.

    Of numpy, generators that start from the system's entropy, also where a library makes them for the user's code; of
    the standard library, what the user's code asks for itself. Blocks may be nested: the inner one counts.

    Args:
        draws: Where they are counted.
    """
    watch = _Watch(draws)
    late = {} if _NUMPY in sys.modules else {_NUMPY: watch.replace_numpy}
    with watch_imports(late):
        try:
            watch.replace_standard()
            module = sys.modules.get(_NUMPY)
            if module is not None:
                watch.replace_numpy(module)
            yield
        finally:
            watch.end()


class _Watch:
    """The functions that one block replaced, and what it saw."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._owners: dict[str, Owner] = {}
        self._replaced: list[tuple[Any, str, object, object]] = []
        self._local = threading.local()
        # The last generator of each thread of which it is not yet known whether a seed follows.
        self._undecided: dict[int, tuple[Any, Draw | None]] = {}
        self.active = True

    # -- what is replaced ------------------------------------------------------------------------------------------

    def replace_standard(self) -> None:
        """Replace the functions of the standard library that ask the system for entropy."""
        self._replace(os, "urandom", self._urandom)
        self._replace(random, "_urandom", self._urandom)
        self._replace(random.Random, "seed", self._seed_of_method)  # noqa: S311 - nothing is drawn
        self._replace(random.Random, "setstate", self._setstate)  # noqa: S311
        self._replace(random, "seed", self._seed_of_module)

    def replace_numpy(self, module: ModuleType) -> None:
        """Replace what numpy's generators ask for entropy."""
        bit_generator, mtrand = getattr(module, "bit_generator", None), getattr(module, "mtrand", None)
        # Without both nothing tells RandomState(3) from default_rng(): better to see neither.
        if hasattr(bit_generator, "randbits") and hasattr(mtrand, "_MT19937"):
            self._replace(bit_generator, "randbits", self._randbits)
            self._replace(mtrand, "_MT19937", lambda original: _Legacy(original, self))

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        # A patch that was undone after its block may have put back a replacement of ours that is over.
        while (watch := getattr(original, _WATCH, None)) is not None and not watch.active:
            original = getattr(original, _ORIGINAL)
        ours = make(original)
        setattr(ours, _ORIGINAL, original)
        setattr(ours, _WATCH, self)
        setattr(owner, name, ours)
        self._replaced.append((owner, name, ours, original))

    def end(self) -> None:
        """Put everything back, unless somebody else has replaced it meanwhile: then it only hands through."""
        self.active = False
        for owner, name, ours, original in reversed(self._replaced):
            if vars(owner).get(name) is ours:
                setattr(owner, name, original)
        for thread in list(self._undecided):
            self.decide(thread)

    # -- what stands in its place ----------------------------------------------------------------------------------

    def _urandom(self, original: Callable[[int], bytes]) -> Callable[[int], bytes]:
        @wraps(original)
        def urandom(size: int, /) -> bytes:
            if self.watching:
                self._note(self._find_asker(_caller(), "os.urandom"))
            return original(size)

        return urandom

    def _seed_of_method(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def seed(generator: random.Random, a: Any = None, *args: Any, **kwargs: Any) -> None:
            if a is not None:
                self._absolve(generator)
            elif self.watching:
                self.suspect(generator, self._find_asker(_caller(), "random.Random"))
            with self.hidden():
                original(generator, a, *args, **kwargs)

        return seed

    def _setstate(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def setstate(generator: random.Random, state: Any) -> None:
            self._absolve(generator)
            original(generator, state)

        return setstate

    def _seed_of_module(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def seed(a: Any = None, *args: Any, **kwargs: Any) -> None:
            if a is None and self.watching:
                self._note(self._find_asker(_caller(), "random.seed"))
            with self.hidden():
                original(a, *args, **kwargs)

        return seed

    def _randbits(self, original: Callable[[int], int]) -> Callable[[int], int]:
        @wraps(original)
        def randbits(bits: int) -> int:
            if self.watching:
                self._note(self.find_numpy(_caller()))
            with self.hidden():
                return original(bits)

        return randbits

    @property
    def watching(self) -> bool:
        """Whether a call now is one that somebody made, and not one that another replaced function makes."""
        return self.active and not getattr(self._local, "hidden", False)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Let what this thread asks for in the block go unnoticed."""
        before = getattr(self._local, "hidden", False)
        self._local.hidden = True
        try:
            yield
        finally:
            self._local.hidden = before

    # -- generators that are made first and seeded then ------------------------------------------------------------

    def suspect(self, generator: Any, draw: Draw | None) -> None:
        """Remember a generator that RandomState, or unpickling, may give a seed or a state in the next moment."""
        self.decide(threading.get_ident())
        self._undecided[threading.get_ident()] = (generator, draw)

    def decide(self, thread: int) -> None:
        """Note the remembered generator of a thread if no seed followed: one of numpy still has its own entropy."""
        generator, draw = self._undecided.pop(thread, (None, None))
        if generator is not None and getattr(generator, "seed_seq", generator) is not None:
            self._note(draw)

    def _absolve(self, generator: Any) -> None:
        if self._undecided.get(threading.get_ident(), (None, None))[0] is generator:
            self._undecided.pop(threading.get_ident(), None)

    # -- whose call it is ------------------------------------------------------------------------------------------

    def _note(self, draw: Draw | None) -> None:
        if draw is not None:
            self._draws.note(draw)

    def find_numpy(self, frame: FrameType | None) -> Draw | None:
        """Return the nearest line of the user's code, below any library."""
        # Unpickling and copying make a generator and set its state at once.
        if frame is not None and frame.f_code.co_filename.endswith(_NUMPY_PICKLE):
            return None
        while frame is not None:
            owner = self._owner_of(frame.f_code.co_filename)
            if owner == "user":
                text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
                called = _NUMPY_CALLS.search(text)
                return Draw(frame.f_code.co_filename, frame.f_lineno, f"{_NUMPY}.{called[1]}" if called else _NUMPY)
            if owner == "harness":
                return None
            frame = frame.f_back
        return None

    def _find_asker(self, frame: FrameType | None, what: str) -> Draw | None:
        """Return the line that asked, if it is the user's: libraries want names for files and processes."""
        while frame is not None:
            name = frame.f_code.co_filename
            owner = self._owner_of(name)
            if owner == "user":
                return Draw(name, frame.f_lineno, what)
            if owner != "standard" or Path(name).name not in _OPEN_MODULES:
                return None
            if what == "os.urandom" or name.endswith("secrets.py"):
                what = _OPEN_MODULES[Path(name).name]
            frame = frame.f_back
        return None

    def _owner_of(self, path: str) -> Owner:
        if path not in self._owners:
            self._owners[path] = _find_owner(path)
        return self._owners[path]


class _Legacy:
    """Stands for the class MT19937 inside RandomState, whose constructor takes entropy even if it is given a seed."""

    def __init__(self, original: Any, watch: _Watch) -> None:
        self._original = original
        self._watch = watch

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._original)

    def __call__(self, *args: Any) -> Any:
        if not self._watch.watching or args:
            return self._original(*args)
        with self._watch.hidden():
            generator = self._original()
        self._watch.suspect(generator, self._watch.find_numpy(_caller()))
        return generator


def _caller() -> FrameType:
    """Return the frame that called the function which asks."""
    return sys._getframe(2)  # noqa: SLF001 - inspect.stack reads source files


def _find_owner(path: str) -> Owner:
    parts = Path(path).parts
    if path.startswith("<"):
        return "library"
    installed = "site-packages" in parts or "dist-packages" in parts
    if Path(path).is_relative_to(Path(__file__).parents[1]) or (installed and {"_pytest", "pluggy"} & set(parts)):
        return "harness"
    if installed:
        return "library"
    standard = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return "standard" if any(Path(path).is_relative_to(folder) for folder in standard) else "user"
