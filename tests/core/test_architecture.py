"""The walls of the house stand: who imports whom, where floating point may not appear, who may construct facts.

* Import law: `certificates` and `checker` import neither `prover` nor torch; `prover` sees only `checker`'s public names.
* Deciding depends on files, arithmetic and rules only; each verdict says how many lines of them it rests on.
* No floating point on the trusted path: on the source, by a scan of every expression in `checker` and `certificates`
  (the scan itself is tested on code that must not pass), and at run time, by watching every array and local variable.
* Facts are constructed by rules only.
"""

import ast
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
import trusted_size
from thorough import THOROUGH

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("certificates", "checker", "prover")


def sources(*packages: str) -> list[Path]:
    found = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(found) >= 5 * len(packages), "the sources are where this test looks for them"
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- (a) imports ----------------------------------------------------------------------------------------------------------


def imports(tree: ast.AST, module: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every imported module, absolute, with the names taken from it; `module` is the dotted name of the importer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])]), tuple(alias.name for alias in node.names)


def dotted(path: Path) -> str:
    """Dotted name of a module, for which `level` dots lead to the package that holds it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts)


ALLOWED = {
    "certificates": {"certificates", "numpy"},
    "checker": {"certificates", "checker", "numpy", "mpmath", "click"},
}
"""What the trusted side may import besides the standard library."""


@pytest.mark.parametrize("path", sources("certificates", "checker"), ids=name_of)
def test_the_trusted_side_imports_nothing_else(path: Path) -> None:
    allowed = ALLOWED[path.relative_to(ROOT).parts[0]]
    for module, _ in imports(parse(path), dotted(path)):
        top = module.split(".")[0]
        assert top in allowed or top in sys.stdlib_module_names, f"{name_of(path)} imports {module}"
        assert top not in {"importlib", "runpy", "pickle", "marshal", "ctypes", "socket", "random", "decimal"}
        assert top != "subprocess" or name_of(path) == "checker/reporting/second_checker.py"
    calls = {node.func.id for node in ast.walk(parse(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    charging = {"setattr"} if name_of(path) == "checker/core/enclosures.py" else set()  # of the operations of an implementation
    assert not calls & {"__import__", "eval", "exec", "compile", "globals", "setattr"} - charging


def public_names(package: str) -> set[str]:
    for node in parse(ROOT / package / "__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{package} has no __all__")


def private_uses(tree: ast.AST, module: str) -> list[str]:
    """Everything of `checker` that a module uses and that is not one of its public names."""
    public = public_names("checker")
    bad = []
    for imported, names in imports(tree, module):
        if imported.split(".")[0] == "checker" and (imported != "checker" or not set(names) <= public):
            bad.append(f"{imported}: {names}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "checker" and node.attr not in public:
            bad.append(ast.unparse(node))
    return bad


@pytest.mark.parametrize("path", sources("prover"), ids=name_of)
def test_the_prover_sees_only_public_names_of_the_checker(path: Path) -> None:
    assert not private_uses(parse(path), dotted(path))


def test_private_uses_are_noticed() -> None:
    for bad in (
        "import checker.decide",
        "from checker.decide import check_proof",
        "from checker import core",
        "from checker import verify, facts as f",
        "import checker\nchecker.decide.check_proof()",
        "def f():\n    from checker.core.facts import CertifiedInputs",
    ):
        assert private_uses(ast.parse(bad), "prover.strategies.x")
    assert list(imports(ast.parse("from . import a\nfrom ..b import c"), "p.q.m")) == [("p.q", ("a",)), ("p.b", ("c",))]
    assert not private_uses(ast.parse("from checker import verify, Verdict\nimport checker\nchecker.verify"), "prover.x")


@pytest.mark.parametrize("package", ["checker", "certificates", "checker.reporting.cli", "checker.crosscheck.mpmath_intervals"])
def test_importing_the_trusted_side_loads_neither_torch_nor_prover(package: str) -> None:
    """In a fresh interpreter: sys.modules tells what was really loaded."""
    code = f"import sys, {package}; from {package} import *; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    modules = set(loaded.stdout.split())
    assert package.split(".", maxsplit=1)[0] in modules
    assert not modules & {"torch", "prover", "safetensors", "rich", "hypothesis", "flint", "scipy"}
    if package == "certificates":
        assert "checker" not in modules
    if package == "checker":
        assert not modules & {"mpmath", "click"}, "the default path needs numpy only"


# --- (b) what a verdict rests on --------------------------------------------------------------------------------------------

TRUSTED = trusted_size.table()


def test_deciding_imports_neither_reports_nor_rules_nor_the_cross_check_nor_writing() -> None:
    apart = {file for file in TRUSTED["core"] if not file.startswith(("certificates/", "checker/core/"))}
    assert apart == {trusted_size.DECIDING, trusted_size.REGISTRY}
    assert not any(file.startswith(("checker/reporting/", "checker/crosscheck/")) for file in TRUSTED["lines"])
    assert "certificates/writing.py" not in TRUSTED["lines"]
    for path in sources("checker"):
        reports = {file for file in trusted_size.imported(name_of(path)) if file.startswith("checker/reporting/")}
        assert not reports or name_of(path).startswith(("checker/reporting/", "checker/__", "checker/public"))


def test_the_registry_of_rules_is_the_only_way_from_the_core_to_families_of_models() -> None:
    for file in TRUSTED["core"]:
        families = {found for found in trusted_size.imported(file) if not found.startswith(("certificates/", "checker/core/"))}
        assert file == trusted_size.REGISTRY or families <= {trusted_size.REGISTRY}
    assert [file for file in TRUSTED["core"] if trusted_size.REGISTRY in trusted_size.imported(file)] == [trusted_size.DECIDING]


def test_the_cross_check_is_imported_in_one_place_and_only_when_it_is_asked_for() -> None:
    module = "checker.crosscheck"
    found = [
        (name_of(path), isinstance(node, ast.FunctionDef), getattr(node, "name", None))
        for path in sources("certificates", "checker", "prover")
        if not name_of(path).startswith("checker/crosscheck/")
        for node in parse(path).body
        if any(name.startswith(module) for name, _ in imports(node, dotted(path)))
    ]
    assert found == [("checker/reporting/verdict.py", True, "_mpmath")]


PASSING_ON = """
if TYPE_CHECKING:
    from {package}.public import *
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    from {package} import public
    return getattr(public, name)
