"""Training runs side by side on the cores of one machine, against one run alone.

    python -m benchmarks.neighbours [--runs 2] [--batch 8] [--size 128x128] [--steps 40]

The runs are `segsweep train` commands with other seeds, timed from outside as in benchmarks/step.py. Wanted
of two: each at least 40 % as fast as one alone.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.data.writers import write_camvid

from benchmarks.report import Row, parser, report
from benchmarks.step import overrides, through_segsweep


def main() -> None:
    options = parser(__doc__, "neighbours")
    options.add_argument("--device", default="cpu")
    options.add_argument("--runs", type=int, default=2)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--size", default="128x128")
    options.add_argument("--workers", type=int, default=0)
    options.add_argument("--steps", type=int, default=40)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_camvid(data / "camvid", train=64, size=(360, 480))
        words = overrides(asked, data)

        def run(number: int) -> float:
            return through_segsweep([*words, f"seed={number}"], Path(folder) / str(number))

        alone = run(0)
        with ThreadPoolExecutor(asked.runs) as pool:
            together = list(pool.map(run, range(1, asked.runs + 1)))
    rows: list[Row] = [{"runs": 1, "run": "alone", "ms a step": 1000 * alone, "speed, % of alone": 100.0}]
    for number, seconds in enumerate(together, 1):
        named = {"runs": asked.runs, "run": str(number), "ms a step": 1000 * seconds}
        rows.append({**named, "speed, % of alone": 100 * alone / seconds})
    wanted = " (wanted: ≥ 40 %)" if asked.runs == 2 else ""
    report(asked, {f"{asked.batch}×{asked.size}, {asked.device}{wanted}": rows})


if __name__ == "__main__":
    main()
