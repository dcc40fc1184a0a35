"""From PyTorch to the runtime: a folder that `MoonshineRecognizer.load` opens as it opens a published model.

encoder_model.onnx   audio to hidden states, see `asr.encoder_graph`
cross_model.onnx     hidden states to keys and values, once per utterance, see `asr.decoder_graph`
decoder_model.onnx   tokens to logits, see `asr.decoder_graph`
tokenizer.bin        that of the base
"""

from pathlib import Path

from transformers import MoonshineForConditionalGeneration

from rejoinder.adapt.asr.weights import numpy_weights
from rejoinder.asr.decoder_graph import cross_model, decoder_model
from rejoinder.asr.encoder_graph import encoder_model
from rejoinder.asr.tokenizer import Tokenizer
from rejoinder.errors import AdaptError


def export_moonshine(
    module: MoonshineForConditionalGeneration, tokenizer: Path, folder: Path, *, quantize: bool = True
) -> None:
    """Write the ONNX graphs of a moonshine; `quantize=False` keeps float32, for GPUs.

    Raises `AdaptError` when the disk is full.
    """
    weights = numpy_weights(module)
    n_heads = int(module.config.encoder_num_attention_heads)
    graphs = {"encoder_model": encoder_model, "cross_model": cross_model, "decoder_model": decoder_model}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, make in graphs.items():
            (folder / f"{name}.onnx").write_bytes(make(weights, n_heads, quantize=quantize))
        Tokenizer.load(tokenizer).save(folder / "tokenizer.bin")
    except OSError as error:
        raise AdaptError(f"{folder}: the model cannot be written ({error.strerror}); make room there") from error
