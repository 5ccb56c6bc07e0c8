"""Package boundaries: which package may import which, and that importing a package loads nothing.

The allowed directions are listed under `[tool.importlinter]` in pyproject.toml.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = [path for package in ("certctl_mcp", "storage") for path in (ROOT / package).rglob("__init__.py")]
NOT_EMPTY = {
    "certctl_mcp/__init__.py": "holds the version, and the Python API, imported on first use",
    "certctl_mcp/demo/__init__.py": "holds the entry point of the demo",
    "certctl_mcp/notifiers/__init__.py": "exports what a plugin needs",
    "storage/schema/migrations/__init__.py": "Alembic's script location",
}


def test_packages_import_each_other_in_the_allowed_directions_only() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert lint.returncode == 0, lint.stdout


def test_package_init_files_contain_only_a_docstring() -> None:
    """The server starts fast because nothing is imported before it is used."""
    modules = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in PACKAGES}
    holding = {
        path for path, module in modules.items() if module.body[ast.get_docstring(module) is not None :]
    }

    assert holding == NOT_EMPTY.keys()


def test_importing_the_package_loads_no_third_party_module() -> None:
    code = (
        "import sys; before = set(sys.modules); import certctl_mcp; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == ["certctl_mcp"]
