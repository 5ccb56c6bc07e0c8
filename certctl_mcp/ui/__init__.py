"""The page on which notifications are seen and requeued, in a browser and within a conversation."""
