"""Show one run on one screen."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.registries import find_named_version, need_store
from pytest_mlrun.cli.source import DAMAGED, RunSource, note_doubtful, open_source, warn_of_damage
from pytest_mlrun.errors import ArtifactError, StoreDamagedError, StoreError
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.confusion import Confusion, evaluated_name, read_confusion
from pytest_mlrun.report.models import record_lines, version_lines, version_object
from pytest_mlrun.report.plain import json_line, plain_event, plain_json
from pytest_mlrun.report.run_screen import render_run


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun show``."""
    registered = find_named_version(args.ref, console)
    try:
        need_store(args.ref, args, console)
        source = open_source(args, console)
        record = find_run(args.ref, source, console)
    except StoreError as error:
        if registered is None or isinstance(error, StoreDamagedError):
            raise
        _write_without_run(*registered, console, as_json=args.json)
        raise
    events = source.annotations(record.run_id)
    note_doubtful([record], console)
    # What cannot be read may be a newer run of that name, or a tag that was added to this one.
    code = warn_of_damage(source, console)
    if args.json:
        extra: dict[str, Plain] = {"annotations": [plain_event(event) for event in events]}
        if registered is not None:
            extra["registered"] = version_object(*registered)
        console.write(json_line(record, extra=extra))
        return code
    if registered is not None:
        _write_version(*registered, console)
        console.write("")
    points, lost = _read_points(record, source)
    confusions, unread = _read_confusions(record, source)
    lines = render_run(
        record,
        points,
        confusions,
        events=events,
        collected=source.collected(record),
        width=console.width,
        now_us=console.now_us,
        verbose=args.verbose,
    )
    for text, markup in lines:
        console.write(text, markup)
    lost = lost or unread
    if lost is not None:
        console.write_error(lost)
        return DAMAGED
    return code


def _write_version(state: ModelState, version: ModelVersion, console: Console) -> None:
    head, *rest = version_lines(state, version, width=console.width)
    console.write(head, {"bold": True})
    console.write_all(rest)


def _write_without_run(state: ModelState, version: ModelVersion, console: Console, *, as_json: bool) -> None:
    """Write what the registry knows by itself: whoever is on call may not have the store."""
    if as_json:
        console.write(plain_json({"registered": version_object(state, version)}))
        return
    _write_version(state, version, console)
    console.write_all(record_lines(version, width=console.width))


def _read_points(record: RunRecord, source: RunSource) -> tuple[dict[str, list[float]], StoreDamagedError | None]:
    points: dict[str, list[float]] = {}
    lost: StoreDamagedError | None = None
    for name in record.series:
        try:
            points[name] = [float(value) for value in source.series(record.run_id, name).values]
        except StoreDamagedError as error:  # the rest of the screen is still true
            lost = lost or error
    return points, lost


def _read_confusions(record: RunRecord, source: RunSource) -> tuple[dict[str, Confusion], StoreDamagedError | None]:
    found: dict[str, Confusion] = {}
    lost: StoreDamagedError | None = None
    for artifact in record.artifacts:
        name = evaluated_name(artifact.name)
        if name is None:
            continue
        try:
            found[name] = read_confusion(source.read_artifact(record, artifact.name))
        except StoreDamagedError as error:  # the rest of the screen is still true
            lost = lost or error
        except (ValueError, TypeError, ArtifactError):
            # Somebody's own file under such a name, or one that was collected, or left out of an exported run.
            continue
    return found, lost
