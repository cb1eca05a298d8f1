"""A client that was written from PROTOCOL.md alone: it shares no code with the project."""
