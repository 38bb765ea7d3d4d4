"""The house's rules, read from the code itself: imports go one way, Ray stands at the edge, nothing is unpickled."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "xlstance").rglob("*.py"))

# Lowest first; a module imports from its own package and from lower layers, and from nothing beside it.
LAYERS = (
    {"errors"},
    {"tables", "stance_templates", "settings", "files", "progress", "ids", "commands", "placement"},
    {"collection", "storage"},
    {"shard_writers", "disk_folder"},
    {"encoders", "ranking", "training_data", "streams", "session", "leakage", "cluster"},
    {"encoding"},
    {"corpora", "augmentation", "training", "retrieval", "evaluation"},
    {"report"},
    {"experiment", "compare"},
    {"sweep"},
    {"cluster_cli", "compare_cli", "data_cli", "evaluate_cli", "experiment_cli"},
    {"sweep_cli"},
    {"submit_cli"},
    {"cli"},
)
LAYER_OF = {name: height for height, names in enumerate(LAYERS) for name in names}

WITHOUT_RAY = (
    *("encoders", "ranking", "storage", "settings", "training_data", "leakage"),
    *("corpora.registry", "corpora.miniature", "corpora.catalog", "corpora.fetch"),
    *(
        "augmentation.switching.code_switching",
        "augmentation.pairing",
        "augmentation.stance",
        "augmentation.claims",
        "augmentation.mining.neighbours",
    ),
    *("corpora.xl_stance.training", "retrieval.search", "retrieval.bm25", "retrieval.merging", "stance_templates"),
    *("streams", "training.plan", "training.loss", "training.store.preparation", "training.loop", "training.torchrun"),
    *("evaluation.metrics", "evaluation.bias", "evaluation.protocol", "evaluation.results", "report.files"),
    *("compare.compare", "compare_cli", "sweep.search", "sweep.outcome", "sweep.console"),
)


def part_of(path: Path) -> str:
    """The package or module below ``xlstance`` that a file belongs to; empty for ``xlstance`` itself."""
    first = path.relative_to(ROOT / "xlstance").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module's full name) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(own: str, modules: Iterator[tuple[int, str]]) -> list[str]:
    """The imports that a part of the house may not make."""
    found = []
    for line, module in modules:
        parts = module.split(".")
        if parts[0] != "xlstance" or len(parts) == 1 or parts[1] not in LAYER_OF:
            continue  # not ours, or the package's own version
        if parts[1] != own and LAYER_OF[parts[1]] >= LAYER_OF[own]:
            found.append(f"line {line}: {own} imports {module}")
    return found


def test_every_module_has_a_layer():
    assert {part_of(path) for path in FILES} - {""} <= set(LAYER_OF)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    own = part_of(path)
    assert not own or violations(own, imported(path)) == []


def test_a_stage_that_imports_another_would_be_found():
    assert violations("augmentation", iter([(1, "xlstance.corpora.groups.connected")]))
    assert violations("storage", iter([(1, "xlstance.encoders")]))
    assert not violations("augmentation", iter([(1, "xlstance.augmentation.lexicons.lexicon"), (2, "xlstance.tables")]))


def test_jobs_are_thin():
    for path in sorted((ROOT / "jobs").glob("*.py")):
        ours = {module for _, module in imported(path) if module.startswith("xlstance")}
        assert ours <= {"xlstance.cli", "xlstance.cli.main", "xlstance.training.torchrun.main"}, path.name
        assert len(path.read_text().splitlines()) <= 40, path.name


def test_what_computes_needs_no_ray():
    code = f"""
import importlib, sys
sys.modules["ray"] = None  # any import of it now raises
for name in {WITHOUT_RAY!r}:
    importlib.import_module(f"xlstance.{{name}}")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def unsafe(tree: ast.AST) -> list[str]:
    """What runs code that came with data: unpickling, remote code, evaluated text."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            bad = {name.split(".")[0] for name in names} & {"pickle", "cloudpickle", "dill", "joblib", "marshal"}
            found += [f"line {node.lineno}: {name}" for name in bad]
        elif isinstance(node, ast.Call):
            call, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if (
                call in ("eval", "exec")
                or call.endswith("read_pickle")
                or (call == "torch.load" and keywords.get("weights_only") != "True")
                or keywords.get("allow_pickle", "False") != "False"
                or keywords.get("shell", "False") != "False"
            ):
                found.append(f"line {node.lineno}: {call}")
        pairs = []
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        found += [f"{key} is not False" for key, value in pairs if key == "trust_remote_code" and not is_false(value)]
    return found


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize(
    "path", [*FILES, *sorted((ROOT / "jobs").glob("*.py"))], ids=lambda p: str(p.relative_to(ROOT))
)
def test_nothing_is_unpickled_or_run_from_data(path):
    assert unsafe(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "eval('1')", "exec(text)", "torch.load(path)"),
        *("torch.load(path, weights_only=False)", "f(trust_remote_code=True)", "{'trust_remote_code': flag}"),
        *("np.load(path, allow_pickle=True)", "pd.read_pickle(path)", "run(line, shell=True)"),
    ],
)
def test_unsafe_code_would_be_found(code):
    assert unsafe(ast.parse(code))


@pytest.mark.parametrize("code", ["torch.load(path, weights_only=True)", "f(trust_remote_code=False)", "model.eval()"])
def test_safe_code_passes(code):
    assert not unsafe(ast.parse(code))


def test_files_stay_small():
    long = {str(path.relative_to(ROOT)): n for path in FILES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}
