"""Validations: sums against torchmetrics, and images that come alone or together."""

import csv

import pytest
import torch
from torchmetrics.classification import MulticlassConfusionMatrix

from segsweep.data.loading import in_larger_batches
from segsweep.training.validation import ValidationSums
from tests.support.inside import planned, run


@pytest.mark.parametrize("classes", [2, 11, 255])
def test_the_matrix_is_torchmetrics_and_the_loss_the_mean_of_the_images(classes):
    torch.manual_seed(0)
    ours = ValidationSums(classes)
    theirs = MulticlassConfusionMatrix(classes, ignore_index=255)
    losses = torch.rand(5)
    for i, images in enumerate((1, 3, 1)):
        label = torch.randint(0, classes, (images, 7, 9)).to(torch.uint8)
        label[torch.rand(label.shape) < 0.2] = 255
        prediction = torch.randint(0, classes, label.shape).to(torch.uint8)
        ours.update(prediction, label, losses[i : i + images])
        theirs.update(prediction.long(), label.long())
    matrix, loss = ours.compute()
    assert torch.equal(matrix, theirs.compute())
    torch.testing.assert_close(loss, losses[[0, 1, 2, 3, 2]].double().mean())
    ours.reset()
    assert not ours.matrix.any()


def test_images_of_one_size_come_together_in_their_order():
    sizes = [4, 4, 4, 5, 4, 4]
    batches = [
        {"image": torch.full((1, 3, s, 6), i), "label": torch.full((1, s, 6), i), "id": [str(i)]}
        for i, s in enumerate(sizes)
    ]
    together = list(in_larger_batches(iter(batches), 2))
    assert [batch["id"] for batch in together] == [["0", "1"], ["2"], ["3"], ["4", "5"]]
    for batch in together:
        assert batch["label"][:, 0, 0].tolist() == [int(id) for id in batch["id"]]
        assert batch["image"][:, 0, 0, 0].tolist() == [int(id) for id in batch["id"]]


def test_a_run_validates_several_images_at_a_time(tmp_path):
    """The same weights, and figures within rounding; of five images the last one is alone."""
    figures = []
    for together in (1, 2):
        folder = planned(
            "dataset.val_images=5",
            "trainer.max_steps=2",
            "trainer.val_every=1",
            f"eval_batch_size={together}",
            f"runs_dir={tmp_path / str(together)}",
        )
        run(folder)
        with (folder.path / "metrics.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["val_miou"]]
        figures.append([float(row[name]) for row in rows for name in ("val_loss", "val_miou")])
    assert len(figures[0]) == 4
    assert figures[1] == pytest.approx(figures[0], rel=1e-3)
