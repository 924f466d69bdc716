"""Which device to compute on, and in which precision."""

import torch


def best_device() -> torch.device:
    """The GPU this process was given, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def cpu_capabilities() -> dict[str, object]:
    """What torch knows of the processor: its `cpu_name` and instruction sets; empty where it cannot tell."""
    find = getattr(torch.cpu, "get_capabilities", None)  # absent from older torch
    return find() if find else {}


def fastest_precision(device: torch.device) -> str:
    """`bfloat16` where the hardware multiplies it faster than float32, else `float32`."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = cpu_capabilities()
        fast = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a network's products are computed in `precision`.

    Args:
        device: where the network lives.
        precision: `float32`, `bfloat16`, or `auto` for what is fastest on the device.
    """
    chosen = fastest_precision(device) if precision == "auto" else precision
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen == "bfloat16")
