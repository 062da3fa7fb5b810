"""wandb's own files read back record by record, as wandb writes them offline."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb


def records(path: Path, block: int = 32768) -> Iterator[Any]:
    """The records of a .wandb file: a log of blocks, each record whole, first, middle or last part."""
    data = path.read_bytes()
    assert data[:4] in (b":W&B", b"")
    position, part = 7, b""
    while position + 7 <= len(data):
        left = block - position % block
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            position += left
            continue
        part += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            record = pb.Record()
            record.ParseFromString(part)
            part = b""
            yield record


def read(items: Any) -> dict[str, Any]:
    """A record's items as plain values."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def found(run: Path) -> dict[str, list[Any]]:
    """All records of a run folder's offline files by kind, the oldest file first."""
    by_kind: dict[str, list[Any]] = {}
    for file in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        for record in records(file):
            by_kind.setdefault(record.WhichOneof("record_type"), []).append(record)
    return by_kind


def history(run: Path) -> list[dict[str, Any]]:
    """The rows that wandb was told, in order."""
    return [read(record.history.item) for record in found(run).get("history", [])]


def summary(run: Path) -> dict[str, Any]:
    """The summary as the last file leaves it."""
    values: dict[str, Any] = {}
    for record in found(run)["summary"]:
        values |= read(record.summary.update)
    return values


def config(run: Path) -> dict[str, Any]:
    """The configuration as the last file begins with it."""
    return read(found(run)["run"][-1].run.config.update)


def artifacts(run: Path, kind: str) -> list[Any]:
    """The artifacts of a kind, in order."""
    return [record.artifact for record in found(run).get("artifact", ()) if record.artifact.type == kind]


def tables(run: Path) -> dict[str, dict[str, Any]]:
    """The last table under each key, as it is kept for upload; its images are checked to be there."""
    last = {}
    for artifact in artifacts(run, "run_table"):
        files = {content.path: Path(content.local_path) for content in artifact.manifest.contents}
        assert all(file.is_relative_to(run) and file.exists() for file in files.values())
        ((key, file),) = ((key, file) for key, file in files.items() if key.endswith(".table.json"))
        last[key.removesuffix(".table.json")] = json.loads(file.read_text())
    return last
