"""Weights in smaller forms: whole, or refused before anything is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.learnt_llama import compressed
from fakes.tiny_model import tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from upkeep.errors import ArtifactError
from upkeep.formats import packed, safetensors
from upkeep.formats.bits import pack, packed_size, unpack
from upkeep.model_files import check_model_folder
from upkeep.pretrained import load_model

Config = dict[str, Any]
Tensors = dict[str, Any]
Tamper = Callable[[Config, Tensors], None]

SPARSE = "model.layers.0.mlp.up_proj.weight"
PAIR = "model.layers.0.mlp.up_proj"


@pytest.mark.parametrize("bits", range(1, 9))
@given(data=st.data())
def test_numbers_come_out_as_they_went_in(bits: int, data: st.DataObject) -> None:
    """Any count, any width of 1 to 8 bits, in the bytes that were promised."""
    numbers = np.array(
        data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40)), dtype=np.uint8
    )
    small = pack(numbers, bits)
    assert len(small) == packed_size(len(numbers), bits)
    assert unpack(small, bits, len(numbers)).tolist() == numbers.tolist()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of form."""
    root = tmp_path_factory.mktemp("forms")
    asked: dict[str, tuple[str, Config]] = {
        "sparse": ("prune-magnitude", {}),
        "palette": ("palette", {"bits": 3, "embedding_bits": None}),
        "hashed": ("hashed", {"heal": {"steps": 1, "batch_blocks": 1, "threads": 1}}),
        "pair": ("low-rank-svd", {"parameter_share": 0.5}),
    }
    for name, (method, params) in asked.items():
        compressed(method, params, root / name, champion=tiny_llama())
    compressed("palette", {"bits": 4}, root / "both", champion=root / "sparse")
    return {path.name: path for path in root.iterdir()}


def form(config: Config, name: str = SPARSE) -> Config:
    """One declared form."""
    found: Config = config["upkeep"]["packed"][name]
    return found


def change(**values: Any) -> Tamper:
    """Change what config.json declares of one weight."""
    return lambda config, _: form(config).update(values)


def drop(suffix: str) -> Tamper:
    """Leave a stored part out."""
    return lambda _, tensors: void(tensors.pop(f"{SPARSE}.{suffix}"))


def void(_: object) -> None:
    """Leave a value aside."""


def replace(suffix: str, make: Callable[[Any], Any]) -> Tamper:
    """Store another part."""

    def tamper(_: Config, tensors: Tensors) -> None:
        tensors[f"{SPARSE}.{suffix}"] = make(tensors[f"{SPARSE}.{suffix}"])

    return tamper


def shift_codes(_: Config, tensors: Tensors) -> None:
    """Cut the codebook, so that the highest index leads out of it."""
    name = f"{SPARSE}.codebook"
    tensors[name] = tensors[name][..., :-1]
    form(_)["codes"] -= 1


def wider_pair(config: Config, _: Tensors) -> None:
    """Declare a rank that is not stored."""
    config["upkeep"]["low_rank"][PAIR] += 1


