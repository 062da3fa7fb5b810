"""Weights & Biases' offline files in a run folder, and its login. Imports no wandb unless records are read.

wandb writes its files in another process, some seconds late: they lack the last rows before a kill. A resumed
offline run reads in them which rows are missing.
"""

import netrc
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OFFLINE = "wandb/offline-run-*/run-*.wandb"
SYNCED = ".wandb.synced"
"""Suffix of the file that wandb writes beside one that it has uploaded."""


def not_synced(folder: Path) -> list[Path]:
    """Return the offline files of a run folder that were not uploaded yet, oldest first."""
    return [file for file in sorted(folder.glob(OFFLINE)) if not file.with_suffix(SYNCED).exists()]


def logged_in() -> bool:
    """Return whether the environment or the user's netrc has a wandb key, without network access."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        hosts: Sequence[str] = list(netrc.netrc(os.environ.get("NETRC")).hosts)
    except (OSError, netrc.NetrcParseError):
        return False
    server = urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname
    return any("wandb" in host or host == server for host in hosts)


BLOCK, HEADER = 32768, 7
PART = struct.Struct("<IHB")  # header of each part of a record: checksum (4 bytes), length (2), kind (1)
NOTHING, WHOLE, LAST = 0, 1, 4  # kinds of parts; 2 and 3 are first and middle parts


def last_step(folder: Path) -> int:
    """Return the last step in the offline files of a run folder; -1 if there is none."""
    files = folder.glob(OFFLINE)
    return max((step for file in files for step in _steps(file)), default=-1)


def _steps(file: Path) -> Iterator[int]:
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    for content in _records(file.read_bytes()):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        try:
            record.ParseFromString(content)
        except DecodeError:
            return  # damaged, as by a power cut: no reader gets further
        if record.WhichOneof("record_type") == "history":
            yield int(record.history.step.num)


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each whole record.

    A file is a log in blocks of 32 KiB after a header of 7 bytes. A record is a protocol buffer, whole or in
    parts, none of which crosses a block.
    """
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
