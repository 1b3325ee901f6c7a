"""The prompt: loading a template, and rendering it for a row."""

from __future__ import annotations

import dataclasses

import pytest

from mediascribe import prompt
from mediascribe.domain import digest
from mediascribe.errors import ConfigError
from mediascribe.job_sections import PromptSection


def loaded(text, **more):
    return prompt.load(PromptSection(text=text, **more), job_path="demo.toml")


def refused(text, **more):
    with pytest.raises(ConfigError) as caught:
        loaded(text, **more)
    return str(caught.value)


def test_renders_variables():
    """A row's variables stand where the template names them, in both texts."""
    asked = loaded("Describe {{ title }} in {{ lang }}.", system="You write {{ lang }}.")

    assert prompt.render(asked, {"title": "Dune", "lang": "en"}) == ("Describe Dune in en.", "You write en.")


def test_no_system_message():
    """Without a system template there is no system text."""
    assert prompt.render(loaded("Describe."), {}) == ("Describe.", None)


def test_variables_are_those_of_both_texts():
    """The variables are the names that either template takes from the row, not those that it sets itself."""
    asked = loaded(
        "{% set n = 2 %}{{ n }}{% for tag in tags %}{{ loop.index }}{{ tag }}{% endfor %}", system="{{ lang }}"
    )

    assert asked.variables == {"tags", "lang"}


def test_null_is_empty():
    """A null renders as the empty text, even through a filter, and counts as false."""
    asked = loaded("[{{ a }}|{{ a | upper }}|{{ a ~ 'x' }}|{% if a %}yes{% endif %}|{{ a | default('none', true) }}]")

    assert prompt.render(asked, {"a": None})[0] == "[||x||none]"


def test_null_inside_a_list_is_empty():
    """A null inside a list renders as the empty text as well."""
    assert prompt.render(loaded("{% for t in tags %}<{{ t }}>{% endfor %}"), {"tags": ["a", None]})[0] == "<a><>"


def test_text_is_not_escaped():
    """The text is sent as it is: no HTML escapes."""
    assert prompt.render(loaded("{{ a }} & <b>"), {"a": '<i> "q"'})[0] == '<i> "q" & <b>'


def test_ends_are_trimmed():
    """White space at the ends is cut from the template and from what a row renders."""
    asked = loaded("\n  Look: {{ a }}\n\n", system=" S ")

    assert (asked.template, asked.system) == ("Look: {{ a }}", "S")
    assert prompt.render(asked, {"a": "x \n"}) == ("Look: x", "S")


def test_system_that_renders_to_nothing_is_none():
    """A system message that is empty for a row is none."""
    assert prompt.render(loaded("x", system="{{ a }}"), {"a": None}) == ("x", None)


def test_hash_is_of_the_texts_only():
    """The hash is the digest of both texts: another id keeps it, another system message does not."""
    asked = loaded("a {{ b }}", system="s")

    assert asked.sha256 == digest(["a {{ b }}", "s"])
    assert asked.sha256 == loaded("a {{ b }}\n", system="s", id="other").sha256
    assert len({asked.sha256, loaded("a {{ b }}").sha256, loaded("a {{ b }}", system="t").sha256}) == 3


