import subprocess
import sys
import time
from pathlib import Path

import pytest

from segsweep.data import prepare
from segsweep.errors import DataError, UserError
from tests.data.preparing import IMAGES, drawings, preparation, quiet
from tests.support.disks import small_disk

ROOT = Path(__file__).parents[2]


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("workers", [0, 2])
def test_all_files_are_made_and_progress_is_told(tmp_path, workers):
    made = preparation(tmp_path, ["a", "b", "c"])
    assert (made.files, made.done, made.bytes, made.seconds(2), made.complete) == (3, 0, 300, 3.0, False)
    told = []
    prepare.run([made], workers, lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [(tmp_path / "labels" / f"{i}.txt").read_text() for i in range(3)] == ["a", "b", "c"]
    assert (tmp_path / "train.txt").read_text() == "0\n1\n2\n"
    again = preparation(tmp_path, ["a", "b", "c"])
    assert (again.complete, again.done, again.bytes) == (True, 3, 0)


def test_what_is_there_is_kept_and_half_files_are_cleared_away(tmp_path):
    prepare.run([preparation(tmp_path, ["a", "b"])], 0, quiet)
    (tmp_path / "train.txt").unlink()
    (tmp_path / "labels" / "1.txt").unlink()
    (tmp_path / "labels" / "1.txt.123.tmp").write_text("half")
    before = (tmp_path / "labels" / "0.txt").stat().st_mtime_ns
    prepare.run([preparation(tmp_path, ["a", "b"])], 0, quiet)
    assert (tmp_path / "labels" / "0.txt").stat().st_mtime_ns == before
    assert sorted(f.name for f in (tmp_path / "labels").iterdir()) == ["0.txt", "1.txt"]


def test_files_of_another_source_are_made_anew(tmp_path):
    prepare.run([preparation(tmp_path, ["a", "b", "c"])], 0, quiet)
    other = preparation(tmp_path, ["x", "y"], source="t")
    assert (other.done, other.complete) == (0, False)
    prepare.run([other], 0, quiet)
    assert content(tmp_path / "labels") == {"0.txt": b"x", "1.txt": b"y"}
    assert prepare.prepared_from(tmp_path, "train") == "t"


def theirs(folder: Path) -> dict[str, str]:
    """Put files of the user's into every place that a preparation clears or writes to."""
    (folder / "labels" / "deep").mkdir(parents=True, exist_ok=True)
    names = ("labels/mine.txt", "labels/deep/0.txt", "labels/draft.1.tmp", "notes.tmp", ".lock", "other.txt")
    for name in names:
        (folder / name).write_text("hand made")
    return dict.fromkeys(names, "hand made")


def test_files_of_others_stay_whatever_is_cleared_away(tmp_path):
    before = theirs(tmp_path)
    prepare.run([preparation(tmp_path, ["a", "b", "c"])], 0, quiet)
    prepare.run([preparation(tmp_path, ["x", "y"], source="t")], 0, quiet)
    assert {name: (tmp_path / name).read_text() for name in before} == before
    made = {file.name for file in (tmp_path / "labels").iterdir()} - {"mine.txt", "deep", "draft.1.tmp"}
    assert made == {"0.txt", "1.txt"}, "that of the first source is gone"


@pytest.mark.parametrize("name", ["labels/1.txt", "train.txt"])
@pytest.mark.parametrize("earlier", [False, True])
def test_files_of_others_are_not_overwritten_but_named(tmp_path, name, earlier):
    """Also where something else was prepared beside them before."""
    if earlier and name == "train.txt":
        pytest.skip("the list is then ours")
    if earlier:
        prepare.run([preparation(tmp_path, ["a"])], 0, quiet)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("hand made")
    before = content(tmp_path)
    with pytest.raises(UserError, match=rf"{name}: stands where .*\(there are 1 such .*dataset\.prepared="):
        prepare.run([preparation(tmp_path, ["x", "y"], source="t")], 0, quiet)
    assert content(tmp_path) == {".lock": b"", **before}


def test_what_older_versions_made_is_known_by_its_list(tmp_path):
    prepare.run([preparation(tmp_path, ["a", "b", "c"])], 0, quiet)
    (tmp_path / "train.files").unlink()
    (tmp_path / "labels" / "mine.txt").write_text("hand made")
    prepare.run([preparation(tmp_path, ["x"], source="t")], 0, quiet)
    assert content(tmp_path / "labels") == {"0.txt": b"x", "mine.txt": b"hand made"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_source_file_is_told_and_whole_files_stay(tmp_path, workers):
    with pytest.raises(DataError, match=r"^source\.mat: is not a label file$"):
        prepare.run([preparation(tmp_path, ["a", "wrong", "c"])], workers, quiet)
    assert (tmp_path / "labels" / "0.txt").read_text() == "a"
    assert not (tmp_path / "train.txt").exists()


def test_two_at_once_in_one_folder_are_refused(tmp_path):
    with prepare._alone(tmp_path), pytest.raises(UserError, match="another process is preparing it"):
        prepare.run([preparation(tmp_path, ["a"])], 0, quiet)
    prepare.run([preparation(tmp_path, ["a"])], 0, quiet)


def test_a_folder_that_cannot_be_made_is_told_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/made cannot be written .*dataset\.prepared=") as error:
        prepare.run([preparation(tmp_path / "file" / "made", ["a"])], 0, quiet)
    assert "\n" not in str(error.value)


def test_killed_half_way_and_run_again_gives_the_same_bytes(tmp_path):
    command = [sys.executable, "-m", "tests.data.preparing", "drawings"]
    labels = tmp_path / "killed" / "labels"
    process = subprocess.Popen([*command, str(tmp_path / "killed")], cwd=ROOT)
    while len(list(labels.glob("*.png"))) < 10:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = len(list(labels.glob("*.png")))
    assert 10 <= done < IMAGES
    assert not (labels.parent / "train.txt").exists()
    assert drawings(labels.parent).done >= done
    subprocess.run([*command, str(tmp_path / "killed")], cwd=ROOT, check=True)
    subprocess.run([*command, str(tmp_path / "whole")], cwd=ROOT, check=True)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert drawings(labels.parent).complete


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.data.preparing", "sleeps", str(tmp_path)], cwd=ROOT
    )
    while len(list(tmp_path.glob("*.started"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    for file in tmp_path.glob("*.started"):
        _wait_for_end(int(file.stem))


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} lives on")


def test_a_full_disk_is_told_in_a_line_and_whole_files_stay(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        contents = ["x" * 300_000] * 5
        with pytest.raises(UserError, match=r"No space left on device.*dataset\.prepared=") as error:
            prepare.run([preparation(disk, contents)], 2, quiet)
        assert "\n" not in str(error.value)
        whole = list((disk / "labels").iterdir())
        assert whole
        assert {(file.suffix, file.stat().st_size) for file in whole} == {(".txt", 300_000)}
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        prepare.run([preparation(disk, contents)], 2, quiet)
        assert len(list((disk / "labels").iterdir())) == 5
