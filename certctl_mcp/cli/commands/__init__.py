"""The commands of the program, one per file.

A module here declares a command's options, and imports the modules that do the work only when the command
runs, so that help and completion respond at once.
"""
