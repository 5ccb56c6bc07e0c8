"""The benchmarks run and produce figures. Tests don't judge how fast anything is."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("procrastinate", reason="the benchmarks need the extra bench")

from tests.benchmarks.__main__ import BENCHMARKS, main


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_produces_figures(name: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main([name, "--tiny", "--directory", str(tmp_path), "--json", str(report)])
    measured = json.loads(report.read_text())["benchmarks"]
    assert list(measured) == [name]
    for comparison in measured[name]:
        for contestant, figures in comparison["figures"].items():
            assert figures["values"], contestant
            assert all(math.isfinite(value) for value in figures["values"]), contestant
