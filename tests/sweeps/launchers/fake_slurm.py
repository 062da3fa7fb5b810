"""Slurm's commands, recorded: no cluster, but submitit's real scripts."""

from pathlib import Path

PAIR = "first: {trainer: {max_steps: 2}}\nsecond: {trainer: {max_steps: 2}}\n"
SBATCH = """#!/bin/sh
n=$(ls {folder} | wc -l)
cp "$1" {folder}/$n
echo "Submitted batch job 1$n"
"""


class FakeSlurm:
    """Slurm's commands: sbatch that keeps what it is given, and squeue with a queue of the test's."""

    def __init__(self, folder: Path) -> None:
        self.scripts, self.programs, self._queue = folder / "scripts", folder / "bin", folder / "queue"
        self.scripts.mkdir()
        self.programs.mkdir()
        self.program("sbatch", SBATCH.format(folder=self.scripts))
        self.program("squeue", f"#!/bin/sh\ncat {self._queue}\n")
        self.program("srun", "#!/bin/sh\nexit 1\n")
        self.queue()

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def queue(self, *lines: str) -> None:
        self._queue.write_text("".join(f"{line}\n" for line in lines))

    def submitted(self) -> list[dict[str, str]]:
        """The options of each batch script, in the order of submission; its command as `command`."""
        found = []
        for path in sorted(self.scripts.iterdir(), key=lambda path: int(path.name)):
            lines = path.read_text().splitlines()
            flags = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
            options = {key: value.strip("'") for key, _, value in (flag.partition("=") for flag in flags)}
            found.append(options | {"command": lines[-1]})
        return found
