"""Test strategies on real small networks: one pass for all, exact in any company."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsweep.data.sample import Sample
from segsweep.errors import ConfigError
from segsweep.evaluation import predictor
from segsweep.evaluation.evaluate import evaluate
from segsweep.evaluation.predictor import largest
from segsweep.evaluation.strategies import DEEPLAB_SCALES, Strategy
from segsweep.networks import Encoder, EncoderHead
from segsweep.networks.heads.ksac import Ksac

ALL = (Strategy(), Strategy(flip=True), Strategy(DEEPLAB_SCALES), Strategy(DEEPLAB_SCALES, flip=True))


class Samples(torch.utils.data.Dataset):
    """Random images of odd, different sizes."""

    sizes = ((37, 45), (50, 33), (41, 64), (33, 33), (48, 36))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (*self.sizes[index], 3), dtype=np.uint8)
        label = rng.integers(0, 4, self.sizes[index], dtype=np.uint8)
        label[rng.random(label.shape) < 0.1] = 255
        return Sample(image, label, f"image{index}")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads cost more than they bring on images of this size, and most on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    body = Encoder("resnet18")
    network = EncoderHead(body, Ksac(body.channels, body.reductions, 4, rates=(1, 2), width=8))
    network.train()(torch.rand(4, 3, 48, 48) * 255)  # some running statistics
    return network.eval()


def run(segmenter, strategies, **options):
    return evaluate(lambda output_stride: segmenter, Samples(), strategies, num_classes=4, **options)


def test_nested_strategies_in_one_pass_equal_each_alone(segmenter):
    together = run(segmenter, ALL)
    assert list(together) == ["single", "flip", "ms", "ms_flip"]
    for strategy in ALL:
        alone = run(segmenter, [strategy])[strategy.name]
        assert np.array_equal(alone.region, together[strategy.name].region)
        assert np.array_equal(alone.confusion, together[strategy.name].confusion)


def test_bands_of_rows_change_nothing(segmenter, monkeypatch):
    some = {"indices": [0, 2]}
    whole = run(segmenter, ALL, **some)  # a band holds an image of this size
    monkeypatch.setattr(predictor, "LEAST_ROWS", 5)
    monkeypatch.setitem(predictor.BAND_BYTES, "cpu", 0)
    in_bands = run(segmenter, ALL, **some)
    for name in whole:
        assert np.array_equal(whole[name].rows, in_bands[name].rows)


class Pairs(Samples):
    sizes = ((37, 45), (37, 45), (50, 33), (41, 64), (41, 64), (41, 64), (37, 45))


@pytest.mark.parametrize(("batch_size", "forwards"), [(1, 7), (2, 5), (8, 4)])
def test_images_of_one_size_go_through_the_network_together(segmenter, batch_size, forwards):
    batches = []
    hook = segmenter.encoder.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    options = {"num_classes": 4, "batch_size": batch_size}
    seen = []
    found = evaluate(
        lambda stride: segmenter, Pairs(), ALL[:1], on_image=lambda s, _: seen.append(s.id), **options
    )["single"]
    hook.remove()
    assert (len(batches), sum(batches)) == (forwards, 7)
    assert found.ids == seen == [f"image{i}" for i in range(7)]
    alone = evaluate(lambda stride: segmenter, Pairs(), ALL[:1], num_classes=4)["single"]
    assert np.abs(found.rows - alone.rows).max() <= 2  # a pixel whose two best classes nearly tie


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_strategies_alone_and_together_agree_and_are_the_cpus(segmenter, monkeypatch):
    """In float32. Predictions arrive while later ones are computed; none is counted before it is there."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    on_cpu = run(segmenter, ALL)
    together, batches = run(segmenter, ALL, device="cuda"), run(segmenter, ALL, device="cuda", batch_size=2)
    for strategy in ALL:
        name = strategy.name
        alone = run(segmenter, [strategy], device="cuda")[name]
        assert np.array_equal(alone.rows, together[name].rows)
        for other in (on_cpu, batches):
            assert np.abs(other[name].rows - alone.rows).max() <= 4  # pixels whose best classes nearly tie
    segmenter.cpu()


