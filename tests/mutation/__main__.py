"""`python -m tests.mutation [MODULE ...]`: change the heart of the portal, and see tests fail.

cosmic-ray makes the mutants, each in a copy of the tree; the tests that matter for a module run on
SQLite until one fails. Prints a table in Markdown and the mutants that no test noticed, as diffs;
ends with status 1 where fewer than MIN_RATE of a module's mutants were noticed.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).parents[2]
MIN_RATE = 0.95
TIMEOUT_SECONDS = 300

CHECK = (
    "tests/licenses/checking/test_check.py tests/licenses/checking/test_request.py "
    "tests/licenses/bundle/test_bundle.py tests/licenses/management/test_check_license.py"
)
CARD = "tests/licenses/web/test_card.py tests/licenses/web/test_need.py"
FLOWS = "tests/licenses/flows/test_statements.py tests/licenses/web/test_views_check.py"
MODULES = {
    "licenses/checking/check.py": CHECK,
    "licenses/checking/lookup.py": f"tests/licenses/checking/test_lookup.py {CHECK}",
    "licenses/checking/counts.py": "tests/licenses/checking/test_counts.py",
    "licenses/checking/results.py": CHECK,
    "licenses/checking/badges.py": CARD,
    "licenses/checking/use.py": f"tests/licenses/checking/test_use.py {CARD}",
    "licenses/checking/status_tokens.py": "tests/licenses/programs/test_published.py "
    "tests/licenses/management/test_check_license.py",
    "licenses/tokens.py": "tests/licenses/test_tokens.py tests/licenses/flows/test_generate.py "
    "tests/licenses/checking/test_check.py",
    "licenses/keys.py": "tests/licenses/test_keys.py tests/licenses/test_weak_keys.py "
    "tests/licenses/flows/test_signing_keys.py tests/licenses/programs/test_published.py",
    "licenses/flows/generate.py": f"tests/licenses/flows/test_generate.py {FLOWS}",
    "licenses/flows/reset.py": f"tests/licenses/flows/test_reset.py {FLOWS}",
    "licenses/flows/renew.py": "tests/licenses/flows/test_renew.py",
    "licenses/flows/revoke.py": "tests/licenses/flows/test_overlap_delete_revoke.py",
    "licenses/flows/delete.py": "tests/licenses/flows/test_overlap_delete_revoke.py",
    "licenses/flows/end_overlap.py": "tests/licenses/flows/test_overlap_delete_revoke.py",
    "licenses/flows/download.py": "tests/licenses/flows/test_download.py tests/licenses/bundle",
    "licenses/flows/signing.py": "tests/licenses/flows/test_generate.py "
    "tests/licenses/flows/test_reset.py tests/licenses/flows/test_concurrency.py",
    "licenses/flows/signing_keys.py": "tests/licenses/flows/test_signing_keys.py",
    "licenses/flows/withdrawals.py": "tests/licenses/flows/test_withdrawals.py",
    "licenses/flows/notice.py": "tests/licenses/flows/test_notice.py",
    "portal/tenants/access.py": "tests/test_urls.py tests/portal/tenants/test_members.py",
    "portal/activity/chain.py": "tests/portal/activity/test_chain.py",
}
"""The heart, and for each module the tests that must notice whatever is wrong with it."""

OPERATORS = (
    r"(?!core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|In_NotIn|NotIn_In"
    r"|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul"
    r"|BitAnd_BitOr|BitOr_BitAnd|LShift_RShift|RShift_LShift)"
    r"|(?!ReplaceComparisonOperator|ReplaceBinaryOperator).*)$)"
)
"""Matches the operators that are left out.

