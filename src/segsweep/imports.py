"""Import libraries without what they import in passing: a fifth of what a short run costs.

torchmetrics imports scipy.signal to see that it has `hamming`, timm imports wandb for a logger that segsweep
does not use, and torchmetrics matplotlib for plots that it does not draw. The first two are replaced by a
`StandIn`, which imports the module once it is used; for the third, torchmetrics is told that there is none.
"""

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PASSING = {"torchmetrics": ("scipy.signal", "hamming"), "timm": ("wandb", "")}
"""For a library, a module that it imports in passing and the function whose presence it checks."""
UNWANTED = {"torchmetrics.utilities.imports": "_MATPLOTLIB_AVAILABLE"}
"""For a module, its constant that says whether an optional library is there."""


class StandIn(ModuleType):
    """A module that is imported at the first use; looking up `function` is none, calling it is."""

    def __init__(self, name: str, function: str) -> None:
        super().__init__(name)
        self._function = function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these
            raise AttributeError(name)
        return partial(self._call, name) if name == self._function else self._of_module(name)

    def _call(self, function: str, *arguments: Any, **options: Any) -> Any:
        return self._of_module(function)(*arguments, **options)

    def _of_module(self, name: str) -> Any:
        self.leave()
        return getattr(import_module(self.__name__), name)

    def leave(self) -> None:
        """Let the next import find the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


class Lightly(Loader):
    """The loader of a module in `PASSING` or `UNWANTED`, around the one that Python finds."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the module to its own loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import the module, a stand-in in place of what it imports in passing."""
        stand_in = StandIn(*PASSING.get(module.__name__, ("", "")))
        sys.modules.setdefault(stand_in.__name__, stand_in)
        try:
            self.loader.exec_module(module)
        finally:
            stand_in.leave()
        if module.__name__ in UNWANTED:
            setattr(module, UNWANTED[module.__name__], False)


class Finder(MetaPathFinder):
    """Finds the modules in `PASSING` and `UNWANTED` where Python finds them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return such a module's spec with `Lightly` around its loader; None for all others."""
        spec = PathFinder.find_spec(name, path, target) if name in PASSING or name in UNWANTED else None
        if spec is not None and spec.loader is not None:
            spec.loader = Lightly(spec.loader)
        return spec


def import_lightly() -> None:
    """Import such modules lightly from now on in this process."""
    sys.meta_path.insert(0, Finder())
