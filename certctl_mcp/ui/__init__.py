"""The page for viewing and requeueing notifications, in a browser or within a conversation."""
