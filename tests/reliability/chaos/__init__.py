"""Processes, receivers, clocks and databases that fail together, and a check of what became of the alerts."""
