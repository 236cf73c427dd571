"""docs/dags.md is what the DAGs say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def maker() -> ModuleType:
    """The program, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("m", ROOT / "docs" / "make_dags_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(maker: ModuleType) -> None:
    """`make docs` was run after the last change of a docstring or a parameter."""
    assert maker.main(["--check"]) == 0


def test_a_stale_page_is_refused(
    maker: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 1, and what to do; writing heals it."""
    monkeypatch.setattr(maker, "PAGE", tmp_path / "dags.md")
    assert maker.main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err
    assert maker.main([]) == 0
    assert maker.main(["--check"]) == 0


def test_every_dag_has_its_section_and_its_parameters(maker: ModuleType) -> None:
    """The daily cycle first."""
    page = maker.page()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    others = ("compress", "rate_outputs", "replay", "retrain", "review", "rollback")
    assert headings == ["## daily_cycle", *(f"## {name}" for name in others)]
    assert "| `require_approval` | boolean |" in page


def test_a_dag_without_a_docstring_is_refused(maker: ModuleType, tmp_path: Path) -> None:
    """It would have no page in the UI either."""
    (tmp_path / "mute.py").write_text("X = 1\n")
    with pytest.raises(SystemExit, match="has no docstring"):
        maker.page(tmp_path)
