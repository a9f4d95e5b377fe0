"""Read a store by what docs/format.md says, with pyarrow and the standard library: ``python read_store.py FOLDER``."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

NAN = "7ff8000000000000"
ESCAPED = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
RUN = [
    "artifacts", "attempt", "case", "cause", "cause_detail", "context", "ended_us", "error", "experiment",
    "gates", "metrics", "name", "outcome", "params", "parent_id", "run_id", "series", "session_id",
    "started_us", "status", "tags", "test", "v",
]  # fmt: skip
ARTIFACT = [
    "digest", "media_type", "name", "role", "size_bytes", "time_us", "unsafe",
]  # fmt: skip
GATE = [
    "alpha", "at", "baseline_digest", "baseline_id", "bound", "calibrated", "claim", "decision", "estimate",
    "gate", "high", "low", "m", "margin", "mde", "method", "metric", "n", "n_eff", "p", "primary", "reason",
    "require",
]  # fmt: skip
ANNOTATION = [
    "annotation_id", "note", "run_id", "tags", "time_us", "v", "who",
]  # fmt: skip


def text_of(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return '"' + re.sub(r'["\\\x00-\x1f]', lambda at: ESCAPED.get(at[0], f"\\u{ord(at[0]):04x}"), value) + '"'


def number_of(value: float) -> str:
    return NAN if math.isnan(value) else struct.pack(">d", value).hex()


def canonical(value: Any, name: str = "") -> Any:
    if value is None:
        return ["n"]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_of(value)
    if isinstance(value, dict):
        return [[key, canonical(value[key])] for key in sorted(value, key=str.encode)]
    if name in {"artifacts", "gates"}:
        fields = ARTIFACT if name == "artifacts" else GATE
        return [[[field, canonical(item.get(field))] for field in fields] for item in value]
    return str(value)


def digest_of(kind: str, row: dict[str, Any], fields: list[str]) -> str:
    text = text_of([kind, [[field, canonical(row[field], field)] for field in fields]])
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def series_digest(points: list[tuple[int, int, float]]) -> str:
    content = b"".join(struct.pack(">qq", step, time) + bytes.fromhex(number_of(value)) for step, time, value in points)
    return f"{len(points)}:sha256:{hashlib.sha256(content).hexdigest()}"


def micros(column: pa.Array) -> list[int]:
    values: list[int] = pa.Array.from_buffers(
        pa.int64(), len(column), column.buffers(), offset=column.offset
    ).to_pylist()
    return values


def open_file(path: Path) -> pa.RecordBatchFileReader:
    content = path.read_bytes()
    reader = pa.ipc.open_file(content)
    stamp = reader.schema.metadata[b"mlrun.crc"]
    assert content.count(stamp) == 2
    assert b"%08x" % zlib.crc32(content.replace(stamp, stamp[:24] + b"00000000")) == stamp[24:], path
    return reader


def read_rows(reader: pa.RecordBatchFileReader) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for at in range(reader.num_record_batches):
        batch = reader.get_batch(at)
        columns = {name: batch.column(name).to_pylist() for name in [*RUN, "digest"] if not name.endswith("_us")}
        columns |= {name: micros(batch.column(name)) for name in ("started_us", "ended_us")}
        rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in rows:
        row |= {name: dict(row[name]) for name in ("params", "metrics", "tags", "context", "series")}
    return rows


def read_series(path: Path) -> dict[str, dict[str, list[tuple[int, int, float]]]]:
    found: dict[str, dict[str, list[tuple[int, int, float]]]] = {}
    reader = open_file(path)
    for at in range(reader.num_record_batches):
        batch = reader.get_batch(at)
        bounds, times = batch.column("time").offsets.to_pylist(), micros(batch.column("time").values)
        for row, (run_id, name, steps, values) in enumerate(
            zip(*(batch.column(name).to_pylist() for name in ("run_id", "name", "step", "value")), strict=True)
        ):
            points = found.setdefault(run_id, {}).setdefault(name, [])
            points += zip(steps, times[bounds[row] : bounds[row + 1]], values, strict=True)
    return found


def from_json(value: Any) -> Any:
    return float(value["$f"]) if isinstance(value, dict) and set(value) == {"$f"} else value


def read_log(path: Path) -> dict[str, dict[str, Any]]:
    runs: dict[str, dict[str, Any]] = {}
    live = path.with_suffix(".points").read_bytes()
    for seq, batch in enumerate(pa.ipc.open_stream(path.read_bytes())):
        event = {name: batch.column(name)[0].as_py() for name in ("seq", "kind", "run_id", "data", "points", "crc")}
        content = struct.pack("<qq", event["seq"], micros(batch.column("time"))[0])
        for part in (event["kind"].encode(), event["run_id"].encode(), event["data"].encode(), event["points"]):
            content += struct.pack("<q", len(part)) + part
        assert (event["seq"], event["crc"]) == (seq, zlib.crc32(content))
        run, data = runs.setdefault(event["run_id"], {"points": b"", "channels": {}}), json.loads(event["data"])
        match event["kind"]:
            case "start":
                run |= data | {"artifacts": [], "gates": []}
            case "finish":
                run |= data | {"ended": True}
            case "params" | "tags" | "context":
                run[event["kind"]] |= data
            case "artifact" | "gate":
                run[f"{event['kind']}s"].append({name: from_json(value) for name, value in data.items()})
            case "channels":
                run["channels"] |= {channel: name for name, channel in data.items()}
            case "points":
                run["points"] = event["points"] if data["at"] == 0 else run["points"] + event["points"]
    del runs[""]
    for run in runs.values():
        fold_points(run, run["points"] if "ended" in run else live)
    return runs


def fold_points(run: dict[str, Any], records: bytes) -> None:
    run |= {"metrics": {}, "series": {}, "curves": {}, "v": 1}
    for step, time_ns, value, flags, channel in struct.iter_unpack("<qqdII", records[: len(records) // 32 * 32]):
        if channel >> 31 and channel in run["channels"]:
            name = run["channels"][channel]
            run["metrics"][name] = value
            if not flags & 1:
                run["curves"].setdefault(name, []).append((step, time_ns // 1000, value))
    run["series"] = {name: series_digest(points) for name, points in run["curves"].items()}


def read_store(root: Path) -> dict[str, Any]:
    about = json.loads((root / "mlrun.json").read_text())
    assert about["crc"] == f"{zlib.crc32((about['format'] + ' ' + about['store_id']).encode()):08x}"
    logs = list((root / "live").glob("*.arrows"))
    segments = {path.stem: open_file(path) for path in (root / "seg").glob("*.arrow")}
    facts = {name: json.loads(reader.schema.metadata[b"mlrun"]) for name, reader in segments.items()}
    replaced = {name for one in facts.values() for name in one["replaces"]}
    runs: dict[str, dict[str, Any]] = {}
    for name in segments.keys() - replaced:
        curves = [read_series(root / "pts" / f"{part}.arrow") for part in facts[name]["pts"]]
        for row in read_rows(segments[name]):
            assert row["run_id"] not in runs
            owned = [one[row["run_id"]] for one in curves if row["run_id"] in one]
            runs[row["run_id"]] = row | {"curves": owned[0] if owned else {}}
    for path in logs:
        if f"log:{path.stem}" not in replaced:
            runs |= read_log(path)
    events = [json.loads(path.read_text()) for path in (root / "annotations").glob("*.json")]
    for event in sorted(events, key=lambda event: (event["time_us"], event["annotation_id"])):
        assert digest_of("mlrun-annotation-1", event, ANNOTATION) == event["digest"]
        runs[event["run_id"]].setdefault("added", {}).update(event["tags"])
    return {run_id: check_run(root, runs[run_id]) for run_id in sorted(runs)}


def check_run(root: Path, run: dict[str, Any]) -> dict[str, Any]:
    for name, digest in run["series"].items():
        assert series_digest(run["curves"][name]) == digest
    for artifact in run["artifacts"]:
        hexes = artifact["digest"].removeprefix("sha256:")
        content = (root / "objects" / hexes[:2] / hexes[2:]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (hexes, artifact["size_bytes"])
    told = {name: run[name] for name in ("name", "metrics", "series", "curves")} | {"tags": run["tags"]}
    told["tags"] = told["tags"] | run.get("added", {})
    if "digest" in run:
        assert digest_of("mlrun-run-1", run, RUN) == run["digest"]
        told |= {"digest": run["digest"], "status": run["status"]}
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read_store(Path(sys.argv[1])), indent=1) + "\n")
