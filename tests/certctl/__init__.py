"""Beside certctl's server: a stand-in for it, on its schema, and each delivery mode."""
