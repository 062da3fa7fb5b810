"""Grid pooling and the way back to the map's size, by operators that do not depend on the size.

torch's adaptive pooling wants the number of cells as a plain number, which would bind a recorded program to
one shape of map. Both operations are linear in rows and in columns (see `separable_maps`); their matrices
are computed here from the map's size, by the program itself. There are always as many rows of cells as the
grid may have, and as many columns as the map; those beyond the grid's own weigh nothing.

Shape letters: `B` images, `C` channels, `h w` the map, `n` cells along a side of length `s`.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def pooled_and_resized(
    x: Tensor, rows: int, operation: Callable[[Tensor], Tensor], align_corners: bool = False
) -> Tensor:
    """Average [B, C, h, w] over a grid, apply an operation to each cell, resize to [B, D, h, w] bilinearly.

    The grid is that of `heads.atonet.grid(rows, (h, w))`; results differ from torch's by rounding.
    """
    height, width = (torch.full((), side, dtype=torch.int64, device=x.device) for side in x.shape[-2:])
    row_count = height.clamp(max=rows)
    # Python's round and torch's agree on halves, which go to the even number.
    columns = torch.round(rows * width.double() / height.double()).long().clamp(min=1)
    by_rows = matrices(torch.arange(rows, device=x.device), row_count, x, 2, align_corners)
    every_column = torch.arange(x.shape[3], device=x.device)
    by_columns = matrices(every_column, torch.minimum(columns, width), x, 3, align_corners)
    return _through_cells(x, by_rows, by_columns, operation)


def pooled_and_resized_squarely(x: Tensor, bins: int, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """The same with a grid of `bins` rows and as many columns, on a map of any size."""
    cells, count = torch.arange(bins, device=x.device), torch.full((), bins, device=x.device)
    by_rows, by_columns = (matrices(cells, count, x, axis) for axis in (2, 3))
    return _through_cells(x, by_rows, by_columns, operation)


def _through_cells(
    x: Tensor,
    rows: tuple[Tensor, Tensor],
    columns: tuple[Tensor, Tensor],
    operation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Average by each side's first matrix, apply the operation, resize by the second."""
    cells = operation(rows[0] @ (x @ columns[0].T))
    return rows[1] @ (cells @ columns[1].T)


def matrices(
    cells: Tensor, count: Tensor, x: Tensor, axis: int, align_corners: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the matrices [n, s] that averages a side over `count` cells, and [s, n] that resizes them to it.

    Cell i of adaptive pooling has the pixels from ⌊i·s/count⌋ to ⌈(i + 1)·s/count⌉, that one not included.
    """
    side = x.shape[axis]
    pixels, cells = torch.arange(side, device=x.device), cells[:, None]
    first = torch.div(cells * side, count, rounding_mode="floor")
    end = torch.div((cells + 1) * side + count - 1, count, rounding_mode="floor")
    inside = (pixels >= first) & (pixels < end) & (cells < count)
    average = inside.to(x.dtype) / (end - first).to(x.dtype)
    if align_corners:
        centres = pixels.to(x.dtype) * (count.to(x.dtype) - 1) / pixels[-1].clamp(min=1).to(x.dtype)
    else:
        centres = (pixels.to(x.dtype) + 0.5) * count.to(x.dtype) / side - 0.5
    centres = torch.minimum(centres.clamp(min=0), count.to(x.dtype) - 1)[:, None]
    return average, (1 - (centres - cells.T.to(x.dtype)).abs()).clamp(min=0)
