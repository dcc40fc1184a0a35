"""The page to talk to: its files, and the WebSocket behind it."""
