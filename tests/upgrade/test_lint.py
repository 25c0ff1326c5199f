"""Migrations that were released stay as they are; new ones let the previous release run on."""

import json
import re

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from tests.upgrade import lint, record


def test_the_migrations_of_the_project_keep_the_rules():
    assert lint.all_refusals() == []


# Released


def test_the_baseline_is_recorded():
    names = {f"{app}.0001_initial" for app in record.APPS}
    assert names <= record.released().keys()


def test_an_edited_and_a_removed_migration_are_found():
    assert record.violations({"portal.0001": "a", "portal.0002": "b"}, {"portal.0001": "c"}) == [
        "portal.0001 was released and must not be edited: add a new migration.",
        "portal.0002 was released and must not be removed.",
    ]


@pytest.fixture
def another_record(monkeypatch, tmp_path):
    path = tmp_path / "released.json"
    monkeypatch.setattr(record, "RECORD", path)
    return path


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["record", *arguments])
    record.main()


def test_recording_adds_what_is_new(another_record, monkeypatch):
    first, *_ = record.on_disk().items()
    another_record.write_text(json.dumps(dict([first])))
    command(monkeypatch)
    assert json.loads(another_record.read_text()) == record.on_disk()


def test_recording_changes_nothing_that_is_recorded(another_record, monkeypatch):
    another_record.write_text('{"portal.0001_initial": "another checksum"}')
    with pytest.raises(SystemExit, match="must not be edited"):
        command(monkeypatch)
    assert another_record.read_text() == '{"portal.0001_initial": "another checksum"}'
    command(monkeypatch, "--baseline")
    assert json.loads(another_record.read_text()) == record.on_disk()


# New ones

CODE = models.CharField(max_length=10)


@pytest.fixture
def before():
    state = ProjectState()
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("code", CODE),
        ("note", models.CharField(max_length=10, null=True)),
        ("kind", models.CharField(max_length=10, db_default="")),
        ("count", models.IntegerField()),
    ]
    state.add_model(ModelState("portal", "Thing", fields))
    return state


def refusals(before, *steps, name="0002_things_have_codes", **attributes):
    migration = type("Migration", (migrations.Migration,), {"operations": list(steps)})
    one = migration(name, "portal")
    for attribute, value in attributes.items():
        setattr(one, attribute, value)
    return lint.refusals(one, before, before)


def altered(name, field):
    return migrations.AlterField("thing", name, field)


CHECK = models.CheckConstraint(condition=models.Q(code="x"), name="code_is_x")
BREAKING = {
    "a removed column": (migrations.RemoveField("thing", "code"), "needs the column"),
    "a removed table": (migrations.DeleteModel("Thing"), "needs the table"),
    "a renamed column": (migrations.RenameField("thing", "code", "sign"), "its old name"),
    "another column": (altered("code", models.CharField(max_length=10, db_column="c")), "old name"),
    "a renamed model": (migrations.RenameModel("Thing", "Item"), "under its old name"),
    "a renamed table": (migrations.AlterModelTable("thing", "things"), "under its old name"),
    "a needed column": (
        migrations.AddField("thing", "sign", models.CharField(max_length=10, default="")),
        "needs db_default or null=True",
    ),
    "NOT NULL": (altered("note", models.CharField(max_length=10)), "may still store NULL"),
    "a default taken away": (altered("kind", CODE), "leaves this column to the database"),
    "a shorter text": (altered("code", models.CharField(max_length=9)), "no longer fit"),
    "a smaller number": (altered("count", models.SmallIntegerField()), "no longer fit"),
    "no more negatives": (altered("count", models.PositiveBigIntegerField()), "no longer fit"),
    "another type": (altered("code", models.DateTimeField()), "no longer fit"),
    "unique": (altered("code", models.CharField(max_length=10, unique=True)), "no value twice"),
    "a constraint": (migrations.AddConstraint("thing", CHECK), "keeps to this constraint"),
    "SQL": (migrations.RunSQL("DROP TABLE portal_thing"), "cannot be judged"),
    "what hides from the state": (
        migrations.SeparateDatabaseAndState([migrations.RemoveField("thing", "code")]),
        "needs the column",
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_the_previous_release_is_refused(case, before):
    step, sentence = BREAKING[case]
    (refusal,) = refusals(before, step)
    assert re.fullmatch(rf"breaks the previous release: .*{sentence}.*\.", refusal)
    promise = "Nothing reads it."
    assert refusals(before, step, fits_previous_release=promise) == []
    assert refusals(before, step, fits_previous_release=" ") == [
        "has an empty fits_previous_release: say why the previous release still runs."
    ]


def harmless_steps():
    def added(field):
        return migrations.AddField("thing", "sign", field)

    pk = [("id", models.BigAutoField(primary_key=True))]
    return {
        "a column that may be empty": [added(models.CharField(max_length=10, null=True))],
        "a column with a default": [added(models.CharField(max_length=10, db_default=""))],
        "a table of relations": [added(models.ManyToManyField("portal.Thing"))],
        "a longer text": [altered("code", models.TextField())],
        "a larger number": [altered("count", models.BigIntegerField())],
        "NULL": [altered("code", models.CharField(max_length=10, null=True))],
        "other words": [altered("code", models.CharField(max_length=10, help_text="A code."))],
        "an index": [migrations.AddIndex("thing", models.Index(fields=["code"], name="by_code"))],
        "a constraint less": [migrations.RemoveConstraint("thing", "gone")],
        "data": [migrations.RunPython(migrations.RunPython.noop)],
        "what is new itself": [
            migrations.CreateModel("New", pk),
            migrations.AddField("new", "code", models.CharField(max_length=10)),
            migrations.RemoveField("new", "code"),
            migrations.DeleteModel("New"),
        ],
        "a field that only the code forgets": [
            migrations.SeparateDatabaseAndState([], [migrations.RemoveField("thing", "note")])
        ],
    }


@pytest.mark.parametrize("case", harmless_steps())
def test_what_the_previous_release_does_not_notice_is_let_through(case, before):
    steps = harmless_steps()[case]
    if case == "a constraint less":
        gone = models.CheckConstraint(condition=models.Q(code="x"), name="gone")
        before.add_constraint("portal", "thing", gone)
    assert refusals(before, *steps) == []


def test_a_column_that_is_left_behind_needs_no_value(before):
    forget = migrations.SeparateDatabaseAndState([], [migrations.RemoveField("thing", "code")])
    assert refusals(before, forget) == [
        "leaves thing.code behind, which nobody fills: give it db_default or null=True first."
    ]


@pytest.mark.parametrize(
    "name",
    [
        "0002_auto_20261127_1902",
        "0002_thing_code_thing_count_and_more",
        "0003_merge_0002_a_0002_b",
        "0002_initial",
        "0002_Things",
        "things",
    ],
)
def test_a_migration_is_named_for_its_intent(name, before):
    index = migrations.AddIndex("thing", models.Index(fields=["code"], name="by_code"))
    assert refusals(before, index, name=name) == [
        "must be named for its intent, such as 0002_invitations_expire."
    ]


def test_schema_and_data_are_steps_of_their_own(before):
    index = migrations.AddIndex("thing", models.Index(fields=["code"], name="by_code"))
    data = migrations.RunPython(migrations.RunPython.noop)
    assert refusals(before, index, data) == ["holds steps of 2 kinds (data, schema): split it."]
