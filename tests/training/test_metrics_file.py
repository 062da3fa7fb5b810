"""The CSV that a resumed run takes back to its checkpoint."""

import csv

from segsweep.training.metrics_file import MetricsFile

COLUMNS = ("step", "loss", "val_miou")


def test_rewind_leaves_the_rows_of_an_uncut_run(tmp_path):
    file = MetricsFile(tmp_path / "m.csv", COLUMNS)
    file.rewind(0)
    for step in (10, 20, 30):
        file.append({"step": step, "loss": 1 / step})
    file.append({"step": 30, "val_miou": 0.5})
    whole = file.path.read_text()
    file.append({"step": 40, "loss": 0.1})
    with file.path.open("a") as cut:
        cut.write("50,0.0")
    file.rewind(30)
    assert file.path.read_text() == whole
    table = list(csv.DictReader(whole.splitlines()))
    assert [float(row["loss"]) for row in table if row["loss"]] == [1 / 10, 1 / 20, 1 / 30]
    assert [float(row["val_miou"]) for row in table if row["val_miou"]] == [0.5]


def test_a_new_run_starts_with_the_header_only(tmp_path):
    file = MetricsFile(tmp_path / "m.csv", COLUMNS)
    file.append({"step": 5})
    file.rewind(0)
    assert file.path.read_text() == "step,loss,val_miou\n"
