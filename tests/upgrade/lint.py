"""What may stand in a migration: `python -m tests.upgrade.lint`, a part of `make lint`.

After an upgrade the processes of the previous release run on the new tables until they are
replaced, and again when the release is taken back. The previous release is what released.json
records; migrations that it does not list are judged here.

A step that is refused, and yet does no harm, is let through by one sentence in the migration:

    class Migration(migrations.Migration):
        fits_previous_release = "Version 1.1 no longer reads this column."
"""

import os
import re
import sys
from collections.abc import Iterator

from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field

from tests.upgrade.record import APPS, on_disk, released, violations

PROMISE = "fits_previous_release"
CONSTRAINTS = (
    operations.AddConstraint,
    operations.AlterUniqueTogether,
    operations.AlterOrderWithRespectTo,
)


def all_refusals() -> list[str]:
    """Return what is wrong with the migrations of the project, one sentence each."""
    loader = MigrationLoader(None)
    recorded = released()
    keys = [key for key in loader.graph.nodes if ".".join(key) in recorded]
    before = loader.project_state(keys)
    found = violations(recorded, on_disk())
    for key, migration in sorted(loader.disk_migrations.items()):
        name = ".".join(key)
        if key[0] in APPS and name not in recorded:
            state = loader.project_state(key, at_end=False)
            found += [f"{name} {refusal}" for refusal in refusals(migration, state, before)]
    return found


def refusals(migration: Migration, state: ProjectState, before: ProjectState) -> list[str]:
    """Say what is wrong with one migration.

    `state` is what it finds, `before` the models of the previous release.
    """
    found = [*_names(migration), *_kinds(migration)]
    promise = getattr(migration, PROMISE, None)
    if promise is None:
        found += _breaks(migration, state.clone(), before)
    elif not str(promise).strip():
        found.append(f"has an empty {PROMISE}: say why the previous release still runs.")
    return found


# Name and contents


def _names(migration: Migration) -> Iterator[str]:
    if not re.fullmatch(r"\d{4}_[a-z][a-z0-9_]+", migration.name) or re.search(
        r"_auto_|_and_more$|_merge_|_initial$|\d{8}", migration.name
    ):
        yield "must be named for its intent, such as 0002_invitations_expire."


def _kinds(migration: Migration) -> Iterator[str]:
    kinds = {_kind(operation) for operation in _flat(migration.operations)}
    if len(kinds) > 1:
        yield f"holds steps of {len(kinds)} kinds ({', '.join(sorted(kinds))}): split it."


def _kind(operation: Operation) -> str:
    if isinstance(operation, operations.RunPython):
        return "data"
    return "SQL" if isinstance(operation, operations.RunSQL) else "schema"


def _flat(steps: list[Operation]) -> Iterator[Operation]:
    """Yield the operations that reach the database."""
    for step in steps:
        if isinstance(step, operations.SeparateDatabaseAndState):
            yield from _flat(step.database_operations)
        else:
            yield step


# The previous release on the new tables


def _breaks(migration: Migration, state: ProjectState, before: ProjectState) -> Iterator[str]:
    app = migration.app_label
    for operation in migration.operations:
        after = state.clone()
        operation.state_forwards(app, after)
        for step in _flat([operation]):
            for reason in _break(step, app, (state, after, before)):
                yield f"breaks the previous release: {step.describe()}: {reason}."
        if isinstance(operation, operations.SeparateDatabaseAndState):
            for forgotten in operation.state_operations:
                yield from _forgotten(forgotten, app, state)
        state = after


def _forgotten(step: Operation, app: str, state: ProjectState) -> Iterator[str]:
    """A column that only the code forgets must do without a value from it."""
    if isinstance(step, operations.RemoveField):
        field = _field(state, app, step.model_name, step.name)
        if field.column and not field.null and not field.has_db_default():
            yield (
                f"leaves {step.model_name}.{step.name} behind, which nobody fills: give it "
                "db_default or null=True first."
            )


def _break(
    step: Operation, app: str, states: tuple[ProjectState, ProjectState, ProjectState]
) -> Iterator[str]:
    before, model = states[-1], _model(step)
    if isinstance(step, operations.RunSQL):
        yield f"SQL cannot be judged, so say in {PROMISE} why it does no harm"
    elif (app, model.lower()) not in before.models:
        pass  # younger than the previous release
    elif isinstance(step, operations.DeleteModel):
        yield "it needs the table"
    elif isinstance(step, operations.RenameModel | operations.AlterModelTable):
        yield "it needs the table under its old name"
    elif isinstance(step, CONSTRAINTS):
        yield f"say in {PROMISE} why it keeps to this constraint already"
    elif isinstance(step, operations.AddField):
        yield from _added(step.field)
    elif isinstance(step, operations.RemoveField | operations.RenameField | operations.AlterField):
        yield from _changed(step, app, model, states)


def _model(step: Operation) -> str:
    if isinstance(step, operations.RenameModel):
        return step.old_name
    return getattr(step, "model_name", "") or getattr(step, "name", "")


def _changed(
    step: operations.RemoveField | operations.RenameField | operations.AlterField,
    app: str,
    model: str,
    states: tuple[ProjectState, ProjectState, ProjectState],
) -> Iterator[str]:
    state, after, before = states
    old = step.old_name if isinstance(step, operations.RenameField) else step.name
    new = step.new_name if isinstance(step, operations.RenameField) else step.name
    if old not in before.models[app, model.lower()].fields:
        return  # younger than the previous release
    if isinstance(step, operations.RemoveField):
        yield "it needs the column"
    else:
        yield from _altered(_field(state, app, model, old), _field(after, app, model, new))


def _field(state: ProjectState, app: str, model: str, name: str) -> Field:
    return state.apps.get_model(app, model)._meta.get_field(name)


def _added(field: Field) -> Iterator[str]:
    if field.many_to_many or field.null or getattr(field, "generated", False):
        return
    if not field.has_db_default():
        yield "it does not fill this column, which needs db_default or null=True"


def _altered(old: Field, new: Field) -> Iterator[str]:
    if old.column != new.column:
        yield "it needs the column under its old name"
    if old.null and not new.null:
        yield "it may still store NULL there"
    if old.has_db_default() and not new.has_db_default() and not new.null:
        yield "it leaves this column to the database's default"
    if new.unique and not old.unique:
        yield f"say in {PROMISE} why it stores no value twice"
    if _is_narrower(old, new):
        yield "it may still store values that no longer fit"


def _is_narrower(old: Field, new: Field) -> bool:
    texts = {"CharField", "SlugField", "URLField", "EmailField", "FilePathField", "TextField"}
    wider = {"PositiveSmallIntegerField": 1, "SmallIntegerField": 1}
    wider |= {"PositiveIntegerField": 2, "IntegerField": 2}
    wider |= {"PositiveBigIntegerField": 3, "BigIntegerField": 3}
    kinds = old.get_internal_type(), new.get_internal_type()
    if texts.issuperset(kinds):
        return (new.max_length or sys.maxsize) < (old.max_length or sys.maxsize)
    if wider.keys() >= set(kinds):
        becomes_positive = kinds[1].startswith("Positive") and not kinds[0].startswith("Positive")
        return becomes_positive or wider[kinds[1]] < wider[kinds[0]]
    return kinds[0] != kinds[1]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django

    django.setup()
    found = all_refusals()
    print("\n".join(found) or "Migrations: all fit the previous release.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
