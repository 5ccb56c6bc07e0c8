"""The commands of the program, one file each.

A module here declares a command's options and imports what does the work only when the command runs, so that
help and completion answer at once.
"""
