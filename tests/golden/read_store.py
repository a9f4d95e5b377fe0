"""Read a store by what docs/format.md says, with pyarrow and the standard library: ``python read_store.py FOLDER``."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

RUN = [
    "artifacts", "attempt", "case", "cause", "cause_detail", "context", "ended_us", "error", "experiment",
    "gates", "metrics", "name", "outcome", "params", "parent_id", "run_id", "series", "session_id",
    "started_us", "status", "tags", "test", "v",
]  # fmt: skip
ARTIFACT = ["digest", "media_type", "name", "role", "size_bytes", "time_us", "unsafe"]
GATE = [
    "alpha", "at", "baseline_digest", "baseline_id", "bound", "calibrated", "claim", "decision", "estimate",
    "gate", "high", "low", "m", "margin", "mde", "method", "metric", "n", "n_eff", "p", "primary", "reason",
    "require",
]  # fmt: skip
ANNOTATION = ["annotation_id", "note", "run_id", "tags", "time_us", "v", "who"]
Row = dict[str, Any]


def number_of(value: float) -> bytes:
    return struct.pack(">Q", 0x7FF8 << 48) if math.isnan(value) else struct.pack(">d", value)


def canonical(value: Any, name: str = "") -> Any:
    match value:
        case None:
            return ["n"]
        case bool():
            return "true" if value else "false"
        case float():
            return number_of(value).hex()
        case dict():
            return [[key, canonical(value[key])] for key in sorted(value, key=str.encode)]
        case list():
            fields = ARTIFACT if name == "artifacts" else GATE
            return [[[field, canonical(item.get(field))] for field in fields] for item in value]
    return str(value)


def digest_of(kind: str, row: Row, fields: list[str]) -> str:
    content = [kind, [[field, canonical(row[field], field)] for field in fields]]
    return sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def series_digest(points: list[tuple[int, int, float]]) -> str:
    content = b"".join(struct.pack(">qq", step, time) + number_of(value) for step, time, value in points)
    return f"{len(points)}:{sha256(content)}"


def open_file(path: Path) -> pa.RecordBatchFileReader:
    content = path.read_bytes()
    reader = pa.ipc.open_file(content)
    stamp = reader.schema.metadata[b"mlrun.crc"]
    assert content.count(stamp) == 2
    assert b"%08x" % zlib.crc32(content.replace(stamp, stamp[:24] + b"00000000")) == stamp[24:], path
    return reader


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    columns = [column.cast(as_number(column.type)).to_pylist() for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def as_number(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        return pa.list_(pa.int64())
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def read_series(path: Path) -> dict[tuple[str, str], list[tuple[int, int, float]]]:
    found: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    reader = open_file(path)
    for row in (row for at in range(reader.num_record_batches) for row in rows_of(reader.get_batch(at))):
        points = found.setdefault((row["run_id"], row["name"]), [])
        points += zip(row["step"], row["time"], row["value"], strict=True)  # part by part
    return found


def read_segment(root: Path, reader: pa.RecordBatchFileReader, series: list[str]) -> dict[str, Row]:
    curves = {key: points for part in series for key, points in read_series(root / "pts" / f"{part}.arrow").items()}
    rows = [row for at in range(reader.num_record_batches) for row in rows_of(reader.get_batch(at))]
    for row in rows:
        row |= {name: dict(row[name]) for name in ("params", "metrics", "tags", "context", "series")}
        row["curves"] = {name: curves[row["run_id"], name] for name in row["series"]}
    return {row["run_id"]: row for row in rows}


def read_log(path: Path) -> dict[str, Row]:
    runs: dict[str, Row] = {}
    live = path.with_suffix(".points").read_bytes()
    for seq, batch in enumerate(pa.ipc.open_stream(path.read_bytes())):
        (event,) = rows_of(batch)
        content = struct.pack("<qq", event["seq"], event["time"])
        for part in (event["kind"].encode(), event["run_id"].encode(), event["data"].encode(), event["points"]):
            content += struct.pack("<q", len(part)) + part
        assert (event["seq"], event["crc"]) == (seq, zlib.crc32(content))
        run = runs.setdefault(event["run_id"], {"points": b"", "channels": {}})
        data = json.loads(event["data"], object_hook=lambda data: float(data["$f"]) if set(data) == {"$f"} else data)
        fold_event(run, event["kind"], data, event["points"])
    runs.pop("", None)
    for run in runs.values():
        fold_points(run, run["points"] if "ended" in run else live)
    return runs


def fold_event(run: Row, kind: str, data: Row, points: bytes) -> None:
    match kind:
        case "start":
            run |= data | {"artifacts": [], "gates": [], "v": 1}
        case "finish":
            run |= data | {"ended": True}
        case "params" | "tags" | "context":
            run[kind] |= data
        case "artifact" | "gate":
            run[f"{kind}s"].append(data)
        case "drop":
            run["artifacts"] = [artifact for artifact in run["artifacts"] if artifact["name"] != data["name"]]
        case "channels":
            run["channels"] |= {channel: name for name, channel in data.items()}
        case "points":
            run["points"] = (run["points"] if data["at"] else b"") + points


def fold_points(run: Row, records: bytes) -> None:
    run |= {"metrics": {}, "curves": {}}
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
    parts = [read_segment(root, segments[name], facts[name]["pts"]) for name in segments.keys() - replaced]
    parts += [read_log(path) for path in logs if f"log:{path.stem}" not in replaced]
    runs = {run_id: run for part in parts for run_id, run in part.items()}
    assert len(runs) == sum(map(len, parts)), "a run is there twice"
    events = [json.loads(path.read_text()) for path in (root / "annotations").glob("*.json")]
    for event in sorted(events, key=lambda event: (event["time_us"], event["annotation_id"])):
        assert digest_of("mlrun-annotation-1", event, ANNOTATION) == event["digest"]
        runs[event["run_id"]].setdefault("added", {}).update(event["tags"])
    return {run_id: check_run(root, runs[run_id]) for run_id in sorted(runs)}


def check_run(root: Path, run: Row) -> Row:
    for name, digest in run["series"].items():
        assert series_digest(run["curves"][name]) == digest
    for artifact in run["artifacts"]:
        hexes = artifact["digest"].removeprefix("sha256:")
        content = (root / "objects" / hexes[:2] / hexes[2:]).read_bytes()
        assert (sha256(content), len(content)) == (artifact["digest"], artifact["size_bytes"])
    told = {name: run[name] for name in ("name", "metrics", "series", "curves")}
    if "digest" in run:
        assert digest_of("mlrun-run-1", run, RUN) == run["digest"]
        told |= {"digest": run["digest"], "status": run["status"]}
    return told | {"tags": run["tags"] | run.get("added", {})}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read_store(Path(sys.argv[1])), indent=1) + "\n")
