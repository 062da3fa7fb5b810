"""Count what the structure of the source is judged by.

    python benchmarks/structure.py [src/segsweep]

Lines, the median file and the largest room, private functions, imports inside functions, look-ups of settings
and records by a string, lines that look into the text of an exception, module globals that functions change.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
RECORDS = re.compile(r"\b(config|status|plan|identity|choices|environment|trainer|asked|found)\b")
CHANGES = ("append", "pop", "update", "clear", "add", "setdefault", "extend")
PARSES = re.compile(
    r"str\((error|exc|cause)\).*(partition|split|startswith|match|search|sub\(|replace)| in str\("
)


def is_private(node: ast.AST) -> bool:
    return isinstance(node, FUNCTIONS) and node.name.startswith("_") and not node.name.startswith("__")


def look_ups(tree: ast.Module) -> Iterator[ast.expr]:
    """What is asked for a key that is written out, as `status["state"]` and `plan.get("parent")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            asked, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            asked, key = node.func.value, node.args[0] if node.args else None
        else:
            continue
        if (
            isinstance(key, ast.Constant)
            and isinstance(key.value, str)
            and RECORDS.search(ast.unparse(asked))
        ):
            yield asked


def changed_globals(tree: ast.Module) -> set[str]:
    """Names of the module's own that its functions change, besides those of a `global` statement."""
    statements = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [t for s in statements for t in (s.targets if isinstance(s, ast.Assign) else [s.target])]
    own = {target.id for target in targets if isinstance(target, ast.Name)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found |= set(node.names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            found |= {ast.unparse(node.func.value)} & own
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            found |= {ast.unparse(node.value)} & own
    return found


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "src/segsweep")
    texts = {path: path.read_text() for path in sorted(root.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    total, rooms = sum(lines.values()), Counter[str]()
    for path, count in lines.items():
        parts = path.relative_to(root).parts
        rooms[parts[0] if parts[1:] else "ground"] += count
    private = sum(is_private(node) for tree in trees.values() for node in tree.body)
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    late = sum(isinstance(n, ast.Import | ast.ImportFrom) for f in functions for n in ast.walk(f))
    parsing = [line for text in texts.values() for line in text.splitlines() if PARSES.search(line)]
    changed = sorted(
        f"{p.relative_to(root)}: {name}" for p, tree in trees.items() for name in changed_globals(tree)
    )
    middle = median(count for path, count in lines.items() if path.stem != "__init__")
    print(f"lines {total}, files {len(lines)}, median {middle}")
    print(f"largest room {rooms.most_common(1)[0][0]}, {rooms.most_common(1)[0][1] / total:.1%} of the lines")
    print(f"private functions of modules {private}, {1000 * private / total:.1f} per 1,000 lines")
    print(f"imports inside functions {late}, {1000 * late / total:.1f} per 1,000 lines")
    print(f"look-ups by a string {sum(len(list(look_ups(tree))) for tree in trees.values())}")
    print(f"lines that look into an exception's text {len(parsing)}")
    print(f"module globals that functions change: {', '.join(changed) or 'none'}")


if __name__ == "__main__":
    main()
