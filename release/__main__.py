"""`python -m release`: build everything that a release publishes, then install each file and run its demo."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from release.build import Release, build
from release.home import HOME_FILE, ROOT, ReleaseError, load_home
from release.trial import try_bundle, try_package


class Options(argparse.Namespace):
    out: Path
    no_trial: bool


def main(arguments: Sequence[str]) -> int:
    """Make a release and return the exit code: 0, or 1 if something failed, with the reason on stderr."""
    options = read_options(arguments)
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
        trial(file)
        print(f"tried {file}: installed, and its demo ran to the end")


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__.partition(": ")[2])
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), help="an empty directory for the files (default: dist)"
    )
    parser.add_argument("--no-trial", action="store_true", help="only build, which needs no network")
    return parser.parse_args(arguments, Options())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
