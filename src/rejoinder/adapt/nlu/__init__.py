"""Fine-tuning an encoder on a domain's intents and slots, on the recognizer's own mistakes, to one int8 ONNX model."""
