"""Commands that repair files, as messages show them."""

import sys
from shlex import join


def python(code: str, *files: str) -> str:
    """Return a command that runs a line of Python with Pillow on files, its `f[0]`, `f[1]`…"""
    return join(
        [
            sys.executable or "python",
            "-c",
            f"import sys; from PIL import Image; f = sys.argv[1:]; {code}",
            *files,
        ]
    )
