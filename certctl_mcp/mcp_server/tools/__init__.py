"""What an assistant can call: one file for each thing it may want to do."""
