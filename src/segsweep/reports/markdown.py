"""Text of the user's inside Markdown: sweeps, classes, files and values are theirs to name."""

import re

SPECIAL = re.compile(r"([\\`*~|])|(?<!\w)(_)|(_)(?!\w)|(\[)(?=[^\]]*\]\()")
"""Code, emphasis, cells of a table, links and pictures. An underscore within a word is none of it."""


def escape(text: object) -> str:
    """The text on one line, shown as it stands wherever a page has it: no HTML, markup, link or new cell."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(lambda match: f"\\{match[0]}", line)
