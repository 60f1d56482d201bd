"""How long `import docmail` takes, over a bare Python; wanted: at most 40 ms."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15

STATEMENTS = {
    "bare Python": "pass",
    "import docmail": "import docmail",
    "... and its Settings": "import docmail; docmail.Settings",
    "... and its send": "import docmail; docmail.send",
}


def main() -> None:
    """Print the median time of each statement, the runs taking turns so that a noisy machine meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _run in range(RUNS + 1):
        for name, statement in STATEMENTS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(each[1:]) * 1000 for name, each in seconds.items()}  # the first one is cold
    print(f"import time, median of {RUNS} runs")
    for name, median in medians.items():
        print(f"  {name:24} {median:6.1f} ms   +{median - medians['bare Python']:.1f} ms")
