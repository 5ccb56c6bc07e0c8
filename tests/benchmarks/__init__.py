"""Benchmarks. Each runs our program and its competitors in turns and compares them."""
