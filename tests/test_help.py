"""Every command's help: printed by the command line, filled in, and without running the command."""

import pytest

from segsweep import cli


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_a_help(name, flag, capfd):
    """Whatever other arguments are there, wrong ones too."""
    arguments = [flag] if name == "runs" else ["nonsense", "key=1", flag]
    assert cli.run([name, *arguments]) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith(f"usage: segsweep {name}")
    assert not any(part in printed.out for part in ("{axes}", "{options}", "{datasets}", "{figures}"))
    assert printed.err == ""


def test_parts_are_filled_in(capfd):
    for name, part in (("train", "head="), ("data", "camvid"), ("figure", "ksac.fig5")):
        assert cli.run([name, "--help"]) == 0
        assert part in capfd.readouterr().out
