"""Encoders of timm that have no file in conf/backbone, as users name them: transformers, of one stride."""

import json

import pytest

from tests.support.commands import TINY, segsweep

SMALL = {
    "vit_tiny_patch16_224": ("output_stride=16", "options={embed_dim:24,depth:3,num_heads:2}"),
    "swin_tiny_patch4_window7_224": (
        "output_stride=32",
        "options={embed_dim:16,depths:[1,1,1,1],num_heads:[1,2,2,4]}",
    ),
}
"""The real architectures with fewer and narrower blocks."""
ELSE = [o for o in TINY if not o.startswith(("backbone", "head", "trainer.max_steps"))]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("vit_tiny_patch16_224", "psp"),
        pytest.param("swin_tiny_patch4_window7_224", "upernet", marks=pytest.mark.slow),
    ],
)
def test_two_steps_and_a_test(name, head, tmp_path):
    stride, options = SMALL[name]
    encoder = [f"backbone.name={name}", f"backbone.{stride}", f"++backbone.{options}"]
    segsweep("train", *ELSE, *encoder, f"head={head}", "trainer.max_steps=2", cwd=tmp_path)
    (status,) = tmp_path.glob("runs/*/status.json")
    assert json.loads(status.read_text())["state"] == "done"


def test_another_stride_is_refused_in_a_line(tmp_path):
    encoder = ("backbone.name=vit_tiny_patch16_224", "backbone.output_stride=32")
    refused = segsweep("train", *ELSE, *encoder, cwd=tmp_path, status=2).stderr
    assert "its output stride is 16 and cannot be chosen" in refused
    assert len(refused.splitlines()) == 1
