"""Take the digest of a data source as it is now, to be locked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.sources import Fetch, fetch_into, is_uri, locate
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.records.snapshot import FileEntry, Manifest


def measure_source(
    source: DataSource, root: Path, *, fetch: Fetch | None = None, progress: Callable[[FileEntry], None] | None = None
) -> Manifest:
    """Hash a data source.

    Args:
        source: The data's section in ``mlrun.toml``.
        root: Folder of ``mlrun.toml``.
        fetch: Copies what a URI names.
        progress: Called after each file.

    Returns:
        What to write into ``mlrun.lock``.

    Raises:
        DataError: It is missing, unreadable or cannot be fetched.
    """
    if not is_uri(source.source):
        return hash_source(locate(source, root), progress=progress)
    with tempfile.TemporaryDirectory(prefix="pytest-mlrun-data-") as folder:
        return hash_source(fetch_into(source, Path(folder), fetch), progress=progress)
