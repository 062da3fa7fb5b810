"""Run the examples of docs/api.md as their readers would: in a folder with a trained run and an image."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from segsweep.config.groups import root

RUN = "3f9c2a"
"""The run that the page speaks of."""
RUNNER = """
import json, shlex, sys
from segsweep.cli import run
for language, block in json.load(sys.stdin):
    try:
        if language == "sh":
            assert run(shlex.split(block)[1:]) == 0
        else:
            exec(compile(block, "block", "exec"), {"__name__": "__main__"})
    except BaseException:
        sys.exit(f"{block}\\n{__import__('traceback').format_exc()}")
"""


def blocks() -> list[tuple[str, str]]:
    """The blocks of the page: their languages and texts."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (root() / "docs" / "api.md").read_text(), re.M | re.S)


def furnish(folder: Path, run: Path) -> None:
    """Put what the page speaks of into a folder: a trained run under its name there, and an image."""
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / RUN).symlink_to(run)
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    Image.fromarray(image).save(folder / "street.png")


def run_examples(python: Path, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run each block of the page by itself, all in one process, as importing torch takes long."""
    return subprocess.run(
        [python, "-W", "error", "-c", RUNNER],
        input=json.dumps(blocks()),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
