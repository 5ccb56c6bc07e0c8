"""Faults in processes, receivers, clocks and databases, and a check that every alert survived."""
