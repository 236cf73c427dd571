"""Several requests in flight: none overlaps in one model, all are answered, both models alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from fakes.tiny_model import FakeRuntime, tiny_llama

from upkeep.benchmark_load import Load, agreement, paired_load, serve
from upkeep.errors import ArtifactError
from upkeep.records import PairedTimes
from upkeep.runtime import Generation, load

QUEUE = Load(concurrency=3, requests=2, new_tokens=4, serving="queue")
BATCH = QUEUE._replace(serving="batch")


class OneAtATime(FakeRuntime):
    """A runtime that notices when it is asked while it answers."""

    overlaps = 0
    busy = threading.Lock()

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """As slow as a switch of threads needs."""
        if not self.busy.acquire(blocking=False):
            self.overlaps += 1
            return super().generate(prompt, max_new_tokens, ignore_end=ignore_end)
        time.sleep(0.001)
        found = super().generate(prompt, max_new_tokens, ignore_end=ignore_end)
        self.busy.release()
        return found


class Batched(FakeRuntime):
    """A runtime that answers several at once."""

    def generate_batch(self, prompts: Sequence[str], max_new_tokens: int) -> list[Generation]:
        """Remember what was asked together."""
        self.calls.append((self.name, ",".join(prompts)))
        return [super(Batched, self).generate(p, max_new_tokens, ignore_end=True) for p in prompts]


def test_a_queue_answers_every_request_one_at_a_time() -> None:
    """Three clients with two requests each wait for one model."""
    runtime = OneAtATime()
    latency, per_token = serve(runtime, ["a", "b"], QUEUE)
    assert len(runtime.calls) == 6
    assert runtime.overlaps == 0
    assert latency > 1.0  # somebody waited for another
    assert 0.0 < per_token < latency


def test_a_batch_reads_the_prompts_together() -> None:
    """As many as are in flight."""
    runtime = Batched()
    serve(runtime, ["a", "b"], BATCH)
    together = [prompts for _, prompts in runtime.calls if "," in prompts]
    assert together == ["a,b,a", "b,a,b"]


def test_a_runtime_without_batches_says_so() -> None:
    """Never a silent queue in its place."""
    with pytest.raises(ArtifactError, match="one request at a time; use queue"):
        serve(FakeRuntime(), ["a"], BATCH)


def test_models_take_turns_and_each_round_is_one_number() -> None:
    """Warm-up left out; the first one changes from round to round."""
    calls: list[tuple[str, str]] = []
    pair = (FakeRuntime(name="A", calls=calls), FakeRuntime(name="B", calls=calls))
    one = Load(concurrency=1, requests=1, new_tokens=4, serving="queue")
    made = paired_load(pair, ["p"], one, rounds=6, warmup=1)
    assert [t.quantity for t in made] == ["concurrent_latency_ms", "concurrent_ms_per_token"]
    assert all(isinstance(t, PairedTimes) and len(t.champion_ms) == 6 for t in made)
    assert "".join(name for name, _ in calls) == "ABBAABBAABBAAB"


def test_equal_tokens_are_counted_place_by_place() -> None:
    """1 2 3 4 against 2 3 4 5 agrees nowhere, against itself everywhere."""
    same = agreement((FakeRuntime(), FakeRuntime()), ["a", "b"], 4)
    assert (same.prompts, same.tokens, same.equal, same.whole, same.share) == (2, 8, 8, 2, 1.0)
    none = agreement((FakeRuntime(), FakeRuntime(token=2)), ["a", "b"], 4)
    assert (none.equal, none.whole, none.share) == (0, 0, 0.0)


def test_a_real_model_agrees_with_itself_and_gives_its_tokens() -> None:
    """As many ids as were asked for."""
    model = load(tiny_llama(), "safetensors")
    found = agreement((model, model), ["the loop closes"], 5)
    assert (found.tokens, found.equal, found.whole) == (5, 5, 1)