def test_each_view_is_computed_once(segmenter):
    calls = []
    hook = segmenter.encoder.register_forward_hook(lambda *_: calls.append(1))
    run(segmenter, ALL)
    hook.remove()
    assert len(calls) == 12 * len(Samples())


def test_ms_flip_is_the_mean_of_probabilities(segmenter):
    got = {}
    run(segmenter, [ALL[3]], on_image=lambda sample, p: got.update({sample.id: p["ms_flip"]}))
    for sample in Samples():
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float()
        total = 0
        for scale in DEEPLAB_SCALES:
            for flip in (False, True):
                size = [round(side * scale) for side in image.shape[-2:]]
                x = F.interpolate(image, size, mode="bilinear", align_corners=False)
                x = x.flip(-1) if flip else x
                with torch.no_grad():
                    coarse = segmenter.head(segmenter.features(x))
                y = F.interpolate(coarse, image.shape[-2:], mode="bilinear", align_corners=False)
                total = total + (y.flip(-1) if flip else y).double().softmax(1)
        top2 = total[0].topk(2, dim=0).values
        clear = (top2[0] - top2[1] > 1e-4).numpy()
        assert np.array_equal(got[sample.id][clear], total[0].argmax(0).numpy()[clear])
        assert clear.mean() > 0.99


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_of_the_images_merge_to_the_whole(segmenter, processes):
    from segsweep.evaluation.counts import Counts

    whole = run(segmenter, ALL[:2])["flip"]
    shares = [
        run(segmenter, ALL[:2], indices=range(rank, len(Samples()), processes))["flip"]
        for rank in range(processes)
    ]
    merged = Counts.merge(shares, whole.ids)
    assert np.array_equal(merged.region, whole.region)
    assert np.array_equal(merged.confusion, whole.confusion)


def test_workers_change_nothing(segmenter):
    alone, workers = run(segmenter, ALL[:1])["single"], run(segmenter, ALL[:1], num_workers=2)["single"]
    assert alone.ids == workers.ids
    assert np.array_equal(alone.region, workers.region)


