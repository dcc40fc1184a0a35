"""From a PyTorch network to the int8 ONNX graph that the runtime opens."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 17


def export_graph(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    target: Path,
    *,
    pooled: Sequence[str] = (),
    int8: bool = True,
) -> None:
    """Write `network` to `target`: its `inputs` by name, as examples of shape (n_batch, n_tokens), and its `outputs`.

    Both numbers stay open; a `pooled` output has n_batch rows and no tokens. With `int8` the weights of products get 8
    bits and a scale for each column; what they are multiplied by is rounded as it comes. Raises what the exporter
    raises; `target` may then be half-written.
    """
    axes = {name: {0: "n_batch", 1: "n_tokens"} for name in (*inputs, *outputs)}
    axes |= {name: {0: "n_batch"} for name in pooled}
    traced = target.with_suffix(".float.onnx") if int8 else target
    trace(network, inputs, outputs, traced, axes=axes)
    if int8:
        _quantize(traced, target)
        traced.unlink()


def trace(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    target: Path,
    *,
    axes: Mapping[str, Mapping[int, str]],
    opset: int = OPSET,
) -> None:
    """Write what `network` does with examples of its `inputs` to `target`; the named `axes` of both sides stay open."""
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter that traces is called old, but the new one needs another package, and there are no branches.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.cpu().eval(),
            tuple(inputs.values()),
            str(target),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )


def _quantize(graph: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().addFilter(_wanted)
    try:
        kinds = ["MatMul", "Gather"]
        quantize_dynamic(
            str(graph), str(target), per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=kinds
        )
    finally:
        logging.getLogger().removeFilter(_wanted)


def _wanted(record: logging.LogRecord) -> bool:
    """Drop the advice to pre-process the model, which a graph that was just made does not need."""
    return "pre-processing" not in str(record.msg)
