"""What planning a sweep of a thousand runs costs, before anything trains.

    python -m benchmarks.planning [--members 1000] [--sweeps plain heads chains rates]

(a) each sweep in a process of its own: seconds of the processor (user and system) for imports, composing,
    checking and writing: at most 10 for 1,000 runs;
(b) composing and resolving a member against Hydra's own composition of it. The two alternate, so that a busy
    machine slows both; the ratio is the median over members.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.report import ROOT, Row, parser, report

PHASES = ("imports", "compose", "check", "write")
CHAIN = """first: {trainer: {max_steps: 30}, optimizer: {lr: 0.01}}
second: {trainer: {max_steps: 20}}
fine: {trainer: {max_steps: 10}, optimizer: {lr: 0.001}}
"""


def arguments(sweep: str, members: int) -> list[str]:
    """A sweep of so many runs on the generated data set."""
    quarter, eighth = f"seed=range({members // 4})", f"seed=range({members // 8})"
    return {
        "plain": [quarter, "head.rates=[1,2],[1,2,3]", "optimizer.lr=0.01,0.02"],
        "heads": [eighth, "head=none,aspp,ksac,deeplabv3plus", "optimizer.lr=0.01,0.02"],
        # Two stages that three last ones share: a run in five is a first, one a second.
        "chains": [
            f"seed=range({members // 5})",
            "stages=chain",
            "stages.fine.optimizer.lr=0.001,0.002,0.003",
        ],
        # A value of its own for each member, as a random search has.
        "rates": [f"optimizer.lr={','.join(f'{(i + 1) / members:g}' for i in range(members))}"],
    }[sweep]


def plan(sweep: str, members: int) -> dict[str, float]:
    """Seconds of the processor in each phase, from the start of the process, and the number of runs."""
    seconds, before = {}, 0.0

    def clock(phase: str) -> None:
        nonlocal before
        seconds[phase], before = time.process_time() - before, time.process_time()

    import segsweep.planning.dry_build  # noqa: F401
    from segsweep.planning.compose import compose
    from segsweep.planning.plan import check_member, merge, write_all
    from segsweep.sweeps.sweep import Sweep

    clock("imports")
    found = compose("train", ["-m", *arguments(sweep, members), "runs_dir=runs"])
    clock("compose")
    for member in found:
        check_member(member)
    clock("check")
    runs = merge(found)
    write_all(runs)
    Sweep.of(runs).write(runs)
    clock("write")
    return {"members": len(found), "runs": len(runs), **seconds}


def against_hydra(members: int) -> tuple[float, float]:
    """Milliseconds of Hydra's own composition of a member, and the ratio to ours."""
    from omegaconf import OmegaConf

    from segsweep.planning.compose import Request

    composer = Request("train", ["-m"]).composer
    composer.member(["seed=1", "head.rates=[1]"])
    ours, hydras = [], []
    for number in range(members):
        overrides = [f"seed={number}", f"head.rates=[{number}]"]
        start = time.perf_counter()
        composer.member(overrides)
        middle = time.perf_counter()
        config = composer.loader.load_sweep_config(composer.settings, overrides)
        run = [name for name in config if name != "hydra"]
        OmegaConf.to_container(OmegaConf.masked_copy(config, run), resolve=True)
        ours.append(middle - start)
        hydras.append(time.perf_counter() - middle)
    return 1000 * median(hydras), median(b / a for a, b in zip(ours, hydras, strict=True))


def alone(sweep: str, members: int) -> dict[str, float]:
    """`plan` in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        chains = Path(folder) / "conf" / "stages"
        chains.mkdir(parents=True)
        (chains / "chain.yaml").write_text(CHAIN)
        command = [sys.executable, "-m", "benchmarks.planning", "--alone", sweep, "--members", str(members)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        result = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def row(sweep: str, members: int) -> Row:
    """Seconds of the processor, user and system: by the clock, other work on the machine would count."""
    found = alone(sweep, members)
    phases = {f"{phase} (s)": found[phase] for phase in PHASES}
    named = {"sweep": sweep, "members": found["members"], "runs": found["runs"]}
    return {**named, **phases, "all (s)": sum(phases.values()), "wanted": "≤ 10" if members == 1000 else ""}


def main() -> None:
    options = parser(__doc__, "planning")
    options.add_argument("--members", type=int, default=1000)
    options.add_argument("--sweeps", nargs="*", default=["plain", "heads", "chains", "rates"])
    options.add_argument("--alone", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.alone:
        print(json.dumps(plan(asked.alone, asked.members)))
        return
    rows = [row(sweep, asked.members) for sweep in asked.sweeps]
    hydras, ratio = against_hydra(20)
    composed = [{"Hydra's own (ms)": hydras, "times ours": ratio}]
    report(asked, {"planning, seconds of one core": rows, "composing a member": composed})


if __name__ == "__main__":
    main()
