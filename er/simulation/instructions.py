"""Instructions of the processor that compiled code has no words for."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from er.simulation.heaps import Ints
from er.simulation.jit import inner

instruction: Any = intrinsic
BYTE = ir.IntType(8).as_pointer()
INT, LONG = ir.IntType(32), ir.IntType(64)


def called(builder: Any, name: str, kind: Any) -> Any:
    """A function of LLVM or of the C library."""
    function: Any = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return function


def _prefetch(_: Any, table: Any, row: Any, column: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.ptrtoint(array.data, LONG)
        for axis in (0, 1):
            at = axis + 1
            index = context.cast(builder, arguments[at], signature.args[at], types.int64)
            stride = builder.extract_value(array.strides, axis)
            address = builder.add(address, builder.mul(index, stride))
        kind = ir.FunctionType(ir.VoidType(), [BYTE, INT, INT, INT])
        read, keep, data = INT(0), INT(3), INT(1)
        builder.call(
            called(builder, "llvm.prefetch", kind),
            [builder.inttoptr(address, BYTE), read, keep, data],
        )
        return context.get_dummy_value()

    return types.void(table, row, column), generate


def _add(_: Any, cell: Any, amount: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        value = context.cast(builder, arguments[1], signature.args[1], types.int64)
        return builder.atomic_rmw("add", data, value, "seq_cst")

    return types.int64(cell, amount), generate


def _yield_processor(_: Any) -> Any:
    def generate(context: Any, builder: Any, *_: Any) -> Any:
        builder.call(called(builder, "sched_yield", ir.FunctionType(INT, [])), [])
        return context.get_dummy_value()

    return types.void(), generate


# Load a place in a table into the cache before it is read.
prefetch: Callable[[Any, int, int], None] = instruction(_prefetch)
# Add to the first element of an array in one step for all threads; returns what it was.
add: Callable[[Ints, int], int] = instruction(_add)
# Let another thread have the processor.
yield_processor: Callable[[], None] = instruction(_yield_processor)


@inner
def wait_for_all(gate: Ints, threads: int) -> None:
    """Wait until so many threads are here. `gate` is two zeros that they share."""
    turn = add(gate[1:], 0)
    if add(gate, 1) == threads - 1:
        add(gate, -threads)
        add(gate[1:], 1)
    while add(gate[1:], 0) == turn:
        yield_processor()
