"""The tests that need a GPU, which other machines skip.

    python -m benchmarks.gpu_tests [--quick]

Whole files are run that ask torch for CUDA. Only pytest is needed beyond what segsweep itself needs.
"""

import subprocess
import sys

from benchmarks.report import ROOT, parser, report


def main() -> None:
    options = parser(__doc__, "gpu_tests")
    options.add_argument("--device", default="cuda", help="only for the description of the machine")
    options.add_argument("--quick", action="store_true", help="list the tests, do not run them")
    asked = options.parse_args()
    files = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        if "cuda.is_available()" in file.read_text()
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "-p",
        "no:cacheprovider",
        "-W",
        "default",  # other versions of libraries may warn of other things
        "-k",
        "cuda or gpu or triton",
    ]
    result = subprocess.run(
        [*command, *["--collect-only"] * asked.quick, *files], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    print(result.stdout)
    lines = result.stdout.strip().splitlines()
    told = ("FAILED", "ERROR", "tests/") if asked.quick else ("FAILED", "ERROR")
    rows = [
        {"tests": line} for line in [*(line for line in lines[:-1] if line.startswith(told)), *lines[-1:]]
    ]
    report(asked, {"tests that need a GPU": rows})
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
