"""Take objects aside, bring them back, or let them go for good."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pytest_mlrun.store.files import Steps, remove, sync_folder, writing
from pytest_mlrun.store.objects import Objects, digest_of_name


class Trash:
    """``trash/`` of a store: objects that a collection took aside and has not decided about.

    Args:
        root: The store's folder.
        objects: The objects of the same store.
        steps: Named instants.
    """

    def __init__(self, root: Path, objects: Objects, *, steps: Steps) -> None:
        self._folder = root / "trash"
        self._objects = objects
        self._steps = steps

    def __iter__(self) -> Iterator[str]:
        """Yield the digests of what is aside, sorted; what a killed collection left included."""
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208 - names are all that is needed
        except FileNotFoundError:
            return
        for name in names:
            digest = digest_of_name(name)
            if digest is not None:
                yield digest

    def take(self, digest: str) -> None:
        """Take an object aside; a reader still finds it.

        Args:
            digest: The object.

        Raises:
            StoreWriteError: The operating system refused.
        """
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
            self._objects.path(digest).replace(self._path(digest))
        self._steps.reach("gc.taken")

    def bring_back(self, digests: Iterable[str]) -> None:
        """Make objects again of what is aside, durably; where an equal one was stored meanwhile, that one stays.

        Args:
            digests: What is wanted after all.

        Raises:
            StoreWriteError: The operating system refused.
        """
        wanted = list(digests)
        for digest in wanted:
            target = self._objects.path(digest)
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):  # a writer missed it, and wrote it anew
                    target.hardlink_to(self._path(digest))
                sync_folder(target.parent)
            self._steps.reach("gc.brought-back")
        # Only now: a power loss may forget a new name and remember that the old one is gone.
        for digest in wanted:
            self.let_go(digest)

    def let_go(self, digest: str) -> None:
        """Delete what is aside.

        Args:
            digest: The object.

        Raises:
            StoreWriteError: The operating system refused.
        """
        remove(self._path(digest))
        self._steps.reach("gc.let-go")

    def _path(self, digest: str) -> Path:
        return self._objects.path_aside(digest)
