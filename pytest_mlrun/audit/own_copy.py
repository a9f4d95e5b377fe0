"""Put the auditor's own pytest-mlrun into an environment, where the recorded version cannot be had."""

from __future__ import annotations

import base64
import hashlib
import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest_mlrun

_NAME: Final = "pytest-mlrun"


def own_version() -> str:
    """Return the version of the plugin that audits."""
    return pytest_mlrun.__version__


def install_own_copy(site: Path) -> None:
    """Copy the plugin as an installer would lay it out: files, entry points, and what its files must be.

    Args:
        site: A ``site-packages`` folder.
    """
    package = Path(pytest_mlrun.__file__).parent
    shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    about = site / f"pytest_mlrun-{own_version()}.dist-info"
    about.mkdir()
    known = distribution(_NAME)
    for name in ("METADATA", "entry_points.txt", "WHEEL"):
        text = known.read_text(name)
        if text is not None:
            (about / name).write_text(text, encoding="utf-8")
    files = [path for place in (site / package.name, about) for path in sorted(place.rglob("*")) if path.is_file()]
    lines = [f"{path.relative_to(site).as_posix()},sha256={_hash(path)},{path.stat().st_size}" for path in files]
    lines.append(f"{about.name}/RECORD,,")
    (about / "RECORD").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _hash(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode("ascii").rstrip("=")
