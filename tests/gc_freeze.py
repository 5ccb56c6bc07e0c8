"""Imported last by the process from which others are forked, to exclude its objects from garbage collection.

Otherwise each child's collector would scan them, especially at exit, and so copy their memory pages.
"""

import gc

gc.collect()
gc.freeze()