"""
"""How a package loads its names when one is first asked for."""
PACKAGE_FILES = [path for path in sources("certificates", "checker") if path.name == "__init__.py"]


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=name_of)
def test_packages_only_pass_names_on(path: Path) -> None:
    """So they need not be counted; and what is trusted names the files that it needs."""
    package = path.parent.name
    when_asked_for = [node for node in ast.parse(PASSING_ON.format(package=package)).body if package in PACKAGES]
    for node in parse(path).body:
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__version__")
        passing = ast.dump(node) in map(ast.dump, when_asked_for)
        assert constant or listed or passing or isinstance(node, ast.ImportFrom), ast.unparse(node)
    assert not any(name_of(path) in trusted_size.imported(file) for file in TRUSTED["lines"])


def test_the_table_of_trusted_lines_is_up_to_date() -> None:
    assert json.loads(trusted_size.TABLE.read_text()) == TRUSTED, trusted_size.REFRESH
    assert sum(TRUSTED["lines"][file] for file in TRUSTED["core"]) <= 1500, "the core is meant to be audited in an evening"


@pytest.mark.parametrize(
    ("most", "task", "rules"),
    [
        (2000, "attention-only", {"additive-tables", "enumeration", "further-inputs"}),
        (2000, "attention-only", {"additive-tables", "prefix-chains", "further-inputs"}),
        (2000, "attention-only", {"additive-tables", "group-chains", "further-inputs"}),
        (2000, "attention-only", {"additive-tables", "group-chains", "disjoint-sum"}),
        (2000, "attention-only", {"additive-tables", "group-chains", "disjoint-sum", "further-inputs"}),
        (2200, "attention-only", {"projected-tables", "group-chains", "further-inputs"}),
        (2200, "attention-only", {"low-rank-chains"}),
        (2300, "group-mlp", {"hidden-tables", "coded-output", "set-output", "disjoint-sum"}),
        (2300, "uniform-attention", {"hidden-tables", "coded-output", "wave-output", "disjoint-sum"}),
        (2300, "uniform-attention", {"mlp-quadrature"}),
    ],
)
def test_a_certificate_rests_on_few_lines(most: int, task: str, rules: set[str]) -> None:
    files = set(TRUSTED["core"]).union(TRUSTED["tasks"][task], *(TRUSTED["rules"][rule] for rule in rules))
    assert sum(TRUSTED["lines"][file] for file in files) <= most


def test_a_verdict_says_how_many_lines_it_rests_on() -> None:
    from checker import verify  # noqa: PLC0415

    golden = ROOT / "certificates" / "golden"
    verdicts = {entry["certificate"]: entry for entry in json.loads((golden / "verdicts.json").read_text())}
    for name, rules, kind in (
        ("enumeration.cert", {"additive-tables", "enumeration"}, "attention-only"),
        ("pairs-mlp.cert", {"mlp-quadrature"}, "uniform-attention"),
        ("pairs-evaluated.cert", {"hidden-tables", "coded-output"}, "group-mlp"),
        ("automaton.cert", {"additive-tables", "all-inputs"}, "automata"),
    ):
        verdict = verify(golden / name, golden / verdicts[name]["model"])
        assert set(verdict.rules or ()) == rules
        files = set(TRUSTED["core"]).union(TRUSTED["tasks"][kind], *(TRUSTED["rules"][rule] for rule in rules))
        assert verdict.trusted_lines == sum(trusted_size.code_lines((ROOT / file).read_text()) for file in files)
        assert set(TRUSTED["tasks"][kind]) <= files, "no proof without its task"
        divided = verify(golden / name, golden / verdicts[name]["model"], jobs=2).trusted_lines
        assert divided == verdict.trusted_lines + TRUSTED["lines"]["checker/core/parallel.py"]
    refused = verify(golden / "version-older.cert", golden / "small.safetensors")
    assert refused.trusted_lines is refused.rules is None and "prove again" in refused.reason


def test_lines_are_counted_as_said() -> None:
    source = (
        '"""Doc.\n\nMore."""\n\nimport os  # why\n\n\ndef f(\n    a,\n):\n    """Doc."""\n    # no\n    return """a\nb"""\n'
    )
    assert trusted_size.code_lines(source) == 1 + 3 + 2
    assert trusted_size.imported(trusted_size.DECIDING) >= {trusted_size.REGISTRY, "checker/core/facts.py"}


# --- (c) no floating point in the source -----------------------------------------------------------------------------------

INTEGER_MATH = {"prod", "factorial", "comb", "perm", "gcd", "lcm", "isqrt"}
INTEGER_NUMPY = {
    *(
        "abs",
        "all",
        "any",
        "add",
        "append",
        "arange",
        "argmax",
        "argmin",
        "argsort",
        "array_equal",
        "array_split",
        "ascontiguousarray",
        "column_stack",
        "divmod",
        "lexsort",
        "logical_or",
        "may_share_memory",
        "moveaxis",
        "cumprod",
    ),
    *("broadcast_shapes", "broadcast_to", "concatenate", "count_nonzero", "cumsum", "delete", "diff", "dtype", "flatnonzero"),
    *("frombuffer", "frompyfunc", "generic", "iinfo", "integer", "isin", "ix_", "left_shift", "maximum", "minimum", "nonzero"),
    *("einsum", "repeat", "right_shift", "searchsorted", "sort", "split", "stack", "take", "take_along_axis", "tile", "unique"),
    *("packbits", "unpackbits", "where"),
    *("bool_", "int64", "uint64", "uint8", "object_", "ndarray"),
}
"""Numpy names that return integers when given integers."""
CONSTRUCTORS = {"zeros": 1, "ones": 1, "empty": 1, "full": 2, "array": 1, "asarray": 1}
"""Numpy functions that may choose a dtype themselves, and the position of their dtype argument."""
FLOAT_METHODS = {"mean", "std", "var", "average", "as_integer_ratio", "hex", "fromhex", "is_integer", "true_divide"}
FLOAT_CODE = re.compile(r"[<>=|]?(f[248]|c8|c16|[efdgFDG]|float\d*|double|half|single|longdouble|complex\d*)")
EXCEPTIONS = {
    # (file, function): how many divisions there are, and of what
    ("certificates/architectures.py", "parse_config"): 1,  # of exact Fractions: scale * scale / d_head
    ("checker/crosscheck/mpmath_intervals.py", "over"): 1,  # of mpmath intervals, by positive ones
    ("checker/crosscheck/mpmath_intervals.py", "reciprocal_sqrt"): 1,  # of mpmath intervals: 1 / sqrt(n)
}
FREE_ARRAYS = {("checker/reporting/coverage.py", "covers"), ("checker/crosscheck/mpmath_intervals.py", "_new")}
"""Functions that make arrays without naming a dtype, which they check themselves or which hold objects."""


class FloatScan(ast.NodeVisitor):
    """Collects expressions that compute, hold or may create floating-point numbers."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.functions: list[str] = [""]
        self.found: list[str] = []
        self.divisions: dict[tuple[str, str], int] = {}

    def report(self, node: ast.AST, why: str) -> None:
        self.found.append(f"{self.path}:{getattr(node, 'lineno', '?')} {ast.unparse(node)[:80]}: {why}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float | complex):
            self.report(node, "a floating-point literal")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in {"float", "complex"}:
            self.report(node, "floating point")

    def divide(self, node: ast.BinOp | ast.AugAssign) -> None:
        key = (self.path, self.functions[-1])
        self.divisions[key] = self.divisions.get(key, 0) + 1
        if self.divisions[key] > EXCEPTIONS.get(key, 0):
            self.report(node, "true division")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div):
            self.divide(node)
        negative = isinstance(node.right, ast.UnaryOp) and isinstance(node.right.op, ast.USub)
        if isinstance(node.op, ast.Pow) and negative:
            self.report(node, "a negative power")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Div):
            self.divide(node)
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module in {"math", "numpy", "time", "cmath", "statistics", "operator"}:
            self.report(node, "write math.name and numpy.name in full, so that this scan sees them")

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            renamed = {"numpy": "np"}.get(alias.name)
            if alias.name.split(".")[0] in {"math", "numpy", "time", "cmath", "statistics"} and alias.asname != renamed:
                self.report(node, "an alias that this scan does not follow")
            if alias.name in {"cmath", "statistics", "operator"}:
                self.report(node, "floating point")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = ast.unparse(node.value)
        if owner == "math" and node.attr not in INTEGER_MATH:
            self.report(node, "math in floating point")
        if owner == "np" and node.attr not in INTEGER_NUMPY and node.attr not in CONSTRUCTORS:
            self.report(node, "not known to return integers")
        if owner == "time" and not node.attr.endswith("_ns"):
            self.report(node, "time in floating point")
        if node.attr in FLOAT_METHODS:
            self.report(node, "a method in floating point")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = ast.unparse(node.func)
        keywords = {keyword.arg for keyword in node.keywords}
        if function.startswith("np.") and function[3:] in CONSTRUCTORS:
            self.check_constructor(node, function[3:], "dtype" in keywords)
        if function in {"json.loads", "json.load"} and not {"parse_float", "parse_constant"} <= keywords:
            self.report(node, "JSON with floating-point numbers")
        codes = [argument.value for argument in ast.walk(node) if isinstance(argument, ast.Constant)]
        takes_codes = function.startswith(("np.", "struct.")) or function.endswith((".astype", ".view"))
        if takes_codes and any(isinstance(code, str) and FLOAT_CODE.fullmatch(code) for code in codes):
            self.report(node, "a floating-point code")
        self.generic_visit(node)

    def check_constructor(self, node: ast.Call, name: str, has_dtype: bool) -> None:
        if has_dtype or len(node.args) > CONSTRUCTORS[name] or (self.path, self.functions[-1]) in FREE_ARRAYS:
            return
        value = node.args[CONSTRUCTORS[name] - 1]
        if isinstance(value, ast.UnaryOp):
            value = value.operand
        integer = name == "full" and isinstance(value, ast.Constant) and type(value.value) is int
        listed = name in {"array", "asarray"} and isinstance(value, ast.List) and len(value.elts) > 0  # [] would be float
        if not integer and not listed:
            self.report(node, "an array without a dtype")


