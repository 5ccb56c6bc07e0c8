"""How notifications look to a person at a terminal, and to a program that reads the output."""
