"""Why did alerts die, and what is to be done? Thousands of failures as a few findings."""