def test_prompts_compare_by_their_texts():
    """Two prompts of the same section are equal, whatever they are compiled to."""
    assert loaded("a {{ b }}") == loaded("a {{ b }}")
    assert "compiled" not in repr(loaded("a"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded("a").template = "b"


def test_template_file(tmp_path):
    """A template may stand in a file, with or without a byte order mark."""
    path = tmp_path / "describe.md"
    path.write_bytes(b"\xef\xbb\xbfDescribe {{ a }}.\n")

    asked = prompt.load(PromptSection(file=str(path), id="describe"))

    assert (asked.template, asked.id) == ("Describe {{ a }}.", "describe")


def test_missing_file_names_the_nearest(tmp_path):
    """A missing template file is answered with the job, the key, the path and the nearest file there."""
    (tmp_path / "describe.md").write_text("x")
    with pytest.raises(ConfigError) as caught:
        prompt.load(PromptSection(file=str(tmp_path / "descibe.md")), job_path="demo.toml")

    assert str(caught.value) == (
        f"demo.toml: `prompt.file`: {tmp_path}/descibe.md: there is no such file; in {tmp_path} there is: describe.md"
    )


def test_missing_folder_says_where_paths_count_from(tmp_path, monkeypatch):
    """A path into a folder that is not there is answered with the folder that paths count from."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        prompt.load(PromptSection(file="prompts/a.md"))

    assert str(caught.value) == f"`prompt.file`: prompts/a.md: there is no such file (counted from {tmp_path})"


def test_unreadable_file(tmp_path):
    """A folder, or bytes that are no UTF-8, are no template."""
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    for name in ("", "latin.md"):
        with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
            prompt.load(PromptSection(file=str(tmp_path / name)))


def test_file_error_names_file_and_line(tmp_path):
    """A wrong template in a file is answered with the file, the line and what is wrong there."""
    path = tmp_path / "describe.md"
    path.write_text("\n\nDescribe {{ a b }}.")
    with pytest.raises(ConfigError) as caught:
        prompt.load(PromptSection(file=str(path)))

    assert str(caught.value) == f"{path}, line 3: expected token 'end of print statement', got 'b'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "demo.toml: `prompt.text`: the template is empty"),
        (" \n", "demo.toml: `prompt.text`: the template is empty"),
        ("a\n{{ b | loud }}", "demo.toml: `prompt.text`, line 2: No filter named 'loud'."),
        ("{{ b | random }}", "demo.toml: `prompt.text`, line 1: No filter named 'random'."),
        (
            "a\n\n{% include 'other.md' %}",
            "demo.toml: `prompt.text`, line 3: a prompt cannot take in another file; write it out",
        ),
        ("{{ f(a, b=1, b=2) }}", "demo.toml: `prompt.text`: cannot be compiled: keyword argument repeated: b"),
    ],
)
def test_wrong_template(text, message):
    """A template that is empty, wrong, or wants another file is refused with its place."""
    assert refused(text).startswith(message)


def test_wrong_system_message():
    """The system message is a template as well, refused under its own key."""
    assert refused("x", system="{% if %}").startswith("demo.toml: `prompt.system`, line 1: ")
    assert refused("x", system="") == "demo.toml: `prompt.system`: the template is empty"


def test_functions_are_no_part_of_a_template():
    """A name such as `range` is a column like any other, for nothing but the row goes into the text."""
    assert loaded("{{ range }} {{ dict }}").variables == {"range", "dict"}


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("{{ a + 1 }}", "x", 'can only concatenate str (not "int") to str'),
        ("{{ 1 // a }}", 0, "integer division or modulo by zero"),
        ("{{ a.b }}", {}, "'dict object' has no attribute 'b'"),
        ("{{ a.__class__ }}", "x", "access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ a.append(1) }}", [1], "access to attribute 'append' of 'list' object is unsafe."),
        ("{{ missing }}", "x", "'missing' is undefined"),
    ],
)
def test_row_that_cannot_be_rendered(text, value, message):
    """A value that the template cannot use is a ValueError that names the prompt, never another exception."""
    with pytest.raises(ValueError, match="cannot be rendered") as caught:
        prompt.render(loaded(text), {"a": value})

    assert str(caught.value) == f"prompt `default`: cannot be rendered for this row: {message}"


def test_row_fault_shows_no_secret():
    """What an error quotes of a row is free of signatures."""
    with pytest.raises(ValueError, match="REDACTED") as caught:
        prompt.render(loaded("{{ m[a] }}"), {"m": {}, "a": "https://host/a?sig=topsecret"})

    assert "topsecret" not in str(caught.value)


def test_nothing_to_ask():
    """A row for which the template renders to nothing is refused: an empty question is not sent."""
    with pytest.raises(ValueError, match="nothing is left to ask"):
        prompt.render(loaded("{{ a }}"), {"a": None})


def test_system_fault_is_named():
    """A fault in the system message says so."""
    with pytest.raises(ValueError, match=r"^system message of prompt `default`: "):
        prompt.render(loaded("x", system="{{ 1 / a }}"), {"a": 0})
