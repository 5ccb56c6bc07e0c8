"""Running alongside certctl's server: a fake of it, on its schema, with each delivery mode."""
