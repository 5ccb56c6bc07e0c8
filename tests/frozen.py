"""Imported last by the process that others are forked from: the garbage collector leaves alone what is there.

It would look at everything in each of them, most of all at their end, and thereby copy it into each.
"""

import gc

gc.collect()
gc.freeze()
