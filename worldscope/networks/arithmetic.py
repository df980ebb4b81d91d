"""Types of numbers: their names, and which a machine multiplies fast."""

import torch


def type_name(dtype: torch.dtype) -> str:
    """A type by its name alone, such as bfloat16."""
    return str(dtype).removeprefix("torch.")


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are fast on this device.

    An x86 processor without instructions for them still makes them, several times more slowly than
    float32 ones.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    can = torch.cpu.get_capabilities()
    if can.get("architecture") == "x86_64":
        return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