def scan(source: str, path: str = "checker/x.py") -> FloatScan:
    result = FloatScan(path)
    result.visit(ast.parse(source))
    return result


@pytest.mark.parametrize("path", sources("certificates", "checker"), ids=name_of)
def test_no_floating_point_in_the_source(path: Path) -> None:
    result = scan(path.read_text(encoding="utf-8"), name_of(path))
    assert not result.found, "\n".join(result.found)


def test_the_exceptions_are_all_needed() -> None:
    divisions = {
        key: number
        for path in sources("certificates", "checker")
        for key, number in scan(path.read_text(encoding="utf-8"), name_of(path)).divisions.items()
    }
    assert divisions == EXCEPTIONS


FLOATING = [
    *("x = 1.0", "x = 1e9", "x = .5", "x = 1j", "x = float(y)", "f = float", "x: float = y", "x = y / z", "x /= 2"),
    *("x = 2 ** -y", "x = 10**-3", "import math\nmath.sqrt(2)", "math.log2(x)", "math.exp(1)", "math.floor(x)", "math.inf"),
    *(
        "from math import sqrt",
        "import math as m",
        "import numpy",
        "import numpy as n",
        "from numpy import zeros",
        "import statistics",
    ),
    *(
        "np.zeros(3)",
        "np.zeros((2, 2))",
        "np.ones(3)",
        "np.empty(n)",
        "np.full(3, x)",
        "np.full(3, 1.0)",
        "np.array(x)",
        "np.array([])",
    ),
    *(
        "np.asarray(x)",
        "np.array([1.5])",
        "np.linspace(0, 1)",
        "np.mean(x)",
        "x.mean()",
        "x.std()",
        "np.sqrt(x)",
        "np.exp(x)",
        "np.log2(x)",
    ),
    *(
        "np.true_divide(x, y)",
        "np.divide(x, y)",
        "np.float64(x)",
        "np.float32",
        "np.nan",
        "np.inf",
        "np.power(x, y)",
        "np.linalg.norm(x)",
    ),
    *(
        "np.random.rand(3)",
        "np.average(x)",
        "np.median(x)",
        "np.frombuffer(b, '<f4')",
        "x.astype('float64')",
        "x.view('f8')",
        "x.astype(float)",
    ),
    *(
        "struct.unpack('<d', b)",
        "struct.unpack('f', b)",
        "time.time()",
        "time.perf_counter()",
        "json.loads(text)",
        "np.zeros(3, dtype='d')",
    ),
]
INTEGRAL = [
    *(
        "x = 1",
        "x = y // z",
        "x //= 2",
        "x = 2**y",
        "math.prod(x)",
        "math.isqrt(x)",
        "np.zeros(3, np.int64)",
        "np.zeros(3, dtype=np.bool_)",
    ),
    *(
        "np.full(3, -1)",
        "np.full(3, x, np.int64)",
        "np.array([q])",
        "np.minimum.reduce(x)",
        "np.where(a, b, c)",
        "time.perf_counter_ns()",
    ),
    *(
        "struct.unpack('<Q', b)",
        "np.frombuffer(b, '<i8')",
        "x.astype(np.int64)",
        "json.loads(t, parse_float=f, parse_constant=g)",
        "'1/2'",
    ),
]


