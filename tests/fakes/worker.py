"""A fake of the worker program: does what ``params["fake"]`` of its job says, and no work.

``succeed``, ``crash`` (exit 1), ``bad_input`` (exit 2), ``wait`` (until the file
``params["until"]`` exists), ``stubborn`` (the same, deaf to SIGTERM), ``environment`` (prints it),
``litter`` (leaves a process behind), ``escape`` (leaves one in a session of its own that has
all of its open files). Each run appends its process id to ``runs.txt`` beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Play the part; the exit code."""
    params = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["params"]
    part = params.get("fake", "succeed")
    with Path("runs.txt").open("a", encoding="utf-8") as runs:
        runs.write(f"{os.getpid()}\n")
    print(f"fake worker: {part}", flush=True)  # noqa: T201
    if part == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if part in {"wait", "stubborn"}:
        Path("waiting.txt").touch()
        while not Path(params["until"]).exists():
            time.sleep(0.02)
    if part == "environment":
        Path("environment.json").write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    if part in {"litter", "escape"}:
        escapes = part == "escape"
        sleeper = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            start_new_session=escapes,
            close_fds=not escapes,
        )
        Path("litter.txt").write_text(str(sleeper.pid), encoding="utf-8")
    return {"crash": 1, "bad_input": 2}.get(part, 0)


if __name__ == "__main__":
    sys.exit(main())
