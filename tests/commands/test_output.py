"""Tables on terminals of all widths: a line a row, figures whole, long text cut or folded."""

import re

import pytest

from segsweep.commands.output import print_rows

ROWS = [
    {
        "id": f"{number:012x}",
        "state": "interrupted",
        "trainer.gradient_clip_val": 0.5,
        "head.rates": [1, 6, 12, 18, 24],
        "mIoU %": "54.23",
        "error": "UserError: a long story\nin two lines, told by one who had a lot of time for it " * 3,
    }
    for number in range(3)
]


@pytest.fixture
def lines(capsys, monkeypatch):
    """What a table of the rows prints at a width."""

    def printed(width: int, **options) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        print_rows(ROWS, "table", "title", **options)
        return capsys.readouterr().out.splitlines()

    return printed


@pytest.mark.parametrize("width", [60, 70, 80, 100, 120, 200, 2000])
def test_a_line_a_row_at_every_width(lines, width):
    printed = lines(width)
    assert max(map(len, printed)) <= width
    assert sum(line.strip().startswith("00000000000") for line in printed) == len(ROWS)
    assert len(printed) <= len(ROWS) + 6, "title, heading, rule, three empty or of what is left out"


def test_columns_go_in_the_stated_order_and_are_named(lines):
    *_, note, _ = lines(60, first_to_go=["trainer.gradient_clip_val", "error"])
    assert note == "  no room for: trainer.gradient_clip_val"
    *_, note, _ = lines(50, first_to_go=["trainer.gradient_clip_val", "error"])
    assert note == "  no room for: trainer.gradient_clip_val, error"


def test_text_is_cut_and_figures_are_not(lines):
    _, _, heading, _, first, *_ = lines(75)
    assert re.fullmatch(r"id +state +…\w*_clip_val +head.rates +mIoU % +error", heading.strip())
    assert re.fullmatch(r"0{12} +interrup.* +0\.5  \[1,6,12,.*…  +54\.23  UserError.*…", first.strip())


def test_a_pipe_gets_all_of_it(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rows(ROWS, "table")
    assert "a lot of time for it" in capsys.readouterr().out


def test_the_last_column_may_be_folded_and_keeps_every_word(lines):
    printed = lines(80, columns=["id", "error"], fold="error")
    assert max(map(len, printed)) <= 80
    assert " ".join(" ".join(printed).split()).count("a lot of time for it") == 9


def test_what_users_name_is_shown_as_it_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_rows([{"id": "[red]x", "name": "a\x1b[31mb\rc"}], "table", "sweep [bold]mine")
    shown = capsys.readouterr().out
    assert "[red]x" in shown
    assert "sweep [bold]mine" in shown
    assert "a\\x1b[31mb c" in shown
