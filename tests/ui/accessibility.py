"""Checks a page's accessibility with axe."""

from playwright.async_api import Frame, Page

_GRAVE = {"serious", "critical"}


async def grave_findings(axe: str, frame: Frame | Page) -> list[str]:
    """Each finding as its rule and the elements that violate it."""
    await frame.evaluate(axe)
    found = await frame.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {[node['html'][:200] for node in violation['nodes']][:3]}"
        for violation in found["violations"]
        if violation["impact"] in _GRAVE
    ]
