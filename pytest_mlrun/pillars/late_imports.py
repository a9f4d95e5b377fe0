"""Call back at the moment a library finishes loading."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Callback = Callable[[ModuleType], None]


@contextmanager
def watch_imports(callbacks: Mapping[str, Callback]) -> Iterator[None]:
    """Call ``callbacks[name]`` with each module that loads inside the block, as soon as its body has run.

    A module that was loaded before is not called for, nor is one whose body raises. Blocks may be nested: the inner
    one's callback comes last. In whatever thread the import happens, there the callback runs, before the import
    statement returns.

    Args:
        callbacks: Full module name to function.
    """
    finder = _Finder(callbacks)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.active = False
        # Somebody may have replaced the list: by identity, for equality is theirs to define.
        sys.meta_path[:] = [other for other in sys.meta_path if other is not finder]


class _Finder(MetaPathFinder):
    """Find watched modules with the other finders, and wrap their loaders."""

    def __init__(self, callbacks: Mapping[str, Callback]) -> None:
        self._callbacks = callbacks
        self.active = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the finders after this one give, with a loader that calls back."""
        # A target means importlib.reload: the library has been loaded before.
        if not self.active or fullname not in self._callbacks or target is not None:
            return None
        finders = sys.meta_path
        after = finders.index(self) + 1 if self in finders else 0
        for finder in finders[after:]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, None) if find else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _CallingLoader(spec.loader, self._call)
                return spec
        return None

    def _call(self, module: ModuleType) -> None:
        # Another thread's import may finish after the block has been left.
        if self.active:
            self._callbacks[module.__name__](module)


class _CallingLoader(Loader):
    """Load a module with its own loader, put that loader back in its place, then call back."""

    def __init__(self, loader: Loader, callback: Callback) -> None:
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the module's own loader create it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's body and call back."""
        # importlib.resources, inspect and the library itself ask the loader for files: they must see the real one.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._callback(module)
