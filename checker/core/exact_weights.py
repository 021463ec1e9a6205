"""Weights as exact dyadic rationals: the bits of IEEE floats, decoded without ever making a float."""

import numpy as np

from certificates.errors import FormatError
from certificates.tensor_file import IntArray, RawTensor

_LAYOUTS = {
    # dtype: (numpy code of the bit pattern, exponent bits, fraction bits)
    "F16": ("<u2", 5, 10),
    "BF16": ("<u2", 8, 7),
    "F32": ("<u4", 8, 23),
    "F64": ("<u8", 11, 52),
}


def decode(name: str, tensor: RawTensor) -> tuple[IntArray, IntArray]:
    """Integer arrays (mantissas, exponents), same shape as the tensor: value = mantissa * 2**exponent, exactly.

    Subnormals and both zeros are decoded as IEEE 754 says. Raises FormatError on NaN and infinity.
    """
    code, exponent_bits, fraction_bits = _LAYOUTS[tensor.dtype]
    bits = np.frombuffer(tensor.data, code).reshape(tensor.shape).astype(np.uint64).view(np.int64)
    fraction = bits & ((1 << fraction_bits) - 1)
    biased = (bits >> fraction_bits) & ((1 << exponent_bits) - 1)
    negative = (bits >> (fraction_bits + exponent_bits)) & 1
    if np.any(biased == (1 << exponent_bits) - 1):
        raise FormatError(f"tensor {name!r} has a NaN or infinite weight")
    magnitude = np.where(biased > 0, fraction + (1 << fraction_bits), fraction)
    exponents = np.maximum(biased, 1) - ((1 << (exponent_bits - 1)) - 1) - fraction_bits
    return np.where(negative == 1, -magnitude, magnitude), exponents
