"""A durable notification queue with retries and dead letters, triaged through the Model Context Protocol."""

__version__ = "0.1.0"
