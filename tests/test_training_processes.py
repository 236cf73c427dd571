"""Two processes train as one does with twice the accumulation; where one fails, none goes on.

On the CPU, over gloo. What it does not prove: anything about NCCL, or about speed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_model import tiny_llama
from tests.test_training import EVALUATION, QUICK, texts
from upkeep.errors import JobFailed
from upkeep.training import retrain
from upkeep.training_processes import run_ranks
from upkeep.training_run import Place

SHORT: dict[str, Any] = QUICK | {"steps": 8, "check_every": 4, "batch_blocks": 2}


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def test_two_processes_do_what_one_does_with_twice_the_accumulation(tmp_path: Path) -> None:
    """The same weights and the same curve within float tolerance, and events are written."""
    import torch

    one, _ = retrain(tiny_llama(), texts(), EVALUATION, SHORT | {"accumulate": 2}, tmp_path / "one")
    place = Place(tmp_path / "work", "job", tmp_path / "events")
    two, notes = retrain(
        tiny_llama(),
        texts(),
        EVALUATION,
        SHORT | {"processes": 2, "checkpoint_steps": 3},
        tmp_path / "two",
        place=place,
    )
    ours, theirs = weights(tmp_path / "two"), weights(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5) for k in ours)
    assert two["tokens"] == one["tokens"]
    assert {k: v for k, v in two.items() if k.startswith("loss")} == pytest.approx(
        {k: v for k, v in one.items() if k.startswith("loss")}, abs=1e-5
    )
    assert "2 processes" in notes[0]
    assert (tmp_path / "two" / "tokenizer.json").is_file()
    assert len(list((tmp_path / "work").glob("step-*"))) == 2
    assert len(list((tmp_path / "events").iterdir())) == 1


def test_one_that_fails_ends_all_of_them_in_words(tmp_path: Path) -> None:
    """The second says why and ends; the first would wait for it for ever."""
    code = (
        "import os, pathlib, sys, time\n"
        "folder, rank = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / f'pid-{rank}').write_text(str(os.getpid()))\n"
        "while not (folder / 'pid-0').exists(): time.sleep(0.01)\n"
        "sys.exit('out of luck') if rank == '1' else time.sleep(600)\n"
    )
    with pytest.raises(JobFailed, match="process 1 of 2 ended with 1: out of luck"):
        run_ranks([sys.executable, "-c", code, str(tmp_path)], tmp_path, 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid-0").read_text()), 0)


def test_a_process_whose_parent_is_gone_ends_at_once(tmp_path: Path) -> None:
    """It would train on beside the next try."""
    command = [sys.executable, "-m", "upkeep.training_processes", str(tmp_path), "0", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert os.getpid() != 1
    assert subprocess.run(command, env=environment, check=False).returncode == -9
