"""NVIDIA Riva's gRPC services, so that its clients work unchanged: recognition, speech, understanding, health."""
