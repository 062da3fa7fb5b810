"""What the .wandb files of a run hold already.

wandb writes its files in a process of its own, some seconds late: what was logged last before a kill is not
in them. A run that goes on reads here from which step on wandb lacks its rows.

A file is a log in blocks of 32 KiB behind a header of 7 bytes. A record is a protocol buffer, whole or in
parts, none of which crosses a block; each part has 4 bytes of checksum, 2 of length and 1 of its kind.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
PART = struct.Struct("<IHB")
NOTHING, WHOLE, LAST = 0, 1, 4  # between them first and middle parts


def last_step(folder: Path) -> int:
    """The last step that the offline files of a run folder have a row of; -1 where there is none."""
    files = folder.glob("wandb/offline-run-*/run-*.wandb")
    return max((step for file in files for step in _steps(file)), default=-1)


def _steps(file: Path) -> Iterator[int]:
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    for content in _contents(file.read_bytes()):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        try:
            record.ParseFromString(content)
        except DecodeError:
            return  # damaged, as a power cut leaves it: no reader gets further
        if record.WhichOneof("record_type") == "history":
            yield int(record.history.step.num)


def _contents(data: bytes) -> Iterator[bytes]:
    """The bytes of each whole record."""
    position, content = HEADER, b""
    while position + PART.size <= len(data):
        left = BLOCK - position % BLOCK
        _, length, kind = PART.unpack_from(data, position)
        if left < PART.size or kind == NOTHING:
            position += left
            continue
        content += data[position + PART.size : position + PART.size + length]
        position += PART.size + length
        if kind in (WHOLE, LAST) and position <= len(data):
            yield content
            content = b""
