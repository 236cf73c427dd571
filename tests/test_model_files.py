"""Model files: section E of the bad inputs, ids in the names; every folder is made by hand."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from upkeep import model_files
from upkeep.errors import ArtifactError
from upkeep.formats import FORMATS
from upkeep.formats.finite import ALWAYS_FINITE, NON_FINITE
from upkeep.model_files import check_model_folder, check_room, check_same_signature
from upkeep.records import FileHash, Folder

VOCABULARY = 16
CONFIG = {"model_type": "llama", "vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": 0}
TOKENIZER: dict[str, Any] = {
    "model": {"type": "BPE", "vocab": {f"t{n}": n for n in range(1, VOCABULARY)}},
    "added_tokens": [{"id": 0, "content": "<end>"}],
}
FLAT = np.arange(8, dtype=np.float32)
EMBEDDING = np.ones((VOCABULARY, 4), dtype=np.float32)
Change = Callable[[Path], object]


def put(name: str, value: Any) -> Change:
    """Write a JSON file, or text or bytes as they are."""
    data = value if isinstance(value, bytes) else (
        value.encode() if isinstance(value, str) else json.dumps(value).encode()
    )  # fmt: skip
    return lambda folder: (folder / name).write_bytes(data)


def drop(name: str) -> Change:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def config(**values: object) -> Change:
    """Write the config with some values changed."""
    return put("config.json", CONFIG | values)


def tokens(**values: object) -> Change:
    """Write the tokenizer with some values of its model changed."""
    return put("tokenizer.json", TOKENIZER | {"model": TOKENIZER["model"] | values})


def weights(name: str = "model.safetensors", **tensors: np.ndarray[Any, Any]) -> Change:
    """Write a safetensors file."""
    return lambda folder: save_file(tensors, folder / name)


def cut(name: str, count: int) -> Change:
    """Take the last bytes of a file away."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-count])


def overwrite(name: str, at: int, data: bytes) -> Change:
    """Replace bytes within a file."""

    def change(folder: Path) -> None:
        old = (folder / name).read_bytes()
        (folder / name).write_bytes(old[:at] + data + old[at + len(data) :])

    return change


def all_of(*changes: Change) -> Change:
    """Several changes, in order."""
    return lambda folder: [change(folder) for change in changes]


def raw(kind: str, data: bytes, count: int) -> bytes:
    """A safetensors file of one weight ``w`` of any number type."""
    entry = {"dtype": kind, "shape": [count], "data_offsets": [0, len(data)]}
    header = json.dumps({"w": entry}).encode()
    return struct.pack("<Q", len(header)) + header + data


def header(text: bytes, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    return struct.pack("<Q", len(text)) + text + data


def sharded(shard_of: object) -> Change:
    """Two shards, and an index that maps the weights as given."""
    return all_of(
        drop("model.safetensors"),
        weights("a.safetensors", x=FLAT),
        weights("b.safetensors", y=FLAT),
        put("model.safetensors.index.json", {"weight_map": shard_of}),
    )


@pytest.fixture
def safetensors(tmp_path: Path) -> Path:
    """A whole and harmless folder of safetensors."""
    folder = tmp_path / "model"
    folder.mkdir()
    all_of(
        config(),
        put("tokenizer.json", TOKENIZER),
        put("generation_config.json", {"eos_token_id": 0}),
        weights(**{"model.embed_tokens.weight": EMBEDDING, "w": FLAT}),
    )(folder)
    return folder


TWICE = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],'
TWICE += b'"data_offsets":[0,1]}}'
BROKEN = "is broken"
MISFIT = "add the model's own tokenizer"

