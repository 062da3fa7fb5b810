"""Triton kernels of KSAC's shared product; `shared_kernel_triton` launches them, and alone imports this.

N = B·H·W pixels in one row, C channels last, R atrous rates: taps [N, 9, C], maps [R, N, C]. A program works
on a tile of PIXELS × CHANNELS in TYPE. Rates and C are constants of a kernel; N, H and W are not, so that no
batch or map size compiles anew. Offsets are int64, since a large map's taps are more than 2³¹ elements.
"""

import triton
import triton.language as tl

SIZES = ["N", "H", "W", "first", "end", "row", "tiles", "step", "per"]  # not specialised
FLOAT32, FLOAT64 = tl.float32, tl.float64


@triton.jit
def tile(block, N, C: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return pixels [P], channels [Q] and which elements of the tile exist [P, Q]."""
    pixels = block * PIXELS + tl.arange(0, PIXELS)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return pixels, channels, (pixels < N)[:, None] & (channels < C)[None, :]


@triton.jit
def offsets(pixels, channels, STRIDE: tl.constexpr):
    """Offsets [P, Q] of a tile where consecutive pixels are STRIDE elements apart."""
    return pixels.to(tl.int64)[:, None] * STRIDE + channels[None, :]


@triton.jit
def layer(i, N, C: tl.constexpr):
    """Offset of rate i's map."""
    return tl.cast(N, tl.int64) * C * i


@triton.jit
def load_row(matrix, i, channels, C: tl.constexpr, TYPE: tl.constexpr):
    """Row i of a matrix [R, C], to be combined with a tile: [1, Q]."""
    return tl.load(matrix + i * C + channels, mask=channels < C, other=0.0).to(TYPE)[None, :]


@triton.jit
def neighbours(y, x, H, W, rate: tl.constexpr, k: tl.constexpr):
    """Return where tap k of `rate` lies inside the map [P], and how many pixels further on it is."""
    down: tl.constexpr = (k // 3 - 1) * rate
    right: tl.constexpr = (k % 3 - 1) * rate
    inside = (y + down >= 0) & (y + down < H) & (x + right >= 0) & (x + right < W)
    return inside[:, None], tl.cast(W, tl.int64) * down + right


@triton.jit
def sum_taps(at, centre, live, y, x, H, W, C: tl.constexpr, rate: tl.constexpr):
    """Σ_k of the tap maps for one rate [P, Q]; `centre` is tap 4, the same for all rates."""
    total = centre
    for k in tl.static_range(9):
        if k != 4:
            inside, further = neighbours(y, x, H, W, rate, k)
            tap = tl.load(at + further * (9 * C) + k * C, mask=live & inside, other=0.0)
            total += tap.to(total.dtype)
    return total


@triton.jit(do_not_specialize=SIZES)
def shift_add(
    taps, maps, means, squares, N, H, W, first, end, row, tiles, C: tl.constexpr, RATES: tl.constexpr,
    TYPE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Add the shifted taps of the pixels from `first` to `end`, whole images, to these pixels of the maps.

    With `means`, also give each tile's mean and Σ (value − mean)² [R, tiles, C], from row `row` on. They are
    those of the maps as stored, so that they fit what is normalised with them.
    """
    block = tl.program_id(0)
    pixels, channels, live = tile(block, end - first, C, PIXELS, CHANNELS)
    y, x = pixels // W % H, pixels % W
    at = taps + offsets(pixels, channels, 9 * C)
    to = maps + offsets(first + pixels, channels, C)
    centre = tl.load(at + 4 * C, mask=live, other=0.0).to(TYPE)
    for i in tl.static_range(len(RATES)):
        value = sum_taps(at, centre, live, y, x, H, W, C, RATES[i]).to(maps.dtype.element_ty)
        tl.store(to + layer(i, N, C), value, mask=live)
        if means is not None:
            count = tl.minimum(end - first - block * PIXELS, PIXELS).to(TYPE)
            mean = tl.sum(value.to(TYPE), 0) / count
            deviation = tl.where(live, value.to(TYPE) - mean[None, :], 0.0)
            place = (tiles * i + row + block) * C + channels
            tl.store(means + place, mean, mask=channels < C)
            tl.store(squares + place, tl.sum(deviation * deviation, 0), mask=channels < C)


@triton.jit(do_not_specialize=SIZES)
def shift_add_backward(
    gradients, taps, N, H, W, first, end, C: tl.constexpr, RATES: tl.constexpr, TYPE: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Add the maps' gradients, shifted back, to the taps': the adjoint of `shift_add`, as a gather."""
    pixels, channels, live = tile(tl.program_id(0), end - first, C, PIXELS, CHANNELS)
    y, x = pixels // W % H, pixels % W
    at = gradients + offsets(first + pixels, channels, C)
    to = taps + offsets(pixels, channels, 9 * C)
    for k in tl.static_range(9):
        total = tl.full([PIXELS, CHANNELS], 0.0, TYPE)
        for i in tl.static_range(len(RATES)):
            inside, further = neighbours(y, x, H, W, RATES[i], 8 - k)  # opposite of tap k
            gradient = tl.load(at + layer(i, N, C) + further * C, mask=live & inside, other=0.0)
            total += gradient.to(TYPE)
        tl.store(to + k * C, total.to(taps.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=SIZES)
def shift_add_inference(
    taps, scale, bias, output, N, H, W, C: tl.constexpr, RATES: tl.constexpr, FUSE: tl.constexpr,
    TYPE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Give ReLU(scale · map + bias) for each rate; with FUSE only the sum over rates is written."""
    pixels, channels, live = tile(tl.program_id(0), N, C, PIXELS, CHANNELS)
    y, x = pixels // W % H, pixels % W
    at = taps + offsets(pixels, channels, 9 * C)
    to = output + offsets(pixels, channels, C)
    centre = tl.load(at + 4 * C, mask=live, other=0.0).to(TYPE)
    total = tl.full([PIXELS, CHANNELS], 0.0, TYPE)
    for i in tl.static_range(len(RATES)):
        value = sum_taps(at, centre, live, y, x, H, W, C, RATES[i])
        value = value * load_row(scale, i, channels, C, TYPE) + load_row(bias, i, channels, C, TYPE)
        value = tl.where(value < 0, 0.0, value)  # unlike tl.maximum, keeps NaN
        total += value
        if not FUSE:
            tl.store(to + layer(i, N, C), value.to(output.dtype.element_ty), mask=live)
    if FUSE:
        tl.store(to, total.to(output.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=SIZES)
def combine_statistics(
    means, squares, mean, var, N, tiles, step, per, C: tl.constexpr, TYPE: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Combine the tiles' statistics of rate program_id(0) as Chan, Golub and LeVeque (1979) do."""
    rate = tl.program_id(0)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.full([ROWS, CHANNELS], 0.0, TYPE)
    for start in range(0, tiles, ROWS):
        count, at, live = tile_rows(start, rate, channels, N, tiles, step, per, C, PIXELS, ROWS)
        total += count.to(TYPE) * tl.load(means + at, mask=live, other=0.0)
    whole = tl.sum(total, 0) / N.to(TYPE)
    total = tl.full([ROWS, CHANNELS], 0.0, TYPE)
    for start in range(0, tiles, ROWS):
        count, at, live = tile_rows(start, rate, channels, N, tiles, step, per, C, PIXELS, ROWS)
        deviation = tl.load(means + at, mask=live, other=0.0) - whole[None, :]
        total += tl.load(squares + at, mask=live, other=0.0) + count.to(TYPE) * deviation * deviation
    tl.store(mean + rate * C + channels, whole, mask=channels < C)
    tl.store(var + rate * C + channels, tl.sum(total, 0) / N.to(TYPE), mask=channels < C)


@triton.jit
def tile_rows(
    start, rate, channels, N, tiles, step, per, C: tl.constexpr, PIXELS: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    """Return the pixels of ROWS tiles [ROWS, 1], and where their statistics are [ROWS, Q], if they exist.

    Every `step` pixels have `per` tiles, the last of which may be a part of one.
    """
    rows = start + tl.arange(0, ROWS)
    end = tl.minimum((rows // per + 1) * step, N)
    count = tl.minimum(end - rows // per * step - rows % per * PIXELS, PIXELS)
    at = (rate * tiles + rows)[:, None] * C + channels[None, :]
    return tl.where(rows < tiles, count, 0)[:, None], at, (rows < tiles)[:, None] & (channels < C)[None, :]


@triton.jit
def load_norm(mean, var, weight, bias, eps, i, channels, C: tl.constexpr, TYPE: tl.constexpr):
    """Return the mean, 1 / √(var + eps), weight and bias of rate i, each [1, Q]."""
    inverse = 1.0 / tl.sqrt(load_row(var, i, channels, C, TYPE) + eps)
    scale = load_row(weight, i, channels, C, TYPE)
    return load_row(mean, i, channels, C, TYPE), inverse, scale, load_row(bias, i, channels, C, TYPE)


@triton.jit(do_not_specialize=SIZES)
def normalise_relu_sum(
    maps, mean, var, weight, bias, output, N, eps, C: tl.constexpr, R: tl.constexpr, FUSE: tl.constexpr,
    TYPE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Normalise each rate's map and apply ReLU; with FUSE only the sum over rates is written."""
    pixels, channels, live = tile(tl.program_id(0), N, C, PIXELS, CHANNELS)
    at = offsets(pixels, channels, C)
    total = tl.full([PIXELS, CHANNELS], 0.0, TYPE)
    for i in tl.static_range(R):
        centre, inverse, scale, shift = load_norm(mean, var, weight, bias, eps, i, channels, C, TYPE)
        value = tl.load(maps + layer(i, N, C) + at, mask=live, other=0.0).to(TYPE)
        value = (value - centre) * inverse * scale + shift
        value = tl.where(value < 0, 0.0, value)
        total += value
        if not FUSE:
            tl.store(output + layer(i, N, C) + at, value.to(output.dtype.element_ty), mask=live)
    if FUSE:
        tl.store(output + at, total.to(output.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=SIZES)
def sum_gradients(
    gradient, maps, mean, var, weight, bias, sums, N, eps, C: tl.constexpr, FUSE: tl.constexpr,
    STEPS: tl.constexpr, TYPE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sum ReLU's gradient, and times x̂, over STEPS tiles for rate program_id(2): sums [2, R, programs, C]."""
    i = tl.program_id(2)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    centre, inverse, scale, shift = load_norm(mean, var, weight, bias, eps, i, channels, C, TYPE)
    by_bias = tl.full([PIXELS, CHANNELS], 0.0, TYPE)
    by_weight = tl.full([PIXELS, CHANNELS], 0.0, TYPE)
    first = tl.program_id(0) * STEPS
    for block in range(first, tl.minimum(first + STEPS, tl.cdiv(N, PIXELS))):
        pixels, channels, live = tile(block, N, C, PIXELS, CHANNELS)
        at = offsets(pixels, channels, C)
        normed = (tl.load(maps + layer(i, N, C) + at, mask=live, other=0.0).to(TYPE) - centre) * inverse
        passed = tl.load(gradient + (0 if FUSE else layer(i, N, C)) + at, mask=live, other=0.0).to(TYPE)
        passed = tl.where(normed * scale + shift <= 0, 0.0, passed)
        by_bias += passed
        by_weight += passed * normed
    row = sums + (i * tl.num_programs(0) + tl.program_id(0)) * C
    half = tl.num_programs(2) * tl.num_programs(0) * C
    tl.store(row + channels, tl.sum(by_bias, 0), mask=channels < C)
    tl.store(row + half + channels, tl.sum(by_weight, 0), mask=channels < C)


@triton.jit(do_not_specialize=SIZES)
def normalise_backward(
    gradient, maps, mean, var, weight, bias, sums, gradients, N, eps, C: tl.constexpr, R: tl.constexpr,
    FUSE: tl.constexpr, TYPE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Give the maps' gradients through ReLU and BatchNorm, sums [2, R, C] being Σ g and Σ g·x̂ over pixels.

    weight / √(var + eps) · (g − Σg / N − x̂ · Σ(g·x̂) / N), Ioffe and Szegedy (2015), §3.
    """
    pixels, channels, live = tile(tl.program_id(0), N, C, PIXELS, CHANNELS)
    at = offsets(pixels, channels, C)
    for i in tl.static_range(R):
        centre, inverse, scale, shift = load_norm(mean, var, weight, bias, eps, i, channels, C, TYPE)
        normed = (tl.load(maps + layer(i, N, C) + at, mask=live, other=0.0).to(TYPE) - centre) * inverse
        passed = tl.load(gradient + (0 if FUSE else layer(i, N, C)) + at, mask=live, other=0.0).to(TYPE)
        passed = tl.where(normed * scale + shift <= 0, 0.0, passed)
        mean_passed = load_row(sums, i, channels, C, TYPE) / N.to(TYPE)
        mean_normed = load_row(sums, R + i, channels, C, TYPE) / N.to(TYPE)
        result = scale * inverse * (passed - mean_passed - normed * mean_normed)
        tl.store(gradients + layer(i, N, C) + at, result.to(gradients.dtype.element_ty), mask=live)
