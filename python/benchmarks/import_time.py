"""Times `import elastirec` beyond numpy's own, in fresh processes. The aim is under 0.3 s."""

import subprocess
import sys
from statistics import median

TIMED = """
import numpy
from time import perf_counter
start = perf_counter()
import elastirec
print(perf_counter() - start)
"""


def main(runs: int = 9) -> None:
    command = [sys.executable, "-I", "-c", TIMED]
    times = [float(subprocess.check_output(command)) for _ in range(runs + 1)][1:]
    print(
        f"import elastirec: {median(times):.3f} s beyond numpy's own "
        f"(median of {runs}, best {min(times):.3f} s)"
    )


if __name__ == "__main__":
    main()