Of each comparison its boundary and its opposite are kept, of each calculation one other: the rest
make more of the same, and fail in the same tests.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as licenses/tokens.py")
    parser.add_argument("--sample", type=int, help="this many mutants of each module, at random")
    options = parser.parse_args()
    chosen = options.modules or [*MODULES]
    if unknown := set(chosen) - MODULES.keys():
        parser.error(f"There is no {', '.join(sorted(unknown))} in MODULES.")
    print("| module | mutants | noticed | rate |\n| --- | ---: | ---: | ---: |", flush=True)
    survivors: dict[str, list[str]] = {}
    few = []
    with tempfile.TemporaryDirectory(prefix="portal-mutation-") as name:
        folder = Path(name)
        tree = _copied(folder)
        for module in chosen:
            count, survivors[module] = _mutate(module, tree, folder, options.sample)
            noticed = count - len(survivors[module])
            rate = noticed / count if count else 1.0
            print(f"| `{module}` | {count} | {noticed} | {rate:.1%} |", flush=True)
            if rate < MIN_RATE:
                few.append(module)
    for module, diffs in survivors.items():
        for diff in diffs:
            print(f"\n{module} survives\n{textwrap.indent(diff, '    ')}")
    if few:
        sys.exit(f"\nFewer than {MIN_RATE:.0%} were noticed in {', '.join(few)}.")


def _copied(folder: Path) -> Path:
    """Return a copy of the tree as it is, without what git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / "tree" / name)
    return folder / "tree"


def _mutate(module: str, tree: Path, folder: Path, sample: int | None) -> tuple[int, list[str]]:
    """Return how many mutants of the module were tried, and the diffs of those that survived."""
    data = folder / module.replace("/", "-")
    data.mkdir()
    config, session = data / "config.toml", data / "session.sqlite"
    # The database of the tests is made once for all mutants: its folder is that of an xdist worker.
    variables = f"PYTEST_XDIST_WORKER=mutation PORTAL_TESTS_ROOT={data} PYTHONDONTWRITEBYTECODE=1"
    pytest = f"{sys.executable} -m pytest -q -x -n0 --reuse-db -p no:cacheprovider"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {TIMEOUT_SECONDS}.0\n'
        f"excluded-modules = []\n"
        f"test-command = \"env {variables} {pytest} -m 'not sweep' {MODULES[module]}\"\n"
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    run = [sys.executable, "-m", "cosmic_ray.cli"]
    for command in (["init", str(config), str(session)], ["baseline", str(config)]):
        subprocess.run([*run, *command], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    with use_db(str(session), WorkDB.Mode.open) as work:
        _leave_out(work, tree, sample)
    subprocess.run([*run, "exec", str(config), str(session)], cwd=tree, check=True)
    with use_db(str(session), WorkDB.Mode.open) as work:
        tried = [
            result
            for _, result in work.completed_work_items
            if result.worker_outcome != WorkerOutcome.SKIPPED
        ]
    survived = [result for result in tried if result.test_outcome == TestOutcome.SURVIVED]
    return len(tried), [str(result.diff) for result in survived]


def _leave_out(work: WorkDB, tree: Path, sample: int | None) -> None:
    """Leave out what OPERATORS matches, what is no program, and what changes annotations only."""
    items = list(work.pending_work_items)
    kept = [item.job_id for item in items if _counts(item, tree)]
    if sample is not None:
        kept = random.sample(kept, min(sample, len(kept)))
    for item in items:
        if item.job_id not in kept:
            work.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _counts(item: WorkItem, tree: Path) -> bool:
    [mutation] = item.mutations
    if re.match(OPERATORS, mutation.operator_name):
        return False
    code = (tree / mutation.module_path).read_text()
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    try:
        mutated = mutate_code(code, operator, mutation.occurrence)
        return mutated is not None and _meaning(mutated) != _meaning(code)
    except SyntaxError:
        return False


def _meaning(code: str) -> str:
    """Return the program without annotations, which say nothing when it runs."""
    tree = ast.parse(code)
    for node in _nodes(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.TypeAlias):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    yield from ast.walk(tree)


if __name__ == "__main__":
    os.environ["COLUMNS"] = "200"
    main()
