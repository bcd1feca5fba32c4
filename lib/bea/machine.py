"""Straight-line code on floats, translated by LLVM to a loop over steps and settings in machine
code.

The translation is literal: each operation of the Python function becomes one instruction, in the
same order, none is merged or rearranged, and functions such as the exponential are those of the C
library, which Python calls, too.  So the bits are the same.
"""

import ast
import ctypes
import math
from functools import cache

from llvmlite import binding, ir

__all__ = ["loop"]

DOUBLE, INT, POINTER = ir.DoubleType(), ir.IntType(64), ir.PointerType()
ARITHMETIC = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
COMPARISONS = {ast.Eq: "==", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
INSTRUCTIONS = {"sqrt": "sqrt", "abs": "fabs", "copysign": "copysign"}
# What Python's math takes from the C library.  Others it computes itself, and C's gamma is a logarithm.
FUNCTIONS = frozenset(
    "exp expm1 log log1p pow sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc".split()
)


def loop(source, d, lanes):
    """A function (path, variables, constants, count, first, end, rows, every) that makes rows * every
    steps with the settings from ``first`` to before ``end``, ``lanes`` of them at a time.

    ``source`` is the text of a Python function of constants and variables that returns the
    variables after one step.  The first ``d`` variables are written to a row of the path, where of
    ``every`` steps the last one stays.  The three arrays are given by their addresses; on their last
    axis are ``count`` settings.  ``variables`` is advanced in place.

    Raises NotImplementedError if the code holds what there is no instruction for.
    """
    module = ir.Module()
    module.triple = binding.get_default_triple()
    kind = ir.FunctionType(ir.VoidType(), [POINTER] * 3 + [INT] * 5)
    _write(ir.Function(module, kind, "loop"), ast.parse(source).body[0], d, lanes)
    return _compiled(str(module))


def _write(function, step, d, lanes):
    """The two loops around the step: settings outside, steps inside, variables in registers."""
    path, variables, constants, count, first, end, rows, every = function.args
    names = [argument.arg for argument in step.args.args]
    *assignments, returned = step.body
    n = len(returned.value.elts)

    start, of_settings, of_steps, stored, done = (
        function.append_basic_block(name)
        for name in ("start", "settings", "steps", "stored", "done")
    )
    build = ir.IRBuilder(start)
    steps, row_length = build.mul(rows, every), build.mul(count, INT(d))
    offsets = [build.mul(count, INT(i)) for i in range(len(names))]
    build.branch(of_settings)

    build.position_at_end(of_settings)
    setting = _changing(build, INT, first, start)

    def place(array, i):
        return build.gep(array, [build.add(offsets[i], setting)], source_etype=DOUBLE)

    def load(array, i):
        return build.load(place(array, i), typ=_numbers(lanes), align=8)

    fixed = [load(constants, i) for i in range(len(names) - n)]
    at_start = [load(variables, i) for i in range(n)]
    build.branch(of_steps)

    build.position_at_end(of_steps)
    left = _changing(build, INT, steps, of_settings)
    until_kept = _changing(build, INT, every, of_settings)
    row = _changing(build, POINTER, path, of_settings)
    before = [_changing(build, _numbers(lanes), value, of_settings) for value in at_start]
    known = dict(zip(names, [*fixed, *before]))
    for line in assignments:
        known[line.targets[0].id] = _translated(build, line.value, known, lanes)
    after = [_translated(build, value, known, lanes) for value in returned.value.elts]
    for i in range(d):
        build.store(after[i], place(row, i), align=8)
    now_left, now_until_kept = build.sub(left, INT(1)), build.sub(until_kept, INT(1))
    kept = build.icmp_signed("==", now_until_kept, INT(0))
    next_row = build.gep(row, [row_length], source_etype=DOUBLE)
    left.add_incoming(now_left, of_steps)
    until_kept.add_incoming(build.select(kept, every, now_until_kept), of_steps)
    row.add_incoming(build.select(kept, next_row, row), of_steps)
    for variable, value in zip(before, after):
        variable.add_incoming(value, of_steps)
    build.cbranch(build.icmp_signed(">", now_left, INT(0)), of_steps, stored)

    build.position_at_end(stored)
    for i in range(n):
        build.store(after[i], place(variables, i), align=8)
    next_setting = build.add(setting, INT(lanes))
    setting.add_incoming(next_setting, stored)
    build.cbranch(build.icmp_signed("<", next_setting, end), of_settings, done)

    build.position_at_end(done)
    build.ret_void()


def _changing(build, kind, value, block):
    """What changes from one round of a loop to the next: ``value`` when it is entered from
    ``block``."""
    phi = build.phi(kind)
    phi.add_incoming(value, block)
    return phi


def _numbers(lanes):
    return DOUBLE if lanes == 1 else ir.VectorType(DOUBLE, lanes)


def _translated(build, node, known, lanes):
    """The value of a Python expression in floats."""

    def value(part):
        return _translated(build, part, known, lanes)

    match node:
        case ast.BinOp() | ast.UnaryOp() if not any(map(_varies, ast.walk(node))):
            # Python divides whole numbers before it rounds them
            return _constant(eval(ast.unparse(node)), lanes)
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.NamedExpr(target=ast.Name(id=name), value=x):
            known[name] = value(x)
            return known[name]
        case ast.Constant(value=int() | float() as number):
            return _constant(number, lanes)
        case ast.Attribute(value=ast.Name(id="math"), attr="pi" | "e" | "nan" as name):
            return _constant(getattr(math, name), lanes)
        case ast.UnaryOp(op=ast.USub(), operand=x):
            return build.fneg(value(x))
        case ast.BinOp(left=x, op=op, right=y) if type(op) in ARITHMETIC:
            return getattr(build, ARITHMETIC[type(op)])(value(x), value(y))
        case ast.IfExp(test=ast.Compare(left=x, ops=[op], comparators=[y]), body=yes, orelse=no):
            if type(op) in COMPARISONS:
                test = build.fcmp_ordered(COMPARISONS[type(op)], value(x), value(y))
                return build.select(test, value(yes), value(no))
        case ast.Call(
            func=ast.Name(id=name) | ast.Attribute(value=ast.Name(id="math"), attr=name), args=given
        ):
            if name in INSTRUCTIONS or name in FUNCTIONS:
                return _call(build, name, [value(part) for part in given], lanes)
    raise NotImplementedError(f"no instruction for {ast.unparse(node)}")


def _varies(node):
    return isinstance(node, (ast.Name, ast.Call))


def _constant(number, lanes):
    return ir.Constant(_numbers(lanes), float(number) if lanes == 1 else [float(number)] * lanes)


def _call(build, name, arguments, lanes):
    if name in INSTRUCTIONS:
        suffix = "f64" if lanes == 1 else f"v{lanes}f64"
        instruction = _declared(build, f"llvm.{INSTRUCTIONS[name]}.{suffix}", arguments)
        return build.call(instruction, arguments)
    _make_known(name)
    if lanes == 1:
        return build.call(_declared(build, name, arguments), arguments)
    result = ir.Constant(_numbers(lanes), ir.Undefined)
    for lane in map(INT, range(lanes)):  # the C library takes one number at a time
        one = [build.extract_element(argument, lane) for argument in arguments]
        result = build.insert_element(result, build.call(_declared(build, name, one), one), lane)
    return result


def _make_known(name):
    """Tell LLVM where the function of the C library is, which ends the process if asked for one that
    it does not know."""
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (AttributeError, TypeError, OSError):  # Windows has no such list of all that is loaded
        raise NotImplementedError(f"the C library has no function {name}") from None
    binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _declared(build, name, arguments):
    kinds = [argument.type for argument in arguments]
    kind = ir.FunctionType(kinds[0], kinds)
    return build.module.globals.get(name) or ir.Function(build.module, kind, name)


@cache
def _target():
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple()


def _compiled(text):
    machine = _target().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=2
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(text), machine)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 5)
    function = kind(engine.get_function_address("loop"))
    function.engine = engine  # it owns the code
    return function