CASES: list[tuple[str, Tamper, str]] = [
    ("sparse", change(shape=[64, 33]), "mask: U8"),
    ("sparse", change(shape=[32, 64, 1]), "upkeep.packed"),
    ("sparse", change(shape=[0, 64]), "greater than or equal to 1"),
    ("sparse", change(values=3), r"values: F32 .* is not BF16/F16/F32 \[3\]"),
    ("sparse", change(kind="pickle"), "upkeep.packed"),
    ("sparse", change(code="x"), "Extra inputs are not permitted"),
    ("sparse", drop("mask"), "is declared and not stored"),
    ("sparse", replace("mask", lambda m: m ^ 1), "marks .* weights, and .* are stored"),
    ("sparse", replace("mask", lambda m: m.astype(np.int16)), "mask: I16"),
    ("sparse", replace("values", lambda v: v.astype(np.float64)), "values: F64"),
    ("sparse", replace("values", lambda v: v * np.nan), "value 0 is NaN or infinite"),
    ("sparse", lambda c, t: t.update({SPARSE: np.zeros((64, 32), np.float32)}), "stored whole"),
    ("sparse", lambda c, t: c.update(model_type="llama"), "belong together"),
    ("sparse", lambda c, t: void(c.pop("upkeep")), "belong together"),
    ("palette", shift_codes, "leads out of a codebook of 7"),
    ("palette", change(bits=9), "less than or equal to 8"),
    ("palette", change(bits=2), "indices: U8"),
    ("palette", change(group_rows=8), "codebook: F32"),
    ("both", shift_codes, "leads out of a codebook of 15"),
    ("both", replace("mask", lambda m: m ^ 1), "marks .* weights, and .* are stored"),
    ("hashed", change(shape=[100_000, 100_000]), "more than 1024 weights a value"),
    ("hashed", change(seed=-1), "greater than or equal to 0"),
    ("pair", wider_pair, r"are not \[8, in\] and \[out, 8\]"),
    ("pair", lambda c, t: void(t.pop(f"{PAIR}.wide.weight")), "are not"),
]


@pytest.mark.parametrize(("kind", "tamper", "said"), CASES)
def test_a_tampered_form_is_refused_by_the_check_and_by_the_loader(
    folders: dict[str, Path], tmp_path: Path, kind: str, tamper: Tamper, said: str
) -> None:
    """In words that name the weight; NaN is the check's business alone."""
    broken = tampered(folders[kind], tmp_path / "m", tamper)
    with pytest.raises(ArtifactError, match=said):
        check_model_folder(broken, "safetensors")
    if "NaN" not in said:
        with pytest.raises(ArtifactError):
            load_model(broken)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (change(shape=[64 * 2, 32 // 2]), "size mismatch"),
        (change(seed=5), None),
        (lambda c, t: c["upkeep"].update(model_type="gpt9"), "gpt9"),
        (lambda c, t: c.update(num_hidden_layers=3), "missing_keys"),
        (lambda c, t: c.update(num_hidden_layers=1), "unexpected_keys"),
    ],
)
def test_a_form_that_is_whole_but_does_not_fit_the_network_is_refused_by_the_loader(
    folders: dict[str, Path], tmp_path: Path, tamper: Tamper, said: str | None
) -> None:
    """Another seed of the hash is another model; only the recorded hash of the files tells."""
    broken = tampered(folders["hashed"], tmp_path / "m", tamper)
    if said is None:
        assert not same_weights(broken, folders["hashed"])
        return
    with pytest.raises(ArtifactError, match=said):
        load_model(broken)


@pytest.mark.parametrize("kind", ["sparse", "palette", "hashed", "both", "pair"])
def test_a_whole_folder_is_accepted_and_its_signature_is_of_the_expanded_weights(
    folders: dict[str, Path], kind: str
) -> None:
    """So a model that is retrained from it may be stored plain."""
    check_model_folder(folders[kind], "safetensors")
    found = safetensors.signature(folders[kind])
    if kind != "pair":
        assert found == safetensors.signature(tiny_llama())


def test_every_index_is_looked_at_beyond_the_first_chunk(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a chunk ends within the numbers."""
    monkeypatch.setattr(packed, "CHUNK", 64)
    check_model_folder(folders["palette"], "safetensors")
    check_model_folder(folders["both"], "safetensors")
    broken = tampered(folders["palette"], tmp_path / "m", shift_codes)
    with pytest.raises(ArtifactError, match="leads out"):
        check_model_folder(broken, "safetensors")


def tampered(source: Path, target: Path, tamper: Tamper) -> Path:
    """A copy with one thing changed."""
    target.mkdir()
    config = json.loads((source / "config.json").read_text())
    tensors = load_file(source / "model.safetensors")
    tamper(config, tensors)
    (target / "config.json").write_text(json.dumps(config))
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    save_file(tensors, target / "model.safetensors")
    return target


def same_weights(one: Path, other: Path) -> bool:
    """Whether two folders load as the same numbers."""
    import torch

    states = [load_model(folder)[0].state_dict() for folder in (one, other)]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])
