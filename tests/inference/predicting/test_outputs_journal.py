"""The journal of a folder of predictions."""

from dataclasses import replace

from segsweep.inference.predicting.outputs_journal import JOURNAL, Entry, Journal

ONE = Entry("a/1", None, "work", (4, 5), (20, 0), ("masks/a/1.png",), notes=("grey",))
FRAME = Entry("clip", 7, "work", (4, 5), (20, 0), ("masks/clip/000007.png",))


def written(folder, *entries):
    journal = Journal(folder)
    for entry in entries:
        for place in entry.outputs:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).touch()
        journal.add(entry)
    return Journal(folder)


def test_what_is_written_is_done_until_its_work_or_a_file_changes(tmp_path):
    journal = written(tmp_path, ONE, FRAME)
    assert journal.done("a/1", None, "work") == ONE
    assert journal.done("clip", 7, "work") == FRAME
    assert journal.done("clip", 8, "work") is None
    assert journal.done("a/1", None, "other work") is None
    (tmp_path / ONE.outputs[0]).unlink()
    assert journal.done("a/1", None, "work") is None


def test_the_last_of_several_lines_counts_and_the_others_go(tmp_path):
    other = replace(ONE, work="other")
    journal = written(tmp_path, ONE, FRAME, other)
    assert journal.done("a/1", None, "other") == other
    assert len((tmp_path / JOURNAL).read_bytes().splitlines()) == 2


def test_a_line_cut_short_costs_one_image_wherever_it_ends(tmp_path):
    written(tmp_path, ONE, FRAME)
    whole = (tmp_path / JOURNAL).read_bytes()
    first = len(whole.splitlines(keepends=True)[0])
    for length in range(first, len(whole) - 1, 7):
        (tmp_path / JOURNAL).write_bytes(whole[:length])
        journal = Journal(tmp_path)
        assert journal.done("a/1", None, "work") == ONE
        assert journal.done("clip", 7, "work") is None
        journal.add(FRAME)
        assert Journal(tmp_path).done("clip", 7, "work") == FRAME