@pytest.mark.parametrize("source", FLOATING)
def test_the_scan_finds_floating_point(source: str) -> None:
    assert scan(source).found


@pytest.mark.parametrize("source", INTEGRAL)
def test_the_scan_lets_integers_pass(source: str) -> None:
    assert not scan(source).found


# --- (d) no floating point at run time --------------------------------------------------------------------------------------


class Watch:
    """Notes every floating-point number or array that trusted code holds: results of numpy, arguments, local variables.

    Every trusted module's `np` is replaced by a proxy that looks at each result, and a profile hook looks at the local
    variables and the result of each trusted function when it returns. `ScaledIntegers` is looked into element by element.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from checker.core.scaled_integers import ScaledIntegers  # noqa: PLC0415

        self.found: set[str] = set()
        self.arrays = self.enclosures = self.calls = 0
        self.modules_seen: set[str] = set()
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] in ("checker", "certificates") and getattr(module, "np", None) is np:
                monkeypatch.setattr(module, "np", Proxy(self, np, "np"))
                self.modules_seen.add(name)
        genuine = ScaledIntegers.__init__

        def watched(enclosure: Any, arithmetic: Any, lo: Any, hi: Any, shift: int, bound: int) -> None:
            self.enclosures += 1
            wanted = np.int64 if arithmetic.precision <= 30 else object
            for part in (lo, hi):
                if part.dtype != wanted:
                    self.found.add(f"ScaledIntegers of {part.dtype}")
                self.look(part, "ScaledIntegers")
            if type(shift) is not int or type(bound) is not int:
                self.found.add(f"ScaledIntegers with a shift of {type(shift)} and a bound of {type(bound)}")
            genuine(enclosure, arithmetic, lo, hi, shift, bound)

        monkeypatch.setattr(ScaledIntegers, "__init__", watched)

    def look(self, value: Any, where: str) -> None:
        if isinstance(value, np.ndarray | np.generic):
            self.arrays += 1
            if value.dtype.kind not in "iubO":
                self.found.add(f"{where}: {value.dtype}")
            elif value.dtype.kind == "O":
                kinds = {type(element) for element in np.asarray(value, object).reshape(-1)}
                if not kinds <= {int, bool}:
                    self.found.add(f"{where}: objects of {kinds}")
            elif value.dtype == np.uint64 and where != "np.frombuffer":  # bit patterns, reinterpreted at once
                self.found.add(f"{where}: uint64")  # mixed with int64 it would become float64
        elif isinstance(value, float | complex):
            self.found.add(f"{where}: {value!r}")
        elif isinstance(value, tuple | list):
            for element in value[:100]:
                self.look(element, where)
        elif isinstance(value, dict):
            for element in list(value.values())[:100]:
                self.look(element, where)

    def profile(self, frame: types.FrameType, event: str, argument: Any) -> None:
        if event != "return":
            return
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "checker") or path.is_relative_to(ROOT / "certificates"):
            self.calls += 1
            where = f"{name_of(path)} {frame.f_code.co_name}"
            self.look(argument, where)
            for name, value in frame.f_locals.items():
                self.look(value, f"{where} {name}")

    def run(self, action: Callable[[], Any]) -> Any:
        before = sys.getprofile()
        sys.setprofile(self.profile)
        try:
            return action()
        finally:
            sys.setprofile(before)


class Proxy:
    """Stands for a module or function of numpy: results are looked at before they are returned."""

    def __init__(self, watch: Watch, target: Any, name: str) -> None:
        self.__dict__.update(_watch=watch, _target=target, _name=name)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if isinstance(value, type) or not callable(value):
            return value
        return Proxy(self._watch, value, f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._target(*args, **kwargs)
        self._watch.look(result, self._name)
        return Proxy(self._watch, result, self._name) if isinstance(result, np.ufunc) else result


def test_the_watch_notices_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    from checker.attention.order_statistic import OrderStatistic  # noqa: PLC0415
    from checker.core import facts  # noqa: PLC0415

    watch = Watch(monkeypatch)
    assert {"checker.core.scaled_integers", "checker.core.facts", "certificates.tensor_file"} <= watch.modules_seen
    facts.np.zeros(3, np.int64)
    facts.np.minimum.reduce(facts.np.array([[1, 2]]), axis=0)
    assert not watch.found and watch.arrays == 3
    facts.np.zeros(3)
    facts.np.array([1, 2]).view(np.uint64) + facts.np.array([1, 2])  # an operator: seen only when it is held
    assert watch.found == {"np.zeros: float64"}
    task = OrderStatistic("", 3, 2)
    watch.run(lambda: task.cells_of(np.array([[1.0, 2.0]])))
    assert any("cells_of numbers: float64" in found for found in watch.found)


def tiny_model(seed: int) -> Any:
    """Max of 3 over 4 tokens by attention to large tokens, with noise, half precision and odd values among the weights."""
    from certificates import AttentionOnly, Model, RawTensor  # noqa: PLC0415

    vocab, n_ctx = 4, 3
    random = np.random.default_rng(seed)
    config = AttentionOnly(d_head=vocab + 1, d_model=2 * vocab, d_vocab=vocab, d_vocab_out=vocab + seed % 2, n_ctx=n_ctx)
    weights = {name: 0.02 * random.standard_normal(shape) for name, shape in config.tensor_shapes().items()}
    tokens = np.arange(vocab)
    attention = "blocks.0.attn."
    weights["embed.W_E"][tokens, tokens] += 1
    weights[attention + "b_Q"][0, 0] += 8
    weights[attention + "W_K"][0, tokens, 0] += tokens
    weights[attention + "W_V"][0, tokens, 1 + tokens] += 1
    weights[attention + "W_O"][0, 1 + tokens, vocab + tokens] += 1
    weights["unembed.W_U"][vocab + tokens, tokens] += 3
    weights["unembed.W_U"][:, vocab:] -= 0.1
    weights["pos_embed.W_pos"][0, 0] = -0.0
    dtypes = {"embed.W_E": "F16", "unembed.W_U": "F64"}
    tensors = {}
    for name, values in weights.items():
        if name.endswith("b_V") and seed % 2:
            continue  # an absent bias
        dtype = dtypes.get(name, "F32")
        tensors[name] = RawTensor(
            dtype, values.shape, values.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes()
        )
    return Model(config, tensors, {"name": "max-of-k"})


STRATEGY_NAMES = (
    *("brute-force", "exact", "classes", "thresholds", "pessimized", "interpretation", "low-rank-chains", "sampling"),
)
TASKS = ({"name": "max-of-k"}, {"name": "min-of-k"}, {"n": 2, "name": "nth-max-of-k"})


def watched_check(strategy: str, precision: int, task: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A whole check, from the bytes of the files to the sentence, with nothing but integers in hand; the number proved."""
    torch = pytest.importorskip("torch")
    from certificates import write_certificate, write_model  # noqa: PLC0415
    from checker import verify  # noqa: PLC0415
    from prover.attention.sequence_problem import SequenceProblem  # noqa: PLC0415
    from prover.proving import prove  # noqa: PLC0415
    from prover.strategies import ATTENTION_STRATEGIES  # noqa: PLC0415

    model = tiny_model(precision % 2)
    problem = SequenceProblem(model, torch.device("cpu"), precision, task_json=task)
    certificate, evidence = prove(problem, ATTENTION_STRATEGIES[strategy]())
    write_model(folder / "model", model)
    write_certificate(folder / "certificate", certificate)
    watch = Watch(monkeypatch)
    verdict = watch.run(lambda: verify(folder / "certificate", folder / "model", at_least=Fraction(0)))
    assert verdict.accepted and verdict.correct == evidence.correct, verdict.reason
    assert not watch.found, sorted(watch.found)
    busy = len(certificate.steps) == 1 or (watch.calls > 300 and watch.arrays > 300 and watch.enclosures > 20)
    assert busy, "the watch was really there"
    assert all(value is None or isinstance(value, bool | int | str | tuple | dict) for value in vars(verdict).values())
    return evidence.correct


