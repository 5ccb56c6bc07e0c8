"""The result of a scrape, by name and labels."""

from prometheus_client.parser import text_string_to_metric_families

from tests.certctl_mcp.http.conftest import READER, Served

METRICS = "/api/v1/metrics/prometheus"


class Scrape:
    """The samples and types in the plain text format."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        self.names = {name for name, _ in self._samples}
        # Counters that are parsed lack their suffix.
        declared = (line.split() for line in text.splitlines() if line.startswith("# TYPE "))
        self.types = {words[2]: words[3] for words in declared}

    def __call__(self, name: str, **labels: str) -> float:
        return self._samples[name, frozenset(labels.items())]

    def labels(self, name: str, label: str) -> set[str]:
        """Its values; fails where the series of that name don't have it."""
        return {dict(labels)[label] for found, labels in self._samples if found == name}


async def scrape(served: Served, key: str = READER) -> Scrape:
    async with served.client(key) as client:
        answered = await client.get(METRICS)
    assert answered.status_code == 200, answered.text
    return Scrape(answered.text)
