"""What a person sees in a terminal: a bar over the training with its figures, and one over the test."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from tests.support.commands import TINY, command, environment


def on_a_terminal(*arguments: str, cwd) -> str:
    """Everything a command writes to a terminal of 40 rows and 160 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    process = subprocess.Popen(command(*arguments), cwd=cwd, env=environment(), stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # the terminal's other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, seen.decode()
    return seen.decode()


def test_the_bar_shows_the_whole_run(tmp_path):
    seen = on_a_terminal("train", *TINY, "trainer.max_steps=8", "trainer.precision=bf16-mixed", cwd=tmp_path)
    last = [part for part in seen.split("\r") if part.startswith("train:") and " 8/8 " in part][-1]
    assert all(word in last for word in ("100%", "loss=", "lr=", "images/s=", "val mIoU=", "<"))
    assert "step 8/8" not in seen
    assert re.search(r"test\S* .*━.*3/3", seen), "and one over the test"
    assert "step 8/8" in next(tmp_path.glob("runs/*/log.txt")).read_text()
