"""EMANet, EncNet, CFNet and RefineNet against their equations, written out pixel by pixel."""

import numpy as np
import pytest
import torch
from torch import nn

from segsweep.networks import Encoder
from segsweep.networks.encoder_head import EncoderHead
from segsweep.networks.heads.cfnet import CoOccurrence
from segsweep.networks.heads.emanet import ExpectationMaximization
from segsweep.networks.heads.encnet import EncNet, Encoding
from segsweep.networks.heads.refinenet import ChainedPooling, ResidualUnit
from segsweep.training.losses import CrossEntropy


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_expectation_maximization_pixel_by_pixel():
    torch.manual_seed(0)
    unit = ExpectationMaximization(6, bases=3, iterations=2, momentum=0.75).double().train()
    unit.into, unit.out = nn.Identity(), nn.Identity()
    x = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    first = unit.bases.clone().numpy()
    found = unit(x).numpy()
    ends = []
    for image, result in zip(x.numpy(), found, strict=True):
        pixels, bases = image.reshape(6, -1).T, first
        for _ in range(2):
            parts = np.stack([softmax(pixel @ bases) for pixel in pixels])  # N × K
            means = [parts[:, k] @ pixels / (parts[:, k].sum() + 1e-6) for k in range(3)]
            bases = np.stack([mean / np.linalg.norm(mean) for mean in means], axis=1)
        described = (bases @ parts.T).reshape(6, 4, 5)
        np.testing.assert_allclose(result, np.maximum(0, image + np.maximum(0, described)), rtol=1e-9)
        ends.append(bases)
    np.testing.assert_allclose(unit.bases.numpy(), 0.75 * first + 0.25 * np.mean(ends, axis=0), rtol=1e-9)
    kept = unit.bases.clone()
    unit.eval()(x)
    assert torch.equal(unit.bases, kept), "prediction learns nothing"


def test_encoding_pixel_by_pixel():
    torch.manual_seed(0)
    encoding = Encoding(5, codewords=4).double()
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    words, smoothing = encoding.codewords.detach().numpy(), encoding.smoothing.detach().numpy()
    expected = np.zeros((2, 4, 5))
    for image, total in zip(x.numpy(), expected, strict=True):
        for pixel in image.reshape(5, -1).T:
            residuals = pixel - words
            shares = softmax(smoothing * (residuals**2).sum(axis=1))
            total += shares[:, None] * residuals
    np.testing.assert_allclose(encoding(x).detach().numpy(), expected, rtol=1e-9)


def test_what_occurs_together_pixel_by_pixel():
    torch.manual_seed(0)
    module = CoOccurrence(6, width=4, mixtures=2).double().eval()
    x = torch.randn(1, 6, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        found = module(x)[0].numpy().reshape(4, -1)
        query, prior = module.query(x)[0].numpy(), softmax(module.prior(x.mean((2, 3)))[0].numpy())
        padded = np.full((6, 6, 4), np.nan)
        padded[:, :5, :3] = x[0].numpy()
        places = torch.tensor(np.nanmean(padded.reshape(6, 3, 2, 2, 2), axis=(2, 4)))[None]
        key, value = (part(places)[0].numpy().reshape(-1, 6) for part in (module.key, module.value))
    inner = module.inner
    for n, q in enumerate(query.reshape(2 * inner, -1).T):
        likely = [
            softmax(key[m * inner : (m + 1) * inner].T @ q[m * inner : (m + 1) * inner] / inner**0.5)
            for m in range(2)
        ]
        np.testing.assert_allclose(
            found[:, n], value @ (prior[0] * likely[0] + prior[1] * likely[1]), rtol=1e-8
        )


def test_chained_pooling_and_residual_unit_by_hand():
    """With kernels that copy the middle pixel a chain is a sum of ever wider maxima."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 9, 8)
    chain, unit = ChainedPooling(1, pools=2), ResidualUnit(1)
    for module in (*chain.modules(), *unit.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.5)
    image = np.maximum(x[0, 0].numpy(), 0)

    def largest(reach):
        padded = np.pad(image, reach, constant_values=-np.inf)
        return np.array(
            [[padded[i : i + 2 * reach + 1, j : j + 2 * reach + 1].max() for j in range(8)] for i in range(9)]
        )

    with torch.no_grad():
        np.testing.assert_allclose(chain(x)[0, 0].numpy(), image + largest(2) + largest(4), rtol=1e-6)
        np.testing.assert_allclose(unit(x)[0, 0].numpy(), x[0, 0].numpy() + image + 0.5, rtol=1e-6)


@pytest.mark.parametrize("weight", [0.2, 0])
def test_encnet_learns_which_classes_an_image_has(weight):
    """The whole loss against its parts by hand; a network that predicts has no such layer."""
    torch.manual_seed(0)
    encoder = Encoder("resnet18", output_stride=16)
    head = EncNet(encoder.channels, encoder.reductions, 4, width=8, presence_weight=weight)
    assert not any("presence" in name for name, _ in head.named_parameters())
    head.add_auxiliary(encoder.channels, encoder.reductions, 4)
    network = EncoderHead(encoder, head).train()
    labels = torch.full((2, 36, 48), 255)
    labels[0, :20], labels[1, :9], labels[1, 9:10, :3] = 1, 3, 0
    logits, auxiliary = network.forward_train(torch.rand(2, 3, 36, 48) * 255)
    loss = CrossEntropy()
    total = loss(logits, labels, auxiliary, network.auxiliary_weights)
    assert list(auxiliary) == (["presence"] if weight else [])
    expected = loss(logits, labels).item()
    if weight:
        chances = 1 / (1 + np.exp(-auxiliary["presence"].detach().numpy().astype(float)))
        there = np.array([[0, 1, 0, 0], [1, 0, 0, 1]])
        expected += weight * -np.log(np.where(there, chances, 1 - chances)).mean()
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert network.eval().forward_train(torch.rand(1, 3, 36, 48))[1] == {}
