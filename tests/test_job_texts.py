"""The texts that a job gets: redacted before they are written, and judged where that is fair."""

from __future__ import annotations

from pathlib import Path

import pytest

from upkeep.errors import ParamError
from upkeep.job_texts import put_texts, untouched
from upkeep.records import Sample
from upkeep.samples import read_samples
from upkeep.store import open_store

CLEAN = Sample(id="a", slice="docs", prompt="one", reference="two")
TOUCHED = Sample(id="b", slice="docs", prompt="ask jane@example.org", reference="two")


def test_every_role_is_redacted_before_it_is_written_and_counted(tmp_path: Path) -> None:
    """Training and evaluation alike, whatever the job."""
    store = open_store(str(tmp_path))
    data = {"training": [CLEAN, TOUCHED], "evaluation": [TOUCHED]}
    files, redacted = put_texts(store, "m/2026-03-05/r1/compress", data)
    assert redacted == {"EMAIL": 2}
    training = read_samples(store, files["training"].path)
    assert training == [CLEAN, TOUCHED.model_copy(update={"prompt": "ask <EMAIL>"})]
    assert b"jane" not in (store.get(files["evaluation"].path) or b"")


def test_a_retrained_model_is_judged_where_nothing_was_redacted() -> None:
    """It has learnt placeholders; the champion has not."""
    assert untouched([CLEAN, TOUCHED]) == [CLEAN]


def test_nothing_to_judge_is_said_in_words() -> None:
    """An unknown is never a pass."""
    with pytest.raises(ParamError, match=r"evaluation: 1: held-out texts.*none can be judged"):
        untouched([TOUCHED])
