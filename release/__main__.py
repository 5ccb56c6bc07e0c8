"""`python -m release`: build everything that a release publishes, then install each file and run its demo."""

import argparse
import sys
from pathlib import Path

from release.build import Release, build
from release.home import HOME_FILE, ROOT, ReleaseError, load_home
from release.trial import try_bundle, try_package


class _Options(argparse.Namespace):
    out: Path
    no_trial: bool


def main() -> int:
    options = _parser().parse_args(namespace=_Options())
    try:
        home = load_home()
        release = build(home, options.out)
        for file in release.files:
            print(f"built {file}")
        if home is None:
            print(f"not built: server.json, because {HOME_FILE.relative_to(ROOT)} names no owner")
        if not options.no_trial:
            _try(release)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def _try(release: Release) -> None:
    for file, trial in (
        (release.wheel, try_package),
        (release.sdist, try_package),
        (release.bundle, try_bundle),
    ):
        lines = trial(file).splitlines()
        print(f"tried {file.name}: {lines[-1]}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__.partition(": ")[2])
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), help="an empty directory for the files (default: dist)"
    )
    parser.add_argument("--no-trial", action="store_true", help="only build, which needs no network")
    return parser


sys.exit(main())
