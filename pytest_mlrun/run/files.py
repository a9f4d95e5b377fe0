"""Turn what a test logs into files: JSON, text, tables, figures, models."""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.rules.arguments import show

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.run import Artifact

TABLE_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.file",
    ".csv": "text/csv",
    ".json": "application/json",
}


def add_path(recording: Recording, given: str | os.PathLike[str], name: str | None, *, link: bool = False) -> None:
    """Store a file, or every file of a folder.

    Raises:
        ArtifactError: If it is no path, there is no such file, or the folder is empty.
    """
    place: object = given
    if not isinstance(place, (str, os.PathLike)):
        raise ArtifactError(
            f"log_artifact takes the path of a file, found {show(place)}",
            next_step='write mlrun.log_artifact("plots/roc.png"); a text goes to log_text, a mapping to log_dict',
        )
    path = Path(given)
    name = _read_name(name or path.name, "log_artifact(path, name)")
    if path.is_file():
        recording.add_file(name, path, media_type=_media_type(name), role="artifact", link=link)
        return
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        found = "an empty folder" if path.is_dir() else "no such file"
        raise ArtifactError(
            f"artifact {name!r}: {found}", where=str(path), next_step="write the file before logging it"
        )
    for file in files:
        inner = f"{name}/{file.relative_to(path).as_posix()}"
        recording.add_file(inner, file, media_type=_media_type(inner), role="artifact", link=link)


def add_dict(recording: Recording, value: Mapping[str, object] | list[object], name: str) -> Artifact:
    """Store a dictionary or list as JSON.

    Raises:
        ArtifactError: If JSON has no form for a value.
    """
    name = _read_name(name, "log_dict({…}, name)")
    if not isinstance(value, (Mapping, list)):
        raise ArtifactError(
            f"log_dict takes a mapping or a list, found {show(value)}",
            next_step='write mlrun.log_dict({"a": 1}, "a.json"); a text goes to log_text',
        )
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"artifact {name!r} has no JSON form: {error}",
            where=f"log_dict of run {recording.plan.name}",
            next_step="convert the value first; a table goes to log_table",
        ) from None
    return recording.add_bytes(name, text.encode(), media_type="application/json", role="artifact")


def add_text(recording: Recording, text: str, name: str) -> Artifact:
    """Store text as UTF-8.

    Raises:
        ArtifactError: If it is not text.
    """
    name = _read_name(name, "log_text(text, name)")
    if not isinstance(text, str):
        raise ArtifactError(
            f"log_text takes text, found {show(text)}",
            next_step="write mlrun.log_text(str(value), name); a mapping goes to log_dict, a file to log_artifact",
        )
    media_type = _media_type(name) if PurePosixPath(name).suffix else "text/plain"
    return recording.add_bytes(name, text.encode("utf-8", "backslashreplace"), media_type=media_type, role="artifact")


def add_table(recording: Recording, table: object, name: str) -> Artifact:
    """Store a table in the format that the name's suffix says.

    Raises:
        ArtifactError: If the suffix is not one of a table, or the object is not a table.
    """
    from pytest_mlrun.store.encoding import encode_table

    name = _read_name(name, "log_table(table, name)")
    suffix = PurePosixPath(name).suffix
    if suffix not in TABLE_TYPES:
        raise ArtifactError(
            f"table {name!r} needs a suffix that says its format",
            where=f"log_table of run {recording.plan.name}",
            next_step=f"end the name in {', '.join(TABLE_TYPES)}",
        )
    content = encode_table(table, suffix.removeprefix("."))
    return recording.add_bytes(name, content, media_type=TABLE_TYPES[suffix], role="table")


def add_figure(recording: Recording, figure: object, name: str) -> Artifact:
    """Store a figure in the format that the name's suffix says."""
    from pytest_mlrun.integrations.matplotlib import render_figure

    name = _read_name(name, "log_figure(figure, name)")
    suffix = PurePosixPath(name).suffix or ".png"
    name = name if PurePosixPath(name).suffix else f"{name}{suffix}"
    return recording.add_bytes(
        name, render_figure(figure, suffix.removeprefix(".")), media_type=_media_type(name), role="figure"
    )


def add_model(recording: Recording, model: object, name: str) -> Artifact:
    """Store a model in its framework's own or a safe format; a pickle is labelled ``unsafe``."""
    from pytest_mlrun.integrations.models import encode_model

    name = _read_name(name, "log_model(model, name)")
    if model is None:
        raise ArtifactError(
            "log_model takes a fitted model, found None",
            next_step="pass the estimator; many functions that train change it and return nothing",
        )
    encoded = encode_model(model)
    form = encoded.format
    name = name if name.endswith(form.suffix) else f"{name}{form.suffix}"
    artifact = recording.add_bytes(name, encoded.content, media_type=form.media_type, role="model", unsafe=form.unsafe)
    recording.write_context({f"model.{artifact.name}": encoded.facts()})
    return artifact


def _read_name(name: object, call: str) -> str:
    if not isinstance(name, str):
        raise ArtifactError(
            f"the name of an artifact must be text, found {show(name)}", next_step=f"write mlrun.{call}"
        )
    return name


def _media_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return TABLE_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _plain(value: object) -> object:
    # numpy scalars and arrays, the values people log most, have both; everything else is refused by name.
    for conversion in ("tolist", "item"):
        method = getattr(value, conversion, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is not JSON")
