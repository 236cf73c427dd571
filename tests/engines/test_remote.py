"""Names, adoption and log parts that the engines of clusters share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from engines.test_local import KEY, job
from hypothesis import given
from hypothesis import strategies as st

from upkeep.engines import LogPart
from upkeep.engines.remote import (
    MAX_LOG_BYTES,
    attempt_of,
    job_arguments,
    job_name,
    job_prefix,
    log_part,
    needs_bucket,
)
from upkeep.errors import EngineError, ParamError
from upkeep.job_inputs import read_job
from upkeep.store import open_store

TEXT = "späte Grüße: 你好 🎉\n"


@given(st.text(min_size=1, max_size=300), st.text(max_size=60), st.integers(1, 99_999))
def test_names_are_allowed_everywhere_and_tell_the_attempt(key: str, root: str, n: int) -> None:
    """RFC 1123 names of at most 63 characters, whatever the key."""
    name = job_name(root, key, n)
    assert re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert attempt_of(job_prefix(root, key), name) == n


def test_two_keys_or_two_stores_never_share_names() -> None:
    """Also where the words in front are the same."""
    long = "a-very-long-model-name-of-somebody/2026-03-05/"
    prefixes = {
        job_prefix("s3://one", f"{long}compress"),
        job_prefix("s3://two", f"{long}compress"),
        job_prefix("s3://one", f"{long}compress-benchmark"),
        job_prefix("s3://one", f"{long}Compress"),
    }
    assert len(prefixes) == 4
    assert job_prefix("s3://one/", KEY) == job_prefix("s3://one", KEY)


@pytest.mark.parametrize("other", ["", "0", "01", "1x", "-1", "1-2"])
def test_other_peoples_names_are_no_attempts(other: str) -> None:
    """Only a positive number after the prefix is one."""
    assert attempt_of("up-x-a", f"up-x-a{other}") is None
    assert attempt_of("up-x-a", "somebody-elses") is None


def test_a_worker_finds_its_job_in_the_store_by_hash(tmp_path: Path) -> None:
    """What was put is what is read; another hash is refused."""
    store = open_store(str(tmp_path))
    arguments = job_arguments(store, job())
    assert job_arguments(store, job()) == arguments
    assert read_job(arguments) == job()
    with pytest.raises(ParamError, match="is not 000"):
        read_job([*arguments[:2], "0" * 64])
    with pytest.raises(ParamError, match="is not in the store"):
        read_job([arguments[0], "m/other/job.json", arguments[2]])


def test_another_job_under_the_same_key_is_refused(tmp_path: Path) -> None:
    """The first one stands."""
    store = open_store(str(tmp_path))
    job_arguments(store, job())
    with pytest.raises(EngineError, match="another job was submitted under this key"):
        job_arguments(store, job(do="else"))


def test_a_folder_is_no_store_for_machines_elsewhere(tmp_path: Path) -> None:
    """Refused before anything is sent."""
    with pytest.raises(ParamError, match="cannot be reached by a job of kubernetes"):
        needs_bucket("kubernetes", open_store(str(tmp_path)))


@given(st.integers(1, len(TEXT.encode())))
def test_parts_of_a_log_join_to_the_whole(size: int) -> None:
    """No character is cut, whatever the size of the pieces."""
    data, since, text = TEXT.encode() * 3, 0, ""
    for end in [*range(size, len(data), size), len(data)]:
        part = log_part(data[since:end], since, over=end == len(data))
        text, since = text + part.text, part.end
    assert (text, since) == (TEXT * 3, len(data))


def test_of_a_very_long_log_the_end_is_shown() -> None:
    """And it is said how much is missing."""
    part = log_part(b"x" * (MAX_LOG_BYTES + 5), 3, over=False)
    assert part == LogPart("upkeep: 5 bytes left out\n" + "x" * MAX_LOG_BYTES, MAX_LOG_BYTES + 8)


def test_half_a_character_at_the_end_of_a_dead_job_is_shown() -> None:
    """Broken bytes do not stop a reader."""
    assert log_part(b"ok \xe4\xbd", 0, over=False) == LogPart("ok ", 3)
    assert log_part(b"ok \xe4\xbd", 0, over=True) == LogPart("ok \ufffd", 5)
