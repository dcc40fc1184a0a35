"""The doors to an assistant: each speaks a protocol of its own, and all lead to the same sessions."""
