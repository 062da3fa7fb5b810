"""wandb's own files, written offline by a real run and read back record by record."""

import json
import struct

from wandb.proto import wandb_internal_pb2 as pb

from segsweep.training.trackers import logged_in
from tests.runs.commands import TINY, segsweep


def records(path, block=32768):
    """The records of a .wandb file: a log of blocks, each record whole, first, middle or last part."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
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


def read(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_a_sweep_in_wandb(tmp_path):
    options = (
        "logger=wandb",
        "logger.mode=offline",
        "logger.pictures=1",
        "trainer.val_every=2",
        "sweep=mine",
    )
    segsweep("train", "-m", *TINY, *options, "seed=0", "test=[]", cwd=tmp_path)
    (run,) = (plan.parent for plan in tmp_path.glob("runs/*/plan.json"))
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    found = {}
    for record in records(file):
        found.setdefault(record.WhichOneof("record_type"), []).append(record)
    (started,) = [record.run for record in found["run"]][-1:]
    assert (started.run_id, started.run_group, started.job_type) == (run.name, "mine", "train")
    assert {"backbone=mobilenetv3_small", "head=aspp", "dataset=shapes"} <= set(started.tags)
    history = [read(record.history.item) for record in found["history"]]
    assert [row["step"] for row in history if "loss" in row] == [1, 2, 3, 4]
    assert [row["step"] for row in history if "val_miou" in row] == [2, 4]
    assert any(key.startswith("iou/") for row in history for key in row)
    summary = {}
    for record in found["summary"]:
        summary |= read(record.summary.update)
    status = json.loads((run / "status.json").read_text())
    assert summary["best_val_miou"] == status["best_miou"]
    assert summary["params"] == status["params"]
    assert "exit" in found
    media = run / "wandb" / file.parent.name / "files" / "media" / "images"
    assert len(list(media.glob("validation/*.png"))) == 2
    assert len(list(media.glob("mask/validation/*.mask.png"))) == 4
    assert (run / "metrics.csv").exists()


def test_a_login_is_looked_for_without_the_network(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not logged_in()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password 0123\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert logged_in()
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert logged_in()
