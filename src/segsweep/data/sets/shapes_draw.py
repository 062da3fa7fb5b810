"""Drawing a picture of Shapes: outlines, textures and clutter, from one random generator.

Shape letters: `H`, `W` the picture, `P` points of a polygon.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX

CLASSES = ("background", "disk", "square", "triangle", "ring", "cross")
SIZE_RANGE = 16  # the largest object's diameter divided by the smallest's
OBJECTS = (3, 8)  # least and largest number of objects in a picture

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_CUES = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-0.7, -0.6, 0.4], [0.4, -0.6, -0.7]], dtype=np.float32
)
"""Each class's mean colour (RGB) minus grey, in units of `_CUE`."""
_CUE, _SPREAD, _GROUND = 44.0, 26.0, 18.0
"""Grey levels: the difference of mean colours, and the deviation of objects and of grounds."""


def draw(
    rng: np.random.Generator, height: int, width: int, num_classes: int, border: int
) -> tuple[Bytes, Bytes]:
    """Return a picture (image uint8 [H, W, 3], label uint8 [H, W]); `num_classes` includes the background.

    Large objects are drawn first and small ones over them. `border` is the width in pixels of the ignored
    outline around each object.
    """
    fields = [noise(rng, height, width, cells) for cells in (4, 16, 48)]
    image, label = ground(rng, fields), np.zeros((height, width), dtype=np.uint8)
    clutter(rng, image, fields)
    count = int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))
    for size in sorted(diameters(rng, count, height, width), reverse=True):
        kind = int(rng.integers(1, num_classes))
        mask = np.zeros((height, width), dtype=np.uint8)
        cv2.fillPoly(mask, _place(rng, outline(kind, size), height, width), 1, shift=4)
        if border:
            kernel = np.ones((2 * border + 1, 2 * border + 1), dtype=np.uint8)
            label[cv2.dilate(mask, kernel) > 0] = IGNORE_INDEX
        inside = mask > 0
        label[inside] = kind
        image[inside] = surface(rng, fields, _CUES[kind] * _CUE)[inside]
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * 5
    image = np.clip(cv2.GaussianBlur(image, (3, 3), 0.6) + grain, 0, 255)
    return image.astype(np.uint8), label


def diameters(rng: np.random.Generator, count: int, height: int, width: int) -> list[float]:
    """Return object sizes in pixels, log-uniform from a sixteenth of the shorter side to all of it."""
    largest = min(height, width)
    return [float(d) for d in largest * SIZE_RANGE ** -rng.random(count)]


def outline(kind: int, diameter: float) -> list[Floats]:
    """Return the polygons [P, 2] of a class around the origin, in pixels, of area diameter² / 2.

    Equal areas keep the classes' shares of pixels equal. By the even-odd rule two circles make a ring.
    """
    name = CLASSES[kind]
    if name == "square":
        polygons = [_regular(4)]
    elif name == "triangle":
        polygons = [_regular(3)]
    elif name == "cross":
        polygons = [_cross(arm=1.0, reach=2.8)]
    else:
        polygons = [_regular(48)] + ([_regular(48) * 0.6] if name == "ring" else [])
    area = _area(polygons[0]) - sum(_area(hole) for hole in polygons[1:])
    return [polygon * np.float32(diameter * np.sqrt(0.5 / area)) for polygon in polygons]


def _regular(corners: int) -> Floats:
    angle = np.arange(corners, dtype=np.float32) * (2 * np.pi / corners)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def _cross(arm: float, reach: float) -> Floats:
    """Return a plus sign whose bars are twice `arm` wide and twice `reach` long."""
    corner = np.array([[arm, arm], [arm, reach], [-arm, reach]])
    quarter_turn = np.array([[0, 1], [-1, 0]])
    turned = [corner @ np.linalg.matrix_power(quarter_turn, turns) for turns in range(4)]
    return np.concatenate(turned).astype(np.float32)


def _area(polygon: Floats) -> float:
    x, y = polygon.T  # the shoelace formula
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _place(
    rng: np.random.Generator, polygons: list[Floats], height: int, width: int
) -> list[NDArray[np.int32]]:
    """Rotate and move polygons at random within the picture; return sixteenths of a pixel."""
    angle, centre = rng.random() * 2 * np.pi, rng.random(2) * (width, height)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return [np.round((polygon @ turn + centre) * 16).astype(np.int32) for polygon in polygons]


def noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Floats:
    """Return one octave of smooth noise [H, W, 1] of unit deviation, `cells` along the longer side."""
    step = max(height, width) / cells
    shape = (max(2, round(height / step)), max(2, round(width / step)))
    grid = rng.standard_normal(shape, dtype=np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, dtype=np.float32)[..., None]


def surface(rng: np.random.Generator, fields: list[Floats], cue: Floats, spread: float = _SPREAD) -> Floats:
    """Return a textured colour [H, W, 3]: grey + cue + a random colour + a random mixture of octaves."""
    colour = 128 + cue + rng.normal(0, spread, 3).astype(np.float32)
    weights = rng.random(len(fields), dtype=np.float32) * 14
    texture = np.concatenate(fields, axis=2) @ weights
    return np.asarray(colour + texture[..., None] * rng.uniform(0.5, 1.5, 3), dtype=np.float32)


def ground(rng: np.random.Generator, fields: list[Floats]) -> Floats:
    """Return the background [H, W, 3]: a surface with a gradient across the picture."""
    height, width = fields[0].shape[:2]
    slope = rng.normal(0, 12, (2, 3)).astype(np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    even = surface(rng, fields, _CUES[0], _GROUND)
    return np.asarray(even + y * slope[0] + x * slope[1], dtype=np.float32)


def clutter(rng: np.random.Generator, image: Floats, fields: list[Floats]) -> None:
    """Draw distractors into the background: patches of objects' colours, lines and specks."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(0, 3))):
        cue = _CUES[int(rng.integers(1, len(_CUES)))] * _CUE
        mirror, sign = slice(None, None, int(rng.choice([-1, 1]))), float(rng.choice([-1, 1]))
        patch = sign * fields[0][:, mirror, 0] > rng.uniform(0.9, 1.6)
        image[patch] = surface(rng, fields, cue)[patch]
    for _ in range(int(rng.integers(2, 7))):
        (x0, y0), (x1, y1) = (rng.random((2, 2)) * (width, height)).astype(int).tolist()
        cv2.line(image, (x0, y0), (x1, y1), rng.uniform(0, 255, 3).tolist(), int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(5, 20))):
        x, y = (rng.random(2) * (width, height)).astype(int).tolist()
        cv2.circle(image, (x, y), int(rng.integers(1, 3)), rng.uniform(0, 255, 3).tolist(), -1)