# case: (what is changed, the file that is named, words that the message must hold)
REFUSED: dict[str, tuple[Change, str, str]] = {
    "E1-pickle-bin": (put("pytorch_model.bin", b"\x80\x04."), "pytorch_model.bin", "a pickle"),
    "E1-pickle-pt": (put("weights.PT", b"PK\3\4"), "weights.PT", "a pickle"),
    "E1-training-arguments": (put("training_args.bin", b""), "training_args.bin", "a pickle"),
    "E1-pickle-as-weights": (
        put("model.safetensors", b"\x80\x04\x95" + b"a" * 99),
        "model.safetensors",
        BROKEN,
    ),
    "E1-zip-as-weights": (
        put("model.safetensors", b"PK\3\4" + b"\0" * 99),
        "model.safetensors",
        BROKEN,
    ),
    "E1-numpy": (put("x.npy", b""), "x.npy", "a pickle"),
    "E2-cloudpickle": (put("python_model.pkl", b""), "python_model.pkl", "a pickle"),
    "E2-mlflow-model": (put("MLmodel", "flavors:"), "MLmodel", "not a file of a safetensors"),
    "E3-auto-map": (config(auto_map={"AutoModel": "x.Y"}), "config.json", "is code"),
    "E3-auto-map-deep": (
        config(text_config=[{"auto_map": {"AutoModel": "x--y.Z"}}]),
        "config.json",
        "is code",
    ),
    "E3-auto-map-of-tokenizer": (
        put("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.Y", None]}}),
        "tokenizer_config.json",
        "is code",
    ),
    "E3-trust-remote-code": (config(trust_remote_code=True), "config.json", "is code"),
    "E3-kernel-of-a-hub": (config(_attn_implementation="any/kernel"), "config.json", "is code"),
    "E3-kernels-by-part": (
        config(_attn_implementation={"text": "any/kernel@main"}),
        "config.json",
        "is code",
    ),
    "E3-python": (put("modeling_x.py", "import os"), "modeling_x.py", "is code"),
    "E3-library": (put("ops.so", b"\x7fELF"), "ops.so", "is code"),
    "E3-adapter": (put("adapter_config.json", {}), "adapter_config.json", "another model"),
    "E4-truncated": (cut("model.safetensors", 1), "model.safetensors", BROKEN),
    "E4-empty": (put("model.safetensors", b""), "model.safetensors", BROKEN),
    "E4-longer": (put("model.safetensors", raw("U8", b"ab", 1)), "model.safetensors", BROKEN),
    "E4-hole": (
        put("model.safetensors", header(TWICE.replace(b"[0,1]", b"[1,2]"), b"ab")),
        "model.safetensors",
        BROKEN,
    ),
    "E4-name-twice": (put("model.safetensors", header(TWICE, b"a")), "model.safetensors", "twice"),
    "E4-no-weights": (put("model.safetensors", header(b"{}")), "model.safetensors", "no weight"),
    "E4-unknown-type": (put("model.safetensors", raw("F99", b"a", 1)), "model.safetensors", BROKEN),
    "E5-header-of-2^62": (
        overwrite("model.safetensors", 0, struct.pack("<Q", 2**62)),
        "model.safetensors",
        BROKEN,
    ),
    "E5-nested-header": (
        put("model.safetensors", header(b"[" * 100_000)),
        "model.safetensors",
        BROKEN,
    ),
    "E7-nan": (weights(w=np.array([1, np.nan], np.float32)), "model.safetensors", "value 1 is NaN"),
    "E7-infinity": (weights(w=np.array([np.inf])), "model.safetensors", "value 0 is NaN or inf"),
    "E7-minus-infinity": (weights(w=np.array([-np.inf])), "model.safetensors", "value 0 is NaN"),
    "E7-half": (weights(w=np.full(3, np.nan, np.float16)), "model.safetensors", "value 0 is NaN"),
    "E7-late": (
        weights(w=np.append(np.zeros(5_000_000, np.float32), np.float32("nan"))),
        "model.safetensors",
        "value 5000000 is NaN",
    ),
    "E7-in-a-shard": (
        all_of(
            sharded({"x": "a.safetensors", "y": "b.safetensors"}),
            weights("b.safetensors", y=np.array([np.nan])),
        ),
        "b.safetensors",
        "value 0 is NaN",
    ),
    "E9-tokenizer-too-large": (config(vocab_size=8), "tokenizer.json", "the model has 8 tokens"),
    "E9-tokenizer-too-small": (config(vocab_size=4096), "tokenizer.json", "4080 of the model's"),
    "E9-negative-id": (tokens(vocab={"a": -1}), "tokenizer.json", MISFIT),
    "E9-id-twice": (tokens(vocab={"a": 1, "b": 1}), "tokenizer.json", "or twice"),
    "E9-id-is-text": (tokens(vocab={"a": "1"}), "tokenizer.json", "no numbers"),
    "E9-no-ids": (
        put("tokenizer.json", {"model": {"vocab": {}}, "added_tokens": None}),
        "tokenizer.json",
        MISFIT,
    ),
    "E9-no-tokenizer": (put("tokenizer.json", [1]), "tokenizer.json", "is no tokenizer"),
    "E9-end-is-no-token": (config(eos_token_id=[0, 99]), "config.json", "eos_token_id: 99"),
    "E9-start-is-no-token": (config(bos_token_id=-1), "config.json", "bos_token_id: -1"),
    "E9-embedding-of-another": (
        weights(**{"model.embed_tokens.weight": EMBEDDING[1:]}),
        "config.json",
        "has 15 rows where the config says 16 tokens",
    ),
    "E9-vocabulary-size-is-text": (config(vocab_size="16"), "config.json", "not a count"),
    "E10-no-config": (drop("config.json"), "config.json", "is missing"),
    "E10-config-is-a-list": (put("config.json", [1]), "config.json", "no object"),
    "E10-config-is-cut": (cut("config.json", 1), "config.json", "is not JSON"),
    "E10-config-nested": (put("config.json", "[" * 100_000), "config.json", "is not JSON"),
    "E10-no-tokenizer": (drop("tokenizer.json"), "tokenizer.json", "is missing"),
    "E10-no-weights": (drop("model.safetensors"), "model.safetensors", "is missing"),
    "E10-no-shard": (
        all_of(sharded({"x": "a.safetensors", "y": "b.safetensors"}), drop("b.safetensors")),
        "model.safetensors.index.json",
        "'b.safetensors': is named here but is not in the folder",
    ),
    "E10-weight-in-another-shard": (
        sharded({"x": "b.safetensors", "y": "b.safetensors"}),
        "model.safetensors.index.json",
        "'x': is not in b.safetensors",
    ),
    "E10-weight-in-no-index": (
        all_of(
            sharded({"x": "a.safetensors", "y": "b.safetensors"}),
            weights("b.safetensors", y=FLAT, z=FLAT),
        ),
        "b.safetensors",
        "'z': is not in the index",
    ),
    "E10-shard-in-no-index": (sharded({"x": "a.safetensors"}), "b.safetensors", "no index"),
    "E10-index-and-single": (
        put("model.safetensors.index.json", {}),
        "model.safetensors.index.json",
        "which one counts?",
    ),
    "E10-index-empty": (sharded({}), "model.safetensors.index.json", "names no weight"),
    "E10-index-is-a-list": (sharded(["a"]), "model.safetensors.index.json", "does not map"),
    "E10-index-of-numbers": (sharded({"x": 1}), "model.safetensors.index.json", "does not map"),
    "E11-shard-outside": (
        sharded({"x": "../../x"}),
        "model.safetensors.index.json",
        "'../../x': leads out of the model's folder",
    ),
    "E11-shard-absolute": (
        sharded({"x": "/etc/passwd"}),
        "model.safetensors.index.json",
        "leads out",
    ),
    "E11-shard-of-windows": (sharded({"x": "c:x"}), "model.safetensors.index.json", "leads out"),
    "E11-shard-is-the-parent": (sharded({"x": ".."}), "model.safetensors.index.json", "leads out"),
    "E17-archive-inside": (put("model.tar.gz", b""), "model.tar.gz", "is an archive"),
    "E17-link": (
        lambda folder: (folder / "notes.txt").symlink_to("/etc/passwd"),
        "notes.txt",
        "is a link",
    ),
    "E17-link-to-folder": (
        lambda folder: (folder / "more").symlink_to("/etc"),
        "more",
        "is a link",
    ),
    "E17-pipe": (lambda folder: os.mkfifo(folder / "x.json"), "x.json", "is a link or a device"),
    "E17-hidden": (put(".cache", b""), ".cache", "not a file of a safetensors model"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_naming_the_file_the_rule_and_the_fix(case: str, safetensors: Path) -> None:
    """What is unsafe or broken is refused in one line, without the machine's own path."""
    change, file, words = REFUSED[case]
    change(safetensors)
    with pytest.raises(ArtifactError) as caught:
        check_model_folder(safetensors, "safetensors")
    assert caught.value.where == f"model/{file}"
    assert words in str(caught.value)
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    assert str(safetensors.parent) not in str(caught.value)


ALLOWED: dict[str, Change] = {
    "nothing-changed": lambda _: None,
    "shards": sharded({"x": "a.safetensors", "y": "b.safetensors"}),
    "auto-map-as-a-token": tokens(vocab={f"t{n}": n for n in range(15)} | {"auto_map": 15}),
    "no-auto-map": config(auto_map={}),
    "attention-of-transformers": config(_attn_implementation="sdpa"),
    "several-ends": config(eos_token_id=[0, 1]),
    "no-padding-token": config(pad_token_id=-1),
    "padded-vocabulary": all_of(config(vocab_size=128), weights(w=FLAT)),
    "unigram": put("tokenizer.json", {"model": {"vocab": [[f"t{n}", -1.0] for n in range(16)]}}),
    "vocabulary-of-a-part": put("config.json", {"text_config": {"vocab_size": VOCABULARY}}),
    "picture-model": all_of(put("config.json", {"model_type": "vae"}), drop("tokenizer.json")),
    "text-beside": all_of(put("README.md", "x"), put("LICENSE", "x"), put("merges.txt", "x")),
    "integers": weights(w=np.array([-1], np.int8)),
    "largest-numbers": weights(w=np.array([np.finfo(np.float32).max, -0.0], np.float32)),
    "no-numbers-in-a-weight": weights(w=np.zeros((0, 4), np.float32)),
}


@pytest.mark.parametrize("case", ALLOWED, ids=ALLOWED)
def test_allows_what_is_whole_and_harmless(case: str, safetensors: Path) -> None:
    """A check that refuses good models would be switched off."""
    ALLOWED[case](safetensors)
    check_model_folder(safetensors, "safetensors")


# Number types that numpy cannot read, as little-endian bytes.
FORMATS_OF_NUMBERS = {
    "BF16": (["803f", "7f7f"], {"NaN": "c07f", "infinity": "807f", "minus-infinity": "80ff"}),
    "F16": (["003c", "ff7b"], {"NaN": "007e", "infinity": "007c"}),
    "F32": (["0000803f"], {"NaN": "0100807f", "infinity": "0000807f"}),
    "F64": (["000000000000f03f"], {"NaN": "010000000000f07f", "infinity": "000000000000f0ff"}),
    "F8_E4M3": (["38", "7e", "fe"], {"NaN": "7f", "negative-NaN": "ff"}),
    "F8_E5M2": (["3c", "7b"], {"NaN": "7e", "infinity": "7c", "minus-infinity": "fc"}),
    "F8_E8M0": (["7f", "fe"], {"NaN": "ff"}),
    "F8_E4M3FNUZ": (["38", "7f", "ff"], {"NaN": "80"}),
    "F8_E5M2FNUZ": (["3c", "7f", "ff"], {"NaN": "80"}),
    "C64": (["0000803f00000000"], {"NaN-of-the-imaginary-part": "0000803f0100807f"}),
}


@pytest.mark.parametrize("kind", FORMATS_OF_NUMBERS)
def test_e7_every_number_type_is_scanned_by_its_bits(kind: str, safetensors: Path) -> None:
    """NaN and infinities are found where they stand, and ordinary numbers pass."""
    good, bad = FORMATS_OF_NUMBERS[kind]
    put("model.safetensors", raw(kind, bytes.fromhex("".join(good)), len(good)))(safetensors)
    check_model_folder(safetensors, "safetensors")
    for text in bad.values():
        data = bytes.fromhex("".join([*good, text]))
        put("model.safetensors", raw(kind, data, len(good) + 1))(safetensors)
        with pytest.raises(ArtifactError, match="is NaN or infinite"):
            check_model_folder(safetensors, "safetensors")


def test_e7_every_number_type_of_the_format_is_known() -> None:
    """A type that safetensors gets one day is not taken for a finite one."""
    from safetensors import SafetensorError, safe_open

    assert not NON_FINITE.keys() & ALWAYS_FINITE
    assert set(FORMATS_OF_NUMBERS) == set(NON_FINITE)
    with pytest.raises(SafetensorError) as caught:
        _open_type(safe_open, "F99")
    named = str(caught.value).split("expected one of ")[1].split(" at line")[0]
    assert {word.strip(" `") for word in named.split(",")} == {*NON_FINITE, *ALWAYS_FINITE}


def _open_type(safe_open: Any, kind: str) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(raw(kind, b"a", 1))
        file.flush()
        with safe_open(file.name, framework="numpy"):
            pass


@pytest.mark.parametrize(
    ("name", "words"), [("model.tar.gz", "is an archive"), ("model.zip", "is an archive"),
                        ("model.safetensors", "is a file"), ("nothing", "is not there")]
)  # fmt: skip
def test_e17_only_a_folder_is_read(name: str, words: str, tmp_path: Path) -> None:
    """Archives are not unpacked at all: there is nothing to climb out of."""
    if name != "nothing":
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(ArtifactError, match=words):
        check_model_folder(tmp_path / name, "safetensors")


def test_e17_a_link_to_a_folder_is_not_a_folder(safetensors: Path, tmp_path: Path) -> None:
    """The folder itself may be swapped behind a link."""
    (tmp_path / "link").symlink_to(safetensors)
    with pytest.raises(ArtifactError, match="is a link"):
        check_model_folder(tmp_path / "link", "safetensors")


def test_e17_a_folder_of_very_many_files_is_refused(
    safetensors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of files is bounded."""
    monkeypatch.setattr(model_files, "MAX_FILES", 3)
    with pytest.raises(ArtifactError, match="more than 3 files"):
        check_model_folder(safetensors, "safetensors")


def test_a_json_file_that_is_too_large_is_not_read(
    safetensors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size alone refuses it."""
    monkeypatch.setattr(model_files, "MAX_JSON_BYTES", 10)
    with pytest.raises(ArtifactError, match="larger than 10 bytes"):
        check_model_folder(safetensors, "safetensors")


def test_an_unknown_format_is_refused(safetensors: Path) -> None:
    """A format nobody checks is not loaded."""
    with pytest.raises(ArtifactError, match="use one of onnx, openvino, safetensors"):
        check_model_folder(safetensors, "torch")


SIGNATURES: dict[str, tuple[Change, str]] = {
    "shape": (weights(**{"model.embed_tokens.weight": EMBEDDING, "w": FLAT[1:]}), "w: "),
    "type": (weights(**{"model.embed_tokens.weight": EMBEDDING, "w": np.float16(FLAT)}), "F16"),
    "missing": (weights(**{"model.embed_tokens.weight": EMBEDDING}), "w: None"),
    "more": (weights(**{"model.embed_tokens.weight": EMBEDDING, "w": FLAT, "v": FLAT}), "v: "),
}


@pytest.mark.parametrize("case", SIGNATURES, ids=SIGNATURES)
def test_e14_a_candidate_of_another_signature_is_refused(
    case: str, safetensors: Path, tmp_path: Path
) -> None:
    """Names, shapes and number types of the weights are the champion's."""
    change, words = SIGNATURES[case]
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    weights(**{"model.embed_tokens.weight": EMBEDDING, "w": FLAT})(candidate)
    check_same_signature(safetensors, candidate)
    change(candidate)
    with pytest.raises(ArtifactError, match=words):
        check_same_signature(safetensors, candidate)


def test_e16_a_folder_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    """The recorded sizes are compared with the free space before anything is fetched."""
    check_room(Folder(prefix="m/versions/1", files=()), tmp_path)
    huge = FileHash(path="model.safetensors", size_bytes=2**60, sha256="0" * 64)
    with pytest.raises(ArtifactError, match=r"m/versions/1: .* does not fit"):
        check_room(Folder(prefix="m/versions/1", files=(huge,)), tmp_path)


def test_every_format_has_its_check() -> None:
    """The names are those of the records."""
    from typing import get_args

    from upkeep.records import ModelInput

    assert set(FORMATS) == set(get_args(ModelInput.model_fields["format"].annotation))


def test_what_the_product_itself_makes_is_allowed() -> None:
    """A folder that transformers saved, and its export to OpenVINO by our own compression."""
    from tests.fakes.tiny_model import tiny_llama, tiny_openvino

    check_model_folder(tiny_llama(), "safetensors")
    check_model_folder(tiny_openvino(), "openvino")
