"""Transforms of albumentations behind our own augmentation (`augment.extra`).

They may return anything and fill labels with class 0, so they are tried before training, every result is
checked, and pixels that they fill in a label are ignored by default.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pydoc import locate
from random import Random
from typing import Any

import numpy as np

from segsweep.data.sample import IGNORE_INDEX, Sample
from segsweep.data.sampling import key
from segsweep.errors import OptionError, UserError

FILL = "fill_mask"  # albumentations' option for the label of pixels that a transform fills
TRIES = 4  # trials of a pipeline, because some of its transforms may be alternatives


def import_albumentations() -> Any:
    """Import albumentations, which takes two seconds, and return it.

    Raises:
        UserError: AlbumentationsX, another package with the same import name, is installed in its place.
    """
    try:
        other = version("albumentationsx")
    except PackageNotFoundError:
        import albumentations

        return albumentations
    raise UserError(
        f"AlbumentationsX {other} is installed in place of albumentations; it is AGPL and sends usage "
        "statistics, so it is not imported: pip uninstall albumentationsx, then "
        "pip install --force-reinstall --no-deps 'albumentations<2.1'"
    )


def with_ignored_fill(extra: Any) -> Any:
    """Return the configuration of transforms with `fill_mask: 255` at any depth if it is not given.

    albumentations' own default is class 0, or None for a transform that does not fill labels, which stays.
    """
    if isinstance(extra, list):
        return [with_ignored_fill(item) for item in extra]
    if not isinstance(extra, Mapping):
        return extra
    node = {name: with_ignored_fill(value) for name, value in extra.items()}
    return {**node, FILL: IGNORE_INDEX} if FILL not in node and _fills(node.get("_target_")) else node


def _fills(target: object) -> bool:
    """Return whether the name is a transform of albumentations that fills labels by default."""
    if not str(target).startswith("albumentations."):
        return False
    import_albumentations()
    found = locate(str(target))
    option = inspect.signature(found).parameters.get(FILL) if inspect.isclass(found) else None
    return option is not None and isinstance(option.default, int | float)


class Extra:
    """A sequence of transforms, applied to crops of one size."""

    def __init__(self, transforms: Sequence[Any], size: tuple[int, int]) -> None:
        """Take the transforms in their order, and the crop's (H, W).

        Raises ConfigError, naming the transform, if one is not from albumentations, has an unknown option,
        cannot be applied, or returns anything but an image uint8 [H, W, 3] with a label uint8 [H, W].
        """
        library = import_albumentations()
        self.size = size
        for transform in transforms:
            if not isinstance(transform, library.BasicTransform | library.BaseCompose):
                raise OptionError(
                    "extra",
                    problem=f"{transform!r} is no transform of albumentations",
                    remedy="give a list of them, as {_target_: albumentations.RandomGamma, p: 0.5}",
                )
        for leaf in _leaves(transforms):
            # FrequencyMasking and TimeMasking fill with 0 and have no option for it.
            if getattr(leaf, FILL, None) is not None and FILL not in inspect.signature(type(leaf)).parameters:
                setattr(leaf, FILL, IGNORE_INDEX)
        try:
            # An unknown option of a transform is only a warning unless strict.
            self._pipeline = library.Compose(list(transforms), strict=True)
        except ValueError as error:
            raise OptionError("extra", problem=_line(error)) from error
        self._try()

    def __call__(self, sample: Sample, state: int) -> Sample:
        """Apply all transforms to copies of a sample's arrays, with randomness drawn from `state`.

        Raises ConfigError as `__init__` does, for errors that occur only with some samples.
        """
        # All transforms share a generator: Compose itself gives them equal ones, with correlated draws.
        self._pipeline.set_random_state(np.random.default_rng(state), Random(key(state, "extra")))
        image, label, wrong = self._apply(self._pipeline, sample.image.copy(), sample.label.copy())
        if wrong:
            raise OptionError("extra", problem=f"{self._culprit(sample)} {wrong}")
        return Sample(image, label, sample.id)

    def _try(self) -> None:
        """Apply every transform to noise of one class, regardless of probabilities."""
        image = np.random.default_rng(0).integers(0, 256, (*self.size, 3), dtype=np.uint8)
        sample = Sample(image, np.ones(self.size, dtype=np.uint8), "noise")
        certain = copy.copy(self)
        certain._pipeline = _certain(self._pipeline)
        leaves = list(_leaves([self._pipeline]))
        asked = any(getattr(leaf, FILL, None) == 0 or type(leaf).__name__ == "Lambda" for leaf in leaves)
        for state in range(TRIES if len(leaves) > 1 else 1):
            if not certain(sample, state).label.all() and not asked:
                names = ", ".join(map(_name, leaves))
                problem = f"{names} fills labels with class 0 and has no option {FILL}"
                raise OptionError("extra", problem=problem, remedy="leave it out")

    def _apply(self, transform: Any, image: Any, label: Any) -> tuple[Any, Any, str]:
        """Return the transformed image and label, and what is wrong with them or an empty text."""
        try:
            done = transform(image=image, mask=label)
        except Exception as error:  # albumentations and OpenCV raise anything
            reason = f"{type(error).__name__}: {_line(error)}"
            return image, label, f"cannot be applied to an image and its label ({reason}); leave it out"
        return done["image"], done["mask"], self._wrong(done["image"], done["mask"])

    def _wrong(self, image: Any, label: Any) -> str:
        for name, array, shape in (("an image", image, (*self.size, 3)), ("a label", label, self.size)):
            if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.shape != shape:
                found = getattr(array, "dtype", type(array).__name__), list(getattr(array, "shape", []))
                return (
                    f"gives {name} of {found[0]} {found[1]}; expected uint8 {list(shape)}: leave out what "
                    "normalises, converts or resizes, as the network normalises and augment scales and crops"
                )
        return ""

    def _culprit(self, sample: Sample) -> str:
        """Return the name of the first transform whose result is invalid; all names if none is now."""
        transforms = _certain(self._pipeline).transforms
        image, label = sample.image.copy(), sample.label.copy()
        for transform in transforms:
            image, label, wrong = self._apply(transform, image, label)
            if wrong:
                return _name(transform)
        return ", ".join(map(_name, transforms))


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        inside = getattr(transform, "transforms", None)
        if inside is None:
            yield transform
        else:
            yield from _leaves(list(inside))


def _certain(pipeline: Any) -> Any:
    """Return a copy that always applies every transform, or one of alternatives."""
    library = import_albumentations()
    certain = copy.deepcopy(pipeline)
    stack = [certain]
    while stack:
        transform = stack.pop()
        stack += getattr(transform, "transforms", None) or []
        if not isinstance(transform, library.OneOrOther):  # whose p is the first alternative's share
            transform.p = 1.0
    return certain


def _name(transform: Any) -> str:
    inside = getattr(transform, "transforms", None)
    name = type(transform).__name__
    return name if inside is None else f"{name}({', '.join(map(_name, inside))})"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
