"""docs/commands: a page for each command, made from its help; and their list in docs/README.md.

python -m benchmarks.command_pages
"""

import re
from collections.abc import Iterator
from importlib import import_module

from benchmarks.report import ROOT
from segsweep import cli
from segsweep.commands.help import filled

FOLDER = ROOT / "docs" / "commands"
NOTE = "<!-- Made from the command's help by python -m benchmarks.command_pages: change the help. -->"
INDEX, LIST = ROOT / "docs" / "README.md", re.compile(r"(<!-- commands -->\n).*?(<!-- end -->\n)", re.DOTALL)
WHOLE, LONG = "train", ("{axes}", "{options}")
"""The page that lists the axes and options of a run, and their names in a help."""


def pages() -> dict[str, str]:
    """Return the text of each page by its file's name."""
    summaries = dict(re.findall(r"^  (\w+) +(.+)$", cli.HELP, re.MULTILINE))
    return {f"{name}.md": page(name, summaries.get(name, "for launchers alone")) for name in cli.COMMANDS}


def page(name: str, summary: str) -> str:
    """Return the page of a command and, if it has some, of the commands below it."""
    module = import_module(f"segsweep.commands.{name}")
    lines = [f"# segsweep {name}", "", f"{summary[0].upper()}{summary[1:]}.", "", NOTE]
    lines += sections(module.HELP if name == WHOLE else shortened(module.HELP), 2)
    for below in [one for one in module.COMMANDS if one != "list"] if name in cli.FOLDERS else ():
        lines += ["", f"## segsweep {name} {below}"]
        lines += sections(import_module(f"segsweep.commands.{name}.{below}").HELP, 3)
    return "\n".join(lines) + "\n"


def indexed(text: str) -> str:
    """Return the index with its list of commands as they are now."""
    lines = [f"[{name}](commands/{name}.md)" for name in sorted(cli.COMMANDS)]
    return LIST.sub(lambda found: found[1] + " ·\n".join(lines) + "\n" + found[2], text)


def shortened(help_text: str) -> str:
    """Return a help that refers to the page with the axes and options of all runs in place of these."""
    for name in LONG:
        help_text = help_text.replace(
            name, f"The {name[1:-1]} are those of [segsweep {WHOLE}]({WHOLE}.md).\n"
        )
    return help_text


def sections(help_text: str, level: int) -> Iterator[str]:
    """Yield the lines of a help: a list under a title as a section, sentences as a paragraph."""
    for block in filled(help_text).strip("\n").split("\n\n"):
        block = block.strip("\n")
        first, _, rest = block.partition("\n")
        titled = rest.startswith("  ") and not first.startswith((" ", "usage:"))
        if titled:
            yield from ["", f"{'#' * level} {first[0].upper()}{first[1:]}"]
        plain = not (titled or block.startswith((" ", "usage:")) or re.search(r"[*<|]|\n  ", block))
        text = rest if titled else block
        yield from ["", text] if plain else ["", "```text", text, "```"]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    INDEX.write_text(indexed(INDEX.read_text()))


if __name__ == "__main__":
    main()
