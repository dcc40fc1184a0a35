"""Fine-tuning the recognizer: pretrained weights in, an int8 ONNX model that the runtime opens out."""
