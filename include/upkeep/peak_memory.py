"""How much memory a model needs where it serves: ``python -m upkeep.peak_memory FOLDER ..``.

A fresh process loads the one model, answers prompts, and says the largest resident set that the
kernel ever saw of it (``ru_maxrss``). Two models in one process would share libraries and what
the allocator keeps; a difference taken there is of nothing that is ever served. The libraries
count: a server has them too.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from upkeep.errors import ArtifactError
from upkeep.runtime import FORMATS, Format, load

UNIT_BYTES = 1024  # ru_maxrss is in KiB on Linux
TIMEOUT_S = 600


def peak_bytes(
    folder: Path, file_format: Format, threads: int, prompts: Sequence[str], new_tokens: int
) -> int:
    """The peak of a process that loads the model and continues each prompt once.

    Raises:
        ArtifactError: it ended without an answer; the end of what it said is in the message.

    """
    asked = json.dumps(
        {
            "folder": str(folder),
            "format": file_format,
            "threads": threads,
            "prompts": list(prompts),
            "new_tokens": new_tokens,
        }
    )
    done = subprocess.run(
        [sys.executable, "-m", "upkeep.peak_memory"],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode != 0:
        words = " ".join(done.stderr.split())[-300:]
        raise ArtifactError(
            folder.name, done.returncode, f"its process ended without an answer: {words}", "look"
        )
    return int(json.loads(done.stdout.splitlines()[-1])["peak_bytes"])


def main() -> int:
    """Read what to do from stdin, do it, and print the peak as JSON."""
    asked = json.loads(sys.stdin.read())
    if asked["format"] not in FORMATS:
        raise SystemExit(f"format {asked['format']}: can run {sorted(FORMATS)}")
    runtime = load(Path(asked["folder"]), cast("Format", asked["format"]), int(asked["threads"]))
    for prompt in asked["prompts"]:
        runtime.generate(prompt, int(asked["new_tokens"]), ignore_end=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT_BYTES
    sys.stdout.write(json.dumps({"peak_bytes": peak}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
