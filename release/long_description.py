"""The README for a package index, where relative links don't work.

Links and pictures point to the project's home. While there is none, links are replaced by their text, and
pictures removed.
"""

import re
from posixpath import normpath

from release.home import Home

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_PICTURE = re.compile(
    r'<picture>.*?<img src="(?P<source>[^"]+)"[^>]*?alt="(?P<text>[^"]*)"[^>]*>.*?</picture>\n?', re.DOTALL
)
_CHECKOUT = re.compile(r"(?P<before>\binstall )(?:\.|'\.(?P<extras>\[[\w,]+\])')(?=\s)")


def long_description(readme: str, package: str, version: str, home: Home | None) -> str:
    """The published form of the README of this version."""

    def picture(found: re.Match[str]) -> str:
        if home is None:
            return ""
        return f"![{found['text']}]({home.picture(normpath(found['source']), version)})\n"

    def link(found: re.Match[str]) -> str:
        target: str = found["target"]
        if "://" in target:
            return found[0]
        if home is None:
            return found["text"]
        path, hash_sign, anchor = target.partition("#")
        address = home.page(normpath(path), version) if path else ""
        return f"[{found['text']}]({address}{hash_sign}{anchor})"

    def install(found: re.Match[str]) -> str:
        extras = found["extras"]
        return f"{found['before']}'{package}{extras}'" if extras else f"{found['before']}{package}"

    page = _LINK.sub(link, _PICTURE.sub(picture, readme))
    if home is None:
        return page
    if home.on_package_index:
        page = _CHECKOUT.sub(install, page)
    # This shows the MCP registry that the package and the server have the same owner.
    return f"{page.rstrip()}\n\n<!-- mcp-name: {home.server_name} -->\n"
