"""Rows of numbers eight at a time: numba's own loops over so few add them one by one.

The functions are written in LLVM's vectors, which every processor's code generator knows. Nothing
is checked: what they touch must exist.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from udfs.text.byte_masks import splat

LANES = 8


class _Code(NamedTuple):
    """Where numba writes a function: its context, its builder, the types of its arguments."""

    context: Any
    builder: Any
    types: Any


def _lanes(code, array_type, array, row, column):
    """Return the pointer to array[row, column : column + 8] as a vector."""
    builder = code.builder
    made = code.context.make_array(array_type)(code.context, builder, array)
    if array_type.ndim == 1:
        index = column
    else:
        width = builder.extract_value(made.shape, 1)
        index = builder.add(builder.mul(row, width), column)
    place = builder.gep(made.data, [index])
    vector = ir.VectorType(place.type.pointee, LANES)
    return builder.bitcast(place, vector.as_pointer())


def _load(builder, pointer):
    loaded = builder.load(pointer)
    # A mapped matrix starts wherever what is before it in the file ends.
    loaded.align = 1
    return loaded


def _add(code, totals, place, rows, found, column):
    builder, totals_type, rows_type = code.builder, code.types[0], code.types[2]
    target = _lanes(code, totals_type, totals, place, column)
    total = _load(builder, target)
    for row in found:
        numbers = _load(builder, _lanes(code, rows_type, rows, row, column))
        if totals_type.dtype == types.float64:
            numbers = builder.fpext(numbers, total.type)
        total = builder.fadd(total, numbers)
    builder.store(total, target).align = 1
    return ir.IntType(64)(0)


@intrinsic
def add_eight(typing_context, totals, place, rows, row, column):
    """Add rows[row, column : column + 8], float32, to the same columns of totals[place]."""

    def generate(context, builder, signature, arguments):
        totals, place, rows, row, column = arguments
        code = _Code(context, builder, signature.args)
        return _add(code, totals, place, rows, [row], column)

    return types.int64(totals, types.int64, rows, types.int64, types.int64), generate


@intrinsic
def add_eight_of_four(typing_context, totals, place, rows, four, column):
    """Do what add_eight does for a tuple of four rows, in their order."""

    def generate(context, builder, signature, arguments):
        totals, place, rows, four, column = arguments
        code = _Code(context, builder, signature.args)
        return _add(code, totals, place, rows, cgutils.unpack_tuple(builder, four, 4), column)

    numbers = types.UniTuple(types.int64, 4)
    return types.int64(totals, types.int64, rows, numbers, types.int64), generate


@intrinsic
def or_of_equal(typing_context, table, at, key, low_bits):
    """Return all of table[at : at + 8] or'ed that equal `key` but for their `low_bits` lowest bits.

    0 where none does; table and key are uint64.
    """

    def generate(context, builder, signature, arguments):
        table, at, key, low_bits = arguments
        code = _Code(context, builder, signature.args)
        entries = _load(builder, _lanes(code, signature.args[0], table, None, at))
        kind = entries.type
        differing = builder.xor(entries, splat(builder, kind, key))
        differing = builder.lshr(differing, splat(builder, kind, low_bits))
        nothing = ir.Constant(kind, [0] * LANES)
        equal = builder.icmp_unsigned("==", differing, nothing)
        found = builder.select(equal, entries, nothing)
        size = LANES
        while size > 1:
            size //= 2
            halves = [
                ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(start, start + size)))
                for start in (0, size)
            ]
            low, high = (builder.shuffle_vector(found, found, half) for half in halves)
            found = builder.or_(low, high)
        return builder.extract_element(found, ir.IntType(32)(0))

    return types.uint64(table, types.int64, types.uint64, types.uint64), generate
