"""What a function.yaml may say, and how a wrong one is reported."""

from pathlib import Path

import pytest

from infra.functions import (
    FunctionSpec,
    FunctionSpecError,
    load_function,
    load_functions,
    streamed_databases,
    topics_of,
)

MINIMAL = "description: Does one thing.\ntrigger: {http: true}\nservice_account: does-one-thing\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "main.py").touch()
        (folder / "function.yaml").write_text(text)
        return folder

    return write


def test_a_minimal_declaration_gets_the_defaults(write):
    function = load_function(write("do_it", MINIMAL))
    assert (function.name, function.dashed) == ("do_it", "do-it")
    assert (function.retry, function.memory, function.concurrency, function.timeout_seconds) == (True, "512Mi", 80, 60)
    assert function.subscription("thing-written") == "do-it--thing-written"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MINIMAL + "tigger: {}\n", "tigger"),
        (MINIMAL.replace("{http: true}", "{}"), "trigger"),
        (MINIMAL.replace("{http: true}", "{firestore: {}, http: true}"), "trigger"),
        (MINIMAL.replace("{http: true}", "{topics: [Bad_Topic]}"), "trigger.topics.0"),
        (MINIMAL.replace("{http: true}", '{schedules: [{name: often, cron: "* * *"}]}'), "trigger.schedules.0.cron"),
        (
            MINIMAL.replace("{http: true}", '{schedules: [{name: often, cron: "61 * * * *"}]}'),
            "trigger.schedules.0.cron",
        ),
        (MINIMAL.replace("{http: true}", "{firestore: {databases: [Shop]}}"), "trigger.firestore.databases.0"),
        (MINIMAL + "concurrency: 0\n", "concurrency"),
        (MINIMAL + "memory: lots\n", "memory"),
        (MINIMAL + "secrets: [lower_case]\n", "secrets.0"),
        (MINIMAL + "name: other\n", "name"),
        ("trigger: {http: true}\nservice_account: does-one-thing\n", "description"),
        ("- a list\n", "mapping"),
        ("{", "not YAML"),
    ],
)
def test_a_wrong_declaration_names_its_file_and_field(write, text, field):
    folder = write("do_it", text)
    with pytest.raises(FunctionSpecError) as raised:
        load_function(folder)
    assert str(folder / "function.yaml") in str(raised.value)
    assert field in str(raised.value)


def test_a_folder_without_a_declaration_is_an_error(tmp_path):
    (tmp_path / "do_it").mkdir()
    (tmp_path / "do_it" / "main.py").touch()
    with pytest.raises(FunctionSpecError, match="missing"):
        load_functions(tmp_path)


def test_a_declaration_without_code_is_an_error(tmp_path):
    (tmp_path / "do_it").mkdir()
    (tmp_path / "do_it" / "function.yaml").write_text(MINIMAL)
    with pytest.raises(FunctionSpecError, match=r"no main\.py"):
        load_functions(tmp_path)


def test_functions_are_loaded_in_the_order_of_their_names(write, tmp_path):
    write("second_one", MINIMAL)
    write("first_one", MINIMAL)
    assert [function.name for function in load_functions(tmp_path)] == ["first_one", "second_one"]


def test_topics_are_those_listened_to_and_those_written(write, tmp_path):
    write("listen_here", MINIMAL.replace("{http: true}", "{topics: [thing-written]}"))
    write("write_there", MINIMAL + 'writes: ["pubsub:thing-done", "pubsub:*-changed", "bigquery:x"]\n')
    assert topics_of(load_functions(tmp_path)) == ["thing-done", "thing-written"]


def test_a_trigger_watches_the_databases_of_the_deployment_unless_it_names_its_own(write):
    all_of_them = load_function(write("hear_all", MINIMAL.replace("{http: true}", "{firestore: {}}")))
    one = load_function(write("hear_one", MINIMAL.replace("{http: true}", "{firestore: {databases: [shop]}}")))
    streamed = ("(default)", "shop", "archive")
    assert all_of_them.trigger.firestore.watched(streamed) == streamed
    assert one.trigger.firestore.watched(streamed) == ("shop",)
    assert [all_of_them.trigger_id(database) for database in streamed[:2]] == ["hear-all", "hear-all--shop"]


def test_databases_that_are_streamed_begin_with_the_declared_ones():
    assert streamed_databases() == ("(default)",)
    assert streamed_databases(["shop", "(default)", "shop"]) == ("(default)", "shop")


@pytest.mark.parametrize("name", ["Shop", "a", "shop;rm", "ops", "scout-ops"])
def test_a_database_that_cannot_be_streamed_is_named(name):
    with pytest.raises(FunctionSpecError, match=name):
        streamed_databases([name])


def test_every_function_of_the_project_is_declared_well():
    functions = load_functions(Path(__file__).parents[3] / "functions")
    assert all(isinstance(function, FunctionSpec) for function in functions)
    accounts = [function.service_account for function in functions]
    assert len(set(accounts)) == len(accounts), "each function has an account of its own"
