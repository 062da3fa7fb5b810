"""A folder of one's own: its layouts, masks, classes, splits, and the mistakes that people make in one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.check.inspect import check
from segsweep.data.check.report import Report
from segsweep.data.dataset import fingerprint
from segsweep.data.labels import standard_palette
from segsweep.data.sets.folder_classes import ClassRow, read_classes
from segsweep.data.sets.image_folder import Folder
from segsweep.data.sets.voc2012 import PALETTE
from segsweep.data.split import faults_collected
from segsweep.errors import DataError, OptionError
from tests.data.writers_own import (
    COLOURS,
    MISTAKES,
    TABLE,
    WITH_ONE,
    save_mask,
    write_folder,
    write_mistakes,
    write_one,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path) -> Path:
    return write_folder(tmp_path / "own")


def truth(root: Path, stem: str) -> np.ndarray:
    """The values of a grey mask."""
    return np.array(Image.open(root / "masks" / f"{stem}.png"))


def labels(data: Folder) -> dict[str, np.ndarray]:
    """The label maps of all splits, by id."""
    splits = [data.split(name) for name in data.splits]
    return {str(split.ids[i]): split[i].label for split in splits for i in range(len(split))}


def look(root: Path, **options) -> Report:
    """A check as the command does it."""
    with faults_collected() as faults:
        data = Folder(root=root, **options)
    return check(data, (16, 16), False, 0, lambda done, total: None, faults)


# Layouts


def of(number: int) -> str:
    return "train" if number < 6 else "val" if number < 8 else "test"


def stems_of(split: str) -> list[str]:
    return [f"im{number:02}" for number in range(10) if of(number) == split]


def move(root: Path, place: str) -> None:
    """Sort the files into `place`, such as {split}/{kind}."""
    for kind in ("images", "masks"):
        for file in sorted((root / kind).iterdir()):
            target = root / place.format(split=of(int(file.stem[2:])), kind=kind)
            target.mkdir(parents=True, exist_ok=True)
            file.rename(target / file.name)
        if not any((root / kind).iterdir()):
            (root / kind).rmdir()


def lists(root: Path, line: str, ends: str = "\n") -> None:
    for split in ("train", "val", "test"):
        (root / f"{split}.txt").write_text("".join(line.format(i) + ends for i in stems_of(split)))


def table(root: Path, header: str = "image,mask,split", sign: str = ",") -> None:
    rows = [f"images/im{n:02}.jpg,masks/im{n:02}.png,{of(n)}" for n in range(10)]
    (root / "pairs.csv").write_text("\n".join([header, *rows]).replace(",", sign) + "\n")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "splits above": lambda root: move(root, "{split}/{kind}"),
    "splits below": lambda root: move(root, "{kind}/{split}"),
    "other names": lambda root: (
        move(root, "{split}/{kind}"),
        [(root / a / "masks").rename(root / a / "Labels") for a in ("train", "val", "test")],
        (root / "val").rename(root / "Validation"),
    ),
    "ids": lambda root: lists(root, "{}"),
    "image paths": lambda root: lists(root, "images/{}.jpg", "\r\n"),
    "both paths": lambda root: lists(root, "/images/{0}.jpg /masks/{0}.png"),
    "table": lambda root: table(root),
    "semicolons": lambda root: table(root, "Image,Mask,Split", ";"),
    "endings": lambda root: (
        lists(root, "{}"),
        [f.rename(f.with_name(f"{f.stem}_mask.png")) for f in sorted((root / "masks").iterdir())],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_samples(root, tmp_path, layout):
    plain = shutil.copytree(root, tmp_path / "plain")
    LAYOUTS[layout](root)
    data = Folder(root=root)
    for split in ("train", "val", "test"):
        assert data.split(split).ids.tolist() == stems_of(split)
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, truth(plain, stem))
    data.check_files()
    assert look(root).problems == []


def test_ids_that_begin_anew_in_each_split_get_its_name(root):
    move(root, "{split}/{kind}")
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (root / "val" / kind / f"im06.{suffix}").rename(root / "val" / kind / f"im00.{suffix}")
    data = Folder(root=root)
    data.check_files()
    assert "train__im00" in data.split("train").ids
    assert "val__im00" in data.split("val").ids


def test_an_image_in_two_lists_is_in_two_splits(root):
    lists(root, "images/{0}.jpg masks/{0}.png")
    with (root / "val.txt").open("a") as file:
        file.write("images/im00.jpg masks/im00.png\n")
    with pytest.raises(DataError, match="they share 1 of 3 ids"):
        Folder(root=root).check_files()


def test_a_test_split_without_masks_is_for_predictions_and_val_is_tested(root):
    move(root, "{split}/{kind}")
    shutil.rmtree(root / "test" / "masks")
    data = Folder(root=root)
    assert data.test_split == "val"
    assert not data.split("test").has_truth
    assert look(root).problems == []


def test_a_folder_without_a_known_layout_is_told_what_is_expected(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="holds photos, no known layout; expected images/ and masks/"):
        Folder(root=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        Folder(root=tmp_path / "nowhere")


# Masks and classes


@pytest.mark.parametrize("kind", ["grey", "palette", "colour"])
def test_masks_of_each_kind_give_the_same_labels(root, tmp_path, kind):
    other = write_folder(tmp_path / kind, kind=kind)
    data = Folder(root=other)
    assert data.num_classes == 3
    # Colours are numbered by their codes: 000000, 28c828, c82828.
    order = np.array([0, 2, 1]) if kind == "colour" else np.arange(3)
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, order[truth(root, stem)])
    if kind != "grey":
        assert [data.palette[order[i]] for i in range(3)] == list(COLOURS.values())


def test_grey_values_in_colour_files_are_values(root):
    expected = labels(Folder(root=root))
    for file in (root / "masks").iterdir():
        Image.open(file).convert("RGB").save(file)
    data = Folder(root=root)
    assert data.classes == ("class 0", "class 1", "class 2")
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, expected[stem])


def test_255_is_the_foreground_of_masks_with_nothing_else_and_ignored_in_others(root, tmp_path):
    data = Folder(root=write_folder(tmp_path / "binary", kind="binary"))
    assert data.classes == ("background", "foreground")
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, truth(root, stem) > 0)
    label = truth(root, "im00")
    label[:8] = 255
    save_mask(label, "grey", root / "masks" / "im00.png")
    data = Folder(root=root)
    assert data.num_classes == 3
    np.testing.assert_array_equal(labels(data)["im00"], label)


TABLES = {
    "classes.txt": ("ground\nbarn\ntree\n", False, False),
    "numbered/classes.txt": ("0 ground\n1: barn\n2 tree\n", True, False),
    "label_colors.txt": ("0 0 0 ground\n200 40 40\tbarn\n40 200 40 tree\n", False, True),
    "classes.csv": ("name,value\nground,0\nbarn,1\ntree,2\n", True, False),
    "class_dict.csv": ("name, r, g, b\nground,0,0,0\nbarn,200,40,40\ntree,40,200,40\n", False, True),
    "hex/classes.csv": ("Label;Color\nground;#000000\nbarn;#c82828\ntree;#28c828\n", False, True),
    "classes.yaml": ("names: [ground, barn, tree]\n", False, False),
    "mapping/classes.yaml": ("names:\n  0: ground\n  1: barn\n  2: tree\n", True, False),
    "colours/classes.yml": ("ground: [0, 0, 0]\nbarn: [200, 40, 40]\ntree: '#28c828'\n", False, True),
    "records/classes.yml": ("- {name: ground, id: 0}\n- {name: barn, id: 1}\n- {name: tree, id: 2}", 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_each_form_of_table_is_read(tmp_path, name):
    text, valued, coloured = TABLES[name]
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("\ufeff" + text)
    assert read_classes(file) == [
        ClassRow(one, number if valued else None, COLOURS[number] if coloured else None)
        for number, one in enumerate(("ground", "barn", "tree"))
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("classes.csv", "what,value\nground,0\n", "no column called name"),
        ("classes.csv", "name,value\nground,300\n", "value 300"),
        ("classes.csv", "name,r,g,b\nground,0,0\n", "colour"),
        ("classes.txt", "ground\nground\n", "has the name ground twice"),
        ("classes.csv", "name,value\nground,1\nbarn,\n", "has no value for barn"),
        ("classes.yaml", "names: [ground\n", "no table of classes"),
        ("classes.txt", "\n", "names no class"),
        ("classes.json", "{}", "in a file .json"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_classes(tmp_path / name)
    assert "expected" in str(caught.value) or "give" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_orders_and_names_the_classes_and_void_is_ignored(tmp_path, root):
    other = write_folder(tmp_path / "colour", kind="colour")
    (other / "classes.csv").write_text("name,r,g,b\ntree,40,200,40\nbarn,200,40,40\nVoid,0,0,0\n")
    data = Folder(root=other)
    assert data.classes == ("tree", "barn")
    assert data.palette == (COLOURS[2], COLOURS[1])
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, np.array([255, 1, 0])[truth(root, stem)])
    palette = write_folder(tmp_path / "palette", kind="palette")
    shutil.copy(other / "classes.csv", palette)
    for stem, label in labels(Folder(root=palette)).items():
        np.testing.assert_array_equal(label, np.array([255, 1, 0])[truth(root, stem)])


@pytest.mark.parametrize(
    ("ignore", "values"), [([0], [255, 1, 2]), ("tree", [0, 1, 255]), ([1, "tree"], [0, 255, 255])]
)
def test_ignored_values_and_names_count_nowhere(root, ignore, values):
    (root / "classes.txt").write_text("ground\nbarn\ntree\n")
    table = np.array(values)
    table[table != 255] = np.arange((table != 255).sum())
    data = Folder(root=root, ignore=ignore)
    assert data.num_classes == (table != 255).sum()
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, table[truth(root, stem)])


def test_ignored_colours_count_nowhere(tmp_path):
    data = Folder(root=write_folder(tmp_path / "colour", kind="colour"), ignore=["#c82828"])
    assert data.classes == ("#000000", "#28c828")
    with pytest.raises(OptionError, match="colours of the masks"):
        Folder(root=tmp_path / "colour", ignore=[255])


def test_a_few_pixels_of_one_mask_are_no_class_unless_it_is_said(root):
    label = truth(root, "im03")
    label[0, :5] = 3
    save_mask(label, "grey", root / "masks" / "im03.png")
    with pytest.raises(
        DataError, match=r"im03.png: value 3 stands for no class \(5 pixels in 1 masks\); correct"
    ):
        Folder(root=root)
    assert [Path(problem.file).name for problem in look(root).problems] == ["im03.png"]
    assert Folder(root=root, num_classes=4).num_classes == 4
    (root / "classes.txt").write_text("ground\nbarn\ntree\nunicorn\n")
    assert Folder(root=root).num_classes == 4


def test_values_that_are_no_indices_need_a_table(root):
    for file in (root / "masks").iterdir():
        save_mask(np.array(Image.open(file)) * 100, "grey", file)
    with pytest.raises(
        DataError, match="hold the values 0, 100, 200, which are no class indices from 0 on; give"
    ):
        Folder(root=root)
    (root / "classes.csv").write_text("name,value\nground,0\nbarn,100\ntree,200\n")
    assert Folder(root=root).classes == ("ground", "barn", "tree")


@pytest.mark.parametrize("text", ["void\n", "".join(f"thing {n}\n" for n in range(255))])
def test_a_table_of_no_class_or_too_many_is_refused(root, text):
    (root / "classes.txt").write_text(text)
    ignore = None if "void" in text else [255]
    with (
        faults_collected(),
        pytest.raises(DataError, match=r"(0|255) classes besides what .*expected 1 to 254"),
    ):
        Folder(root=root, ignore=ignore)


def test_colours_need_colours_in_the_table(tmp_path):
    root = write_folder(tmp_path / "colour", kind="colour")
    (root / "classes.txt").write_text("ground\nbarn\ntree\n")
    with pytest.raises(
        DataError, match="names classes without colours, but the masks hold the colours #000000"
    ):
        Folder(root=root)


def test_palettes_that_contradict_one_another_are_named(tmp_path):
    root = write_folder(tmp_path / "palette", kind="palette")
    mask = Image.open(root / "masks" / "im04.png")
    mask.putpalette([0, 0, 0, 9, 9, 9, 40, 200, 40])
    mask.save(root / "masks" / "im04.png")
    with pytest.raises(DataError, match=r"im04.png: its palette shows a value in another colour"):
        Folder(root=root)
    assert Folder(root=root, num_classes=3).num_classes == 3


def test_what_masks_hold_is_kept_until_one_changes(root, monkeypatch):
    Folder(root=root)
    monkeypatch.setattr("segsweep.data.sets.folder_masks._looked_at", None)  # nothing is read again
    assert Folder(root=root).num_classes == 3
    save_mask(np.zeros((48, 64), np.uint8), "grey", root / "masks" / "im00.png")
    with pytest.raises(TypeError):
        Folder(root=root)


def test_the_standard_palette_is_that_of_voc():
    assert standard_palette(21) == PALETTE
    assert len(set(standard_palette(255))) == 255


# Mistakes


def test_each_of_ten_mistakes_is_understood_or_named_with_its_repair(tmp_path):
    report = look(write_mistakes(tmp_path / "own"))
    found = {str(Path(p.file).relative_to(tmp_path / "own")): p for p in report.problems}
    expected = {mistake.file: mistake for mistake in MISTAKES.values() if mistake.file}
    assert found.keys() == expected.keys()
    assert len(report.problems) == len(found)
    for name, mistake in expected.items():
        assert mistake.problem in found[name].problem
        assert mistake.repair in found[name].repair
    notes = "\n".join(report.notes)
    assert [mistake.note for mistake in MISTAKES.values() if mistake.note not in notes] == []
    assert sum(split.samples for split in report.splits.values()) == 9, "IM06.JPG has its mask im06.png"


@pytest.mark.parametrize("name", WITH_ONE)
def test_a_check_names_file_and_repair_of_one_mistake_or_understands_it(tmp_path, name):
    mistake, root = WITH_ONE[name], write_one(tmp_path / "own", name)
    report = look(root)
    assert [Path(p.file).relative_to(root).as_posix() for p in report.problems] == [mistake.file][
        : bool(mistake.file)
    ]
    for problem in report.problems:
        assert mistake.problem in problem.problem
        assert mistake.repair in problem.repair
    assert mistake.note in "\n".join(report.notes)


def test_training_refuses_the_first_mistake_before_it_starts(tmp_path):
    root = write_mistakes(tmp_path / "own")
    refused = []
    for _ in range(7):
        with pytest.raises(DataError) as caught:
            Folder(root=root).check_files()
        assert caught.value.remedy
        file = Path(caught.value.file)
        refused.append(str(file.relative_to(root)))
        for one in root.glob(f"*/{file.stem}.*"):
            one.unlink()
    assert sorted(refused) == sorted(mistake.file for mistake in MISTAKES.values() if mistake.file)
    data = Folder(root=root)
    data.check_files()
    assert data.classes == ("ground", "barn", "tree", "unicorn")
    assert len(labels(data)) == 3


def test_masks_of_one_bit_are_values(root):
    expected = {stem: label > 0 for stem, label in labels(Folder(root=root)).items()}
    for file in (root / "masks").iterdir():
        Image.fromarray(np.array(Image.open(file)) > 0).save(file)
    with Image.open(file) as mask:
        assert mask.mode == "1"
    assert look(root).problems == []
    data = Folder(root=root)
    assert data.num_classes == 2
    for stem, label in labels(data).items():
        np.testing.assert_array_equal(label, expected[stem])


# Splits


def test_a_split_by_share_depends_on_seed_and_ids_alone(root, tmp_path):
    one, same = Folder(root=root), Folder(root=shutil.copytree(root, tmp_path / "copy"))
    sizes = {name: len(one.split(name)) for name in one.splits}
    assert sizes == {"train": 6, "val": 2, "test": 2}
    assert sorted(i for name in one.splits for i in one.split(name).ids) == [f"im{n:02}" for n in range(10)]
    assert [one.split_hash(name) for name in one.splits] == [same.split_hash(name) for name in one.splits]
    assert fingerprint(one) == fingerprint(same)
    other = Folder(root=root, split_seed=1)
    assert other.split_hash("train") != one.split_hash("train")
    assert fingerprint(other) != fingerprint(one)
    parts = Folder(root=root, val_share=0.3, test_share=0)
    assert {name: len(parts.split(name)) for name in parts.splits} == {"train": 7, "val": 3}
    assert parts.test_split == "val"


def test_groups_are_in_one_split(root):
    for file in [*root.glob("images/*"), *root.glob("masks/*")]:
        file.rename(file.with_name(f"site{int(file.stem[2:]) % 5}_{file.name}"))
    data = Folder(root=root, group="^(site.)_")
    splits = [{i.split("_")[0] for i in data.split(name).ids} for name in data.splits]
    assert sorted(group for split in splits for group in split) == [f"site{n}" for n in range(5)]
    assert data.group_unit == "group"
    assert data.group_of("site3_im03") == "site3"
    with pytest.raises(OptionError, match="group=bay: finds nothing in the id"):
        Folder(root=root, group="bay")
    with pytest.raises(OptionError, match="leave none to train on"):
        Folder(root=root, group="^(site)")


def test_groups_may_not_straddle_the_splits_that_a_folder_has(root):
    lists(root, "{}")
    assert Folder(root=root, group="im(..)").group_unit == "group"
    with pytest.raises(DataError, match=r"im08.jpg: of group 0, which is in train and test \(1 groups are\)"):
        Folder(root=root, group="0(?=[08]$)|..$")
    report = look(root, group="^im")
    assert [problem.problem for problem in report.problems] == [
        f"of group im, which is in {pair} (1 groups are)"
        for pair in ("train and val", "train and test", "val and test")
    ]


def test_a_table_may_give_groups(root):
    rows = [f"images/im{n:02}.jpg,masks/im{n:02}.png,place{n % 5}" for n in range(10)]
    (root / "pairs.csv").write_text("\n".join(["image,mask,group", *rows]))
    data = Folder(root=root)
    places = [{data.group_of(str(i)) for i in data.split(name).ids} for name in data.splits]
    assert sorted(place for split in places for place in split if place) == [f"place{n}" for n in range(5)]


def test_a_folder_with_train_and_test_has_a_part_of_train_for_val(root):
    move(root, "{split}/{kind}")
    shutil.rmtree(root / "val")
    data = Folder(root=root)
    assert {name: len(data.split(name)) for name in data.splits} == {"train": 5, "val": 1, "test": 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"val_share": 1.5}, "val_share=1.5: expected a share"),
        ({"val_share": 0}, "monitored on val"),
        ({"ignore": ["sea"]}, "ignore=sea: no such class"),
        ({"ignore": ["#ff0000"]}, "the masks hold values"),
        ({"train_split": "test"}, "is the split to test on"),
        ({"group": "("}, "a regular expression"),
    ],
)
def test_wrong_options_are_named(root, options, words):
    (root / "classes.txt").write_text("ground\nbarn\ntree\n")
    with pytest.raises(OptionError) as caught:
        Folder(root=root, **options)
    assert words in str(caught.value)


def test_shares_of_a_folder_that_is_split_are_refused(root):
    lists(root, "{}")
    with pytest.raises(OptionError, match=r"the folder has splits of its own .*leave it null"):
        Folder(root=root, val_share=0.2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("im99", "lists im99, which has no image"),
        ("im00", "lists im00 twice"),
        ("a.png b.png c.png", "3 paths"),
    ],
)
def test_wrong_lines_of_lists_are_named(root, line, words):
    lists(root, "{}")
    with (root / "train.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=rf"train.txt: .*{words}"):
        Folder(root=root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("picture,mask\na,b\n", "has the columns picture, mask; expected the columns image and mask"),
        ("image,mask\nimages/im00.jpg,\n", "line 2 lacks an image or a mask"),
        ("image,mask,split\na.jpg,a.png,train\nb.jpg,b.png,tset\n", "line 3 is of split tset"),
        ("image,mask,split\na.jpg,a.png,train\nb.jpg,b.png,\n", "line 3 is of split none"),
        ("image,mask\na.jpg,a.png\na.jpg,a.png\n", "line 3 names a.jpg again"),
    ],
)
def test_a_wrong_csv_is_one_line(root, text, words):
    (root / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=rf"mine.csv: {words}"):
        Folder(root=root, pairs=root / "mine.csv")


def test_a_table_is_part_of_what_a_run_trains_on(tmp_path):
    root = write_folder(tmp_path / "colour", kind="colour")
    (root / "classes.csv").write_text(TABLE)
    before = fingerprint(Folder(root=root))
    (root / "classes.csv").write_text(TABLE.replace("barn", "house"))
    assert fingerprint(Folder(root=root)) == before, "a name changes no weights"
    rows = TABLE.splitlines()
    (root / "classes.csv").write_text("\n".join([rows[0], *reversed(rows[1:])]))
    assert fingerprint(Folder(root=root)) != before
