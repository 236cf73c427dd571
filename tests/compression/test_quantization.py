"""Quantized weights: smaller, still the same model, and made by settings that are allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.tiny_graph import remember_export
from fakes.tiny_model import WORDS, copy_of, make_samples, tiny_llama, tiny_openvino

from upkeep.compression.quantization import compress
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("openvino-int4", {"bits": 3}, r"openvino-int4.bits: 3: Input should be 4"),
        ("openvino-int8", {"bits": 4}, r"openvino-int8.bits: 4: Input should be 8"),
        ("openvino-int4", {"group_size": 48}, r"group_size: 48: Input should be -1, 32, 64"),
        ("openvino-int4", {"group_size": True}, "group_size: True"),
        ("openvino-int4", {"ratio": 1.2}, "ratio: 1.2: Input should be less than or equal to 1"),
        ("openvino-int4", {"ratio": 0.0}, "ratio: 0.0: Input should be greater than 0"),
        ("openvino-int4", {"ratio": float("nan")}, "ratio: nan: Input should be"),
        ("openvino-int4", {"ratio": "0.5"}, "ratio: '0.5': Input should be a valid number"),
        ("openvino-int8", {"sym": 1}, "sym: 1: Input should be a valid boolean"),
        ("openvino-int4", {"group_sise": 32}, r"did you mean group_size\?"),
        ("openvino-int8", {"trust_remote_code": True}, r"no parameter.*\['bits', 'sym'\]"),
        ("openvino-int8", {"awq": True}, "no parameter"),
        ("openvino-int4", {"block_tokens": 4}, "block_tokens: 4"),
        ("openvino-fp16", {"bits": 16}, "no parameter"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Params out of range are refused before anything is written."""
    with pytest.raises(ParamError, match=said):
        compress(tmp_path / "no-champion", [], method, params, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_eight_bits_leave_a_smaller_folder_that_runs() -> None:
    """Eight bits leave a smaller folder that runs."""
    names = {path.name for path in tiny_openvino().iterdir()}
    assert {"openvino_model.xml", "openvino_model.bin", "config.json", "tokenizer.json"} <= names
    weights = (tiny_openvino() / "openvino_model.bin").stat().st_size
    assert weights < 0.5 * (tiny_llama() / "model.safetensors").stat().st_size


def test_the_tokenizer_is_the_champions_own() -> None:
    """The tokenizer is the champions own."""
    ours, theirs = (folder / "tokenizer.json" for folder in (tiny_openvino(), tiny_llama()))
    assert ours.read_bytes() == theirs.read_bytes()


def test_no_path_of_this_machine_is_left_in_the_files() -> None:
    """No path of this machine is left in the files."""
    for path in tiny_openvino().iterdir():
        assert str(tiny_llama()).encode() not in path.read_bytes(), path.name


def test_four_bits_are_measured_noted_and_make_the_same_files_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bits are measured, noted and make the same files each time."""
    remember_export(monkeypatch)
    params = {"group_size": 32, "ratio": 0.8, "sym": True}
    made = [compress(tiny_llama(), [], "openvino-int4", params, tmp_path / n) for n in "ab"]
    measurements, notes = made[0]
    files = [p for p in (tmp_path / "a").iterdir() if p.is_file()]
    assert measurements["size_bytes"] == sum(p.stat().st_size for p in files)
    assert measurements["parent_size_bytes"] > 0
    assert measurements["seconds"] > 0
    told = json.loads(notes[0].split(": ", 1)[1].split("}")[0] + "}")
    assert told == params | {"bits": 4, "scale_estimation": False}
    for name in ("openvino_model.bin", "openvino_model.xml", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    runtime = load(tmp_path / "a", "openvino")
    assert "i4" in runtime.precision
    exact = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    assert runtime.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=0.5)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """A folder that is no model is refused."""
    broken = copy_of(tiny_llama(), tmp_path / "m")
    (broken / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        compress(broken, [], "openvino-int8", {}, tmp_path / "out")


def test_sixteen_bits_halve_the_weights_and_keep_the_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen bits halve the weights and keep the losses."""
    remember_export(monkeypatch)
    compress(tiny_llama(), [], "openvino-fp16", {}, tmp_path / "m")
    check_model_folder(tmp_path / "m", "openvino")
    weights = (tmp_path / "m" / "openvino_model.bin").stat().st_size
    assert weights < 0.55 * (tiny_llama() / "model.safetensors").stat().st_size
    runtime = load(tmp_path / "m", "openvino")
    assert runtime.precision.startswith("weights f16")
    exact = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    assert runtime.nll([WORDS])[0].nll_nats == pytest.approx(exact, rel=1e-3)


def test_four_bits_look_at_texts_where_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bits look at texts where they are told to, and say at how many tokens."""
    remember_export(monkeypatch)
    params = {"group_size": 32, "scale_estimation": True, "block_tokens": 16}
    with pytest.raises(ParamError, match="openvino-int4 is calibrated on production's texts"):
        compress(tiny_llama(), [], "openvino-int4", params, tmp_path / "none")
    texts = make_samples(40)
    blind = compress(tiny_llama(), texts, "openvino-int4", {"group_size": 32}, tmp_path / "a")
    aware = compress(tiny_llama(), texts, "openvino-int4", params, tmp_path / "b")
    assert "no data" in blind[1][0]
    assert "tokens of training texts" in aware[1][0]
    first, second = (tmp_path / n / "openvino_model.bin" for n in "ab")
    assert first.read_bytes() != second.read_bytes()
