"""Sets of bytes as bit masks: one bit for each of 64 bytes, found by vector instructions.

Numba's loops over bytes leave the vector units idle wherever the next step depends on the last;
with masks a kernel looks at words, lines and symbols instead of bytes. The functions are written
in LLVM's vectors, which every processor's code generator knows.
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
import numpy as np
from llvmlite import ir
from numba import njit, types

# Kernels take plain arrays and numbers; numba, not mypy, types them.
from numba.core import cgutils
from numba.extending import intrinsic

from udfs.text.columns import Bytes, read_only


@intrinsic
def _move(typing_context, source, start, target, filled, size):
    """Copy source[start : start + size] to target[filled:], which may overlap it; unchecked."""

    def generate(context, builder, signature, arguments):
        source, start, target, filled, size = arguments
        from_data = context.make_array(signature.args[0])(context, builder, source).data
        to_data = context.make_array(signature.args[2])(context, builder, target).data
        from_place, to_place = builder.gep(from_data, [start]), builder.gep(to_data, [filled])
        cgutils.raw_memmove(builder, to_place, from_place, size, 1)
        return ir.IntType(64)(0)

    return types.int64(source, types.int64, target, types.int64, types.int64), generate


@njit(cache=True, nogil=True)
def append(source, start, end, target, filled):
    """Copy source[start:end] to target[filled:]; return where the copy ends.

    Source and target may be the same array.
    """
    if end > start:
        _move(source, start, target, filled, end - start)
    return filled + end - start


BLOCK = 64
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
_HALF = 32
_FOLD = 0x20


def readable_blocks(data: Bytes) -> Bytes:
    """Return `data` read-only, and long enough for the functions below, which read whole blocks."""
    if data.size < BLOCK:
        data = np.concatenate((data, np.zeros(BLOCK - data.size, np.uint8)))
    return read_only(data)


def _pointer(context, builder, array_type, array, at):
    """Return the pointer to array[at], unchecked."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [at])


def splat(builder, vector, number):
    """Return `number` in every lane of an LLVM `vector` type."""
    lane = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(lane, lane, lanes)


@intrinsic
def _load64(typing_context, data, at):
    """Return data[at : at + 8] as a number, the first byte lowest."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        number = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
        number.align = 1
        return number

    return types.uint64(data, types.int64), generate


@intrinsic
def _mask(typing_context, data, at, fold, first, count):
    """Return a bit for each of 64 bytes that, or'ed with `fold`, is in [first, first + count)."""
    half = ir.VectorType(ir.IntType(8), _HALF)

    def generate(context, builder, signature, arguments):
        array, at, *numbers = arguments
        fold, first, count = (
            splat(builder, half, builder.trunc(number, ir.IntType(8))) for number in numbers
        )
        mask = ir.IntType(64)(0)
        for shift in (0, _HALF):
            place = builder.add(at, ir.IntType(64)(shift))
            pointer = _pointer(context, builder, signature.args[0], array, place)
            loaded = builder.load(builder.bitcast(pointer, half.as_pointer()))
            loaded.align = 1
            distance = builder.sub(builder.or_(loaded, fold), first)
            found = builder.icmp_unsigned("<", distance, count)
            bits = builder.zext(builder.bitcast(found, ir.IntType(_HALF)), ir.IntType(64))
            mask = builder.or_(mask, builder.shl(bits, ir.IntType(64)(shift)))
        return mask

    return types.uint64(data, types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def ones(typing_context, mask):
    """Return how many bits of `mask` are set."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest(typing_context, mask):
    """Return the number of the lowest bit of `mask` that is set, 64 where none is."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.int64(types.uint64), generate


@intrinsic
def highest(typing_context, mask):
    """Return the number of the highest bit of `mask` that is set, -1 where none is."""

    def generate(context, builder, signature, arguments):
        zeros = builder.ctlz(arguments[0], ir.IntType(1)(0))
        return builder.sub(ir.IntType(64)(BLOCK - 1), zeros)

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True)
def eight_bytes(data, position):
    """Return data[position : position + 8] as a number, the first byte lowest; 0 beyond the end."""
    at = min(position, data.size - 8)
    return _load64(data, at) >> np.uint64(8 * (position - at))


@njit(cache=True, nogil=True)
def in_range(data, position, first, count):
    """Return a bit for each of the 64 bytes from `position` on in [first, first + count).

    Bits beyond the data are 0.
    """
    at = min(position, data.size - BLOCK)
    return _mask(data, at, 0, first, count) >> np.uint64(position - at)


@njit(cache=True, nogil=True)
def in_folded_range(data, position, first, count):
    """Do what in_range does, capital letters taken for small ones (and @[\\]^_ for `{|}~ DEL)."""
    at = min(position, data.size - BLOCK)
    return _mask(data, at, _FOLD, first, count) >> np.uint64(position - at)


@njit(cache=True, nogil=True)
def first_bits(count):
    """Return the mask of the `count` lowest bits, 64 at most, 1 at least."""
    return ALL >> np.uint64(BLOCK - min(count, BLOCK))


@njit(cache=True, nogil=True)
def bits_from(first):
    """Return the mask of all bits from number `first` on, 63 at most."""
    return ALL << np.uint64(first)


@njit(cache=True, nogil=True)
def characters(data, start, end):
    """Return the number of characters of the UTF-8 text data[start:end]."""
    count = 0
    for block in range(start, end, BLOCK):
        count += ones(~in_range(data, block, 0x80, 0x40) & first_bits(end - block))
    return count


@njit(cache=True, nogil=True)
def next_byte(data, position, end, byte):
    """Return where `byte` comes next from `position` on, `end` if it does not."""
    while position < end:
        found = in_range(data, position, byte, 1) & first_bits(end - position)
        if found != 0:
            return position + lowest(found)
        position += BLOCK
    return end


@njit(cache=True, nogil=True)
def count_byte(data, start, end, byte):
    """Return how often `byte` occurs in data[start:end]."""
    count = 0
    for block in range(start, end, BLOCK):
        count += ones(in_range(data, block, byte, 1) & first_bits(end - block))
    return count