def test_a_training_is_left_as_it_was(segmenter):
    """Frozen modules stay frozen, the others train on, and the random state has not moved."""
    segmenter.train()
    segmenter.encoder.eval()
    modes = [module.training for module in segmenter.modules()]
    state = torch.get_rng_state()
    run(segmenter, ALL[:1])
    assert [module.training for module in segmenter.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    segmenter.eval()


def test_a_network_of_other_classes_is_refused():
    with pytest.raises(ConfigError, match="gives 4 classes, the dataset has 3"):
        evaluate(lambda output_stride: Constant(), Samples(), ALL[:1], num_classes=3)


def test_strategies_need_names_of_their_own():
    with pytest.raises(ConfigError, match="two are named 'single'"):
        evaluate(lambda output_stride: Constant(), Samples(), [Strategy(), Strategy()], num_classes=4)


def test_the_largest_score_is_torchs():
    scores = torch.randint(0, 5, (21, 33, 47)).float()  # many ties: the first of equals
    assert np.array_equal(largest(scores), scores.argmax(0).numpy())


class Constant(nn.Module):
    """Logits of four classes at stride 8, by brightness."""

    def logits(self, image):
        coarse = F.avg_pool2d(image, 8, ceil_mode=True).mean(1, keepdim=True) / 255
        return torch.cat([coarse, 1 - coarse, coarse * 0, coarse * 2 - 1], 1)


def test_the_output_stride_of_the_test_is_asked_for():
    asked = []

    def network_at(output_stride):
        asked.append(output_stride)
        return Constant()

    evaluate(network_at, Samples(), [Strategy(), Strategy(output_stride=8)], num_classes=4)
    assert asked == [None, 8]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "single"),
        ({"flip": True}, "flip"),
        ({"scales": DEEPLAB_SCALES}, "ms"),
        ({"scales": DEEPLAB_SCALES[::-1], "flip": True}, "ms_flip"),
        ({"scales": [0.75, 1, 1.25]}, "ms0.75+1+1.25"),
        ({"output_stride": 8}, "os8_single"),
        ({"window": [321, 321], "stride": [160, 200], "flip": True}, "slide321x321+160x200_flip"),
        ({"window": [300, 300]}, "slide300x300+200x200"),
    ],
)
def test_a_strategys_name_is_its_settings(options, name):
    assert Strategy(**options).name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": []}, "scales"),
        ({"scales": [1, 0]}, "scales"),
        ({"scales": 0.5}, "scales"),
        ({"flip": "yes"}, "flip"),
        ({"window": [10]}, "window"),
        ({"stride": [10, 10]}, "without a window"),
        ({"window": [10, 10], "stride": [11, 5]}, "leaves pixels unseen"),
        ({"output_stride": 0}, "output_stride"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Strategy(**options)


class Centres(Samples):
    """The middle 32×40 pixels of the samples, cut out before the network sees them."""

    def __getitem__(self, index):
        image, label, id = super().__getitem__(index)
        height, width = min(32, label.shape[0]), min(40, label.shape[1])
        top, left = (label.shape[0] - height) // 2, (label.shape[1] - width) // 2
        place = slice(top, top + height), slice(left, left + width)
        return Sample(image[place], label[place], id)


def test_a_centre_crop_counts_as_if_the_images_had_been_cut(segmenter):
    cropped = [Strategy(crop=(32, 40)), Strategy((0.75, 1.0), flip=True, crop=(32, 40))]
    assert [strategy.name for strategy in cropped] == ["center32x40", "center32x40_ms0.75+1_flip"]
    together = run(segmenter, [*ALL[:2], *cropped])
    whole = run(segmenter, ALL[:2])
    cut = [Strategy(), Strategy((0.75, 1.0), flip=True)]
    expected = evaluate(lambda stride: segmenter, Centres(), cut, num_classes=4)
    for strategy, same in zip(cropped, cut, strict=True):
        found = together[strategy.name]
        assert np.array_equal(found.rows, expected[same.name].rows)
        assert np.array_equal(found.objects, expected[same.name].objects)
        assert found.sizes == expected[same.name].sizes
    for name in whole:
        assert np.array_equal(whole[name].rows, together[name].rows)


def test_what_a_centre_crop_does_not_see_is_ignored(segmenter):
    maps = {}
    run(segmenter, [Strategy(crop=(10, 20))], indices=[0], on_image=lambda _, found: maps.update(found))
    (found,) = maps.values()
    expected = np.ones((37, 45), bool)
    expected[13:23, 12:32] = False
    assert np.array_equal(found == 255, expected)


def test_an_ensemble_averages_the_probabilities_of_networks(segmenter):
    """Against the mean written out; other strategies beside it stay as they are."""
    torch.manual_seed(1)
    other = copy.deepcopy(segmenter)
    for parameter in other.head.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    both, found = Strategy(flip=True, ensemble=["3f9c2a"]), {}
    assert both.name == "flip_with-3f9c2a"
    assert both.settings()["ensemble"] == ["3f9c2a"]
    together = run(
        segmenter,
        [Strategy(), both],
        other_at=lambda id, stride: {("3f9c2a", None): other}[id, stride],
        on_image=lambda sample, maps: found.update({sample.id: maps[both.name]}),
    )
    assert np.array_equal(together["single"].rows, run(segmenter, [Strategy()])["single"].rows)
    for sample in Samples():
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            views = [
                network(seen).softmax(1) if seen is image else network(seen).softmax(1).flip(-1)
                for network in (segmenter, other)
                for seen in (image, image.flip(-1))
            ]
        mean = torch.stack(views).mean(0)[0]
        best = mean.topk(2, dim=0).values
        clear = (best[0] - best[1]) > 1e-5
        assert torch.equal(torch.from_numpy(found[sample.id])[clear].long(), mean.argmax(0)[clear])
    with pytest.raises(ConfigError, match=r"^ensemble=3f9c2a: .*; use segsweep test RUN"):
        run(segmenter, [both])


@pytest.mark.parametrize("ids", [["a", "a"], ["runs/a"], [""]])
def test_an_ensemble_names_different_runs(ids):
    with pytest.raises(ConfigError, match=r"^ensemble="):
        Strategy(ensemble=ids)
