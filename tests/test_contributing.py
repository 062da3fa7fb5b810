"""What README.md, CONTRIBUTING.md and the Makefile promise."""

import re

from segsweep.config.groups import root


def test_every_target_of_the_makefile_is_phony_and_explained():
    """`make demo` works although a file of that name lies about, and `make help` lists it."""
    text = (root() / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()) == targets
    assert set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)) == targets


def test_git_ignores_what_the_makefile_makes():
    ignored = {line.strip("/") for line in (root() / ".gitignore").read_text().split()}
    made = re.search(r"^\trm -rf (.*)$", (root() / "Makefile").read_text(), re.MULTILINE)
    assert made is not None
    assert set(made[1].replace("$(VENV)", ".venv").split()) <= ignored