@pytest.mark.parametrize("precision", [12, 30, 31])
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_no_floating_point_at_run_time(strategy: str, precision: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    correct = watched_check(strategy, precision, TASKS[0], tmp_path, monkeypatch)
    assert correct > 0 or precision == 12 or strategy in ("interpretation", "low-rank-chains"), "a bound of 0 is no exercise"


@pytest.mark.parametrize("strategy", ["exact", "classes"])
@pytest.mark.parametrize("task", TASKS[1:], ids=["min-of-k", "nth-max-of-k"])
def test_no_floating_point_for_other_tasks(
    strategy: str, task: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_check(strategy, 30, task, tmp_path, monkeypatch)


GOLDEN = ROOT / "certificates" / "golden"
ON_TWO_INPUTS = (
    "evaluated",
    "low-rank-factors",
    "dictionary-factors",
    "bases",
    "crosscoder",
    "structured",
    "sets",
    "angles",
    "frequencies",
    "mlp",
)


@pytest.mark.parametrize("name", ON_TWO_INPUTS)
def test_no_floating_point_on_two_inputs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from checker import verify  # noqa: PLC0415

    (entry,) = (e for e in json.loads((GOLDEN / "verdicts.json").read_text()) if e["certificate"] == f"pairs-{name}.cert")
    watch = Watch(monkeypatch)
    verdict = watch.run(lambda: verify(GOLDEN / entry["certificate"], GOLDEN / entry["model"]))
    assert verdict.accepted, verdict.reason
    assert not watch.found, sorted(watch.found)
    assert watch.arrays > 100 and watch.enclosures > 20, "the watch was really there"


# --- (e) facts -----------------------------------------------------------------------------------------------------------

RULE_FOLDERS = ("rules", "attention", "layers", "transformer")
FACTS = {
    "AdditiveTables",
    "CertifiedInputs",
    "EvaluatedTransformer",
    "HiddenTables",
    "LayerInput",
    "MLPQuadrature",
    "RightAtRead",
}


CHARGING = "setattr(cls, name, _charged(cls.__dict__[name], work, effort))"
"""How core/enclosures makes the operations of an implementation charge: no fact is near."""


def constructions(tree: ast.AST) -> list[str]:
    """Calls that make a fact, and other ways of getting at one's constructor or fields."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node) != CHARGING:
            function = ast.unparse(node.func)
            if function.split(".")[-1] in FACTS:
                found.append(ast.unparse(node)[:60])
            if function.split(".")[-1] in {"__setattr__", "__new__"} or function in {
                "setattr",
                "dataclasses.replace",
                "copy.replace",
            }:
                found.append(ast.unparse(node)[:60])
            if function == "replace" and FACTS & {ast.unparse(argument) for argument in node.args}:
                found.append(ast.unparse(node)[:60])
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in FACTS:
            found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom):
            found += [f"{alias.name} as {alias.asname}" for alias in node.names if alias.name in FACTS and alias.asname]
        if isinstance(node, ast.ClassDef) and FACTS & {ast.unparse(base).split(".")[-1] for base in node.bases}:
            found.append(f"class {node.name}")
    return found


def test_the_facts_are_all_known_here() -> None:
    from checker.core.facts import Fact  # noqa: PLC0415

    kinds = Fact.__subclasses__()
    assert {kind.__name__ for fact in kinds for kind in fact.__subclasses__() or [fact]} == FACTS


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)
def test_only_rules_construct_facts(path: Path) -> None:
    found = constructions(parse(path))
    if path.is_relative_to(ROOT / "prover"):  # where a strategy has this name
        found = [call for call in found if "MLPQuadrature" not in call]
    if any(path.is_relative_to(ROOT / "checker" / folder) for folder in RULE_FOLDERS):
        assert all(call.startswith(tuple(f"{fact}(" for fact in FACTS)) for call in found), found
    else:
        assert not found


def test_rules_do_construct_facts() -> None:
    calls = [call for path in sources("certificates", "checker") for call in constructions(parse(path))]
    assert {call.split("(")[0] for call in calls} == FACTS


def test_constructions_are_noticed() -> None:
    for bad in (
        "CertifiedInputs(1, cells, covers)",
        "facts.CertifiedInputs(correct=1)",
        "Made = CertifiedInputs",
        "from checker.core.facts import CertifiedInputs as C",
        "class Mine(facts.CertifiedInputs): pass",
        "dataclasses.replace(fact, correct=2)",
        "object.__setattr__(fact, 'correct', 2)",
        "CertifiedInputs.__new__(CertifiedInputs)",
    ):
        assert constructions(ast.parse(bad)), bad


def test_facts_are_frozen() -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415

    from checker.core.facts import CertifiedInputs  # noqa: PLC0415

    def none(tokens: np.ndarray) -> np.ndarray:
        return np.zeros(len(tokens), np.bool_)

    fact = CertifiedInputs(0, np.zeros((1, 1, 1), np.bool_), none, none)
    with pytest.raises(FrozenInstanceError):
        fact.correct = 1  # type: ignore[misc]


# --- (f) mutants ----------------------------------------------------------------------------------------------------------


def test_no_mutant_is_stale() -> None:
    """Every one replaces something that is there, by something that Python can read."""
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in {mutant.file for mutant in mutants.MUTANTS}}
    for number, mutant in enumerate(mutants.MUTANTS):
        assert mutant.old in sources[mutant.file], mutant
        if THOROUGH or number % 4 == 0:
            compile(sources[mutant.file].replace(mutant.old, mutant.new), mutant.file, "exec", ast.PyCF_ONLY_AST)
