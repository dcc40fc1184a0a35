"""The OpenAI Realtime protocol (GA) over a WebSocket."""
