"""The job file: what it may say, and how a mistake in it is answered."""

from __future__ import annotations

import re

import pytest

from mediascribe import job
from mediascribe.errors import ConfigError

MINIMAL = """\
name = "demo"
model = "gemini-2.0-flash"
output = "out"

[manifest]
path = "items.csv"

[gateway]
base_url = "https://api.mixrouter.com/v1"

[prompt]
text = "Describe."
"""


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "demo.toml"
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def refused(write):
    """The message about a job file, without the folder."""

    def _refused(text):
        path = write(text)
        with pytest.raises(ConfigError) as caught:
            job.load(path)
        return str(caught.value).replace(f"{path.parent}/", "")

    return _refused


def within(section, lines):
    """MINIMAL with *lines* at the end of a section; they begin at line 7, 10 or 13."""
    text, count = re.subn(rf"(\[{section}\]\n.+\n)", lambda found: f"{found[1]}{lines}\n", MINIMAL)
    assert count == 1
    return text


def test_minimal_job(write):
    """Five lines of facts make a job; everything else has a default."""
    loaded = job.load(write(MINIMAL))

    assert (loaded.name, loaded.model, loaded.output) == ("demo", "gemini-2.0-flash", "out")
    assert (loaded.gateway.dialect, loaded.gateway.api_key_env) == ("auto", "MEDIASCRIBE_API_KEY")
    assert (loaded.manifest.format, loaded.manifest.item_id) == ("auto", "item_id")
    assert (loaded.retry.attempts, loaded.shard_rows, loaded.media.base_url) == (4, None, None)


def test_byte_order_mark(tmp_path):
    """A job file from an editor that writes a byte order mark is read."""
    path = tmp_path / "demo.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())

    assert job.load(str(path)).name == "demo"


def test_carry_as_list_or_table(write):
    """A list carries its columns as strings, a table with their types."""
    as_list = job.load(write(within("manifest", 'carry = ["title", "lang"]')))
    as_table = job.load(write(within("manifest", 'carry = { price = "float64" }')))

    assert as_list.manifest.carry == {"title": "string", "lang": "string"}
    assert as_table.manifest.carry == {"price": "float64"}


@pytest.mark.parametrize(
    "url", ["sandbox", "https://cdn.example.com/media", "http://127.0.0.1:9/", "s3://bucket/x", "./media", "/srv/media"]
)
def test_media_base_url(write, url):
    """The prefix of relative URLs is a plain http(s) address, a bucket, a folder, or the sandbox."""
    assert job.load(write(MINIMAL + f'[media]\nbase_url = "{url}"\n')).media.base_url == url


@pytest.mark.parametrize("url", ["cdn.example.com", "ftp://h/x", "https://u:p@h/x", "https://h/x?sig=1"])
def test_media_base_url_that_is_none(write, url):
    """Anything else is refused, with what it should look like."""
    with pytest.raises(ConfigError, match=r"`media\.base_url` is no http"):
        job.load(write(MINIMAL + f'[media]\nbase_url = "{url}"\n'))


@pytest.mark.parametrize("url", ["sandbox", "http://127.0.0.1:8000/v1", "https://host/gemini/v1beta"])
def test_base_url(write, url):
    """A base URL is `sandbox`, or ends in a version."""
    assert job.load(write(MINIMAL.replace("https://api.mixrouter.com/v1", url))).gateway.base_url == url


def test_base_url_loses_its_last_slash(write):
    """A slash at the end of the base URL is dropped."""
    assert job.load(write(MINIMAL.replace("/v1", "/v1/"))).gateway.base_url == "https://api.mixrouter.com/v1"


def test_config_hash_depends_on_every_value(write):
    """The job's hash changes with any of its values, and not with comments or order."""
    base = job.load(write(MINIMAL))
    moved = job.load(
        write('# a comment\nmodel = "gemini-2.0-flash"\n' + MINIMAL.replace('model = "gemini-2.0-flash"\n', ""))
    )
    changed = job.load(write(within("manifest", 'item_id = "sku"')))

    assert base.config_sha256 == moved.config_sha256 != changed.config_sha256
    assert len(base.config_sha256) == 64


def test_parameters_hash(write):
    """The parameters' hash is theirs alone, in any order."""
    one = job.load(write(MINIMAL + "[parameters]\ntop_p = 0.5\nmax_tokens = 9\n"))
    two = job.load(write(within("manifest", 'item_id = "sku"') + "[parameters]\nmax_tokens = 9\ntop_p = 0.5\n"))

    assert one.parameters_sha256 == two.parameters_sha256 != job.load(write(MINIMAL)).parameters_sha256


def test_parameters_may_be_any_json(write):
    """Texts, numbers, booleans, lists and tables go into the request body as they are."""
    text = (
        MINIMAL
        + '[parameters]\ntemperature = 0.2\nstop = ["a"]\nresponse_format = { type = "json_object", strict = true }\n'
    )

    assert job.load(write(text)).parameters == {
        "temperature": 0.2,
        "stop": ["a"],
        "response_format": {"type": "json_object", "strict": True},
    }


@pytest.mark.parametrize(
    "line", ["temperature = nan", "temperature = inf", "seed = 2026-01-01", "a = { b = [nan] }", "t = 12:00:00"]
)
def test_parameters_that_json_cannot_say(refused, line):
    """A parameter that has no JSON form is refused, for it would be sent as null."""
    name = line.split(" ", 1)[0]

    assert refused(MINIMAL + f"[parameters]\n{line}\n") == (
        f"demo.toml:13: `parameters` cannot send `{name}`: JSON has no date, no time, no nan and no inf"
    )


def test_parameters_of_our_own(refused):
    """What mediascribe writes itself cannot be a parameter."""
    assert refused(MINIMAL + '[parameters]\nstream = true\nmodel = "x"\n') == (
        "demo.toml:13: `parameters` may not set model, stream: mediascribe writes these itself"
    )


def test_missing_file_names_the_nearest(write):
    """A job file that is not there is answered with the nearest one that is."""
    folder = write(MINIMAL).parent
    with pytest.raises(ConfigError) as caught:
        job.load(folder / "dmo.toml")

    assert str(caught.value) == f"{folder}/dmo.toml: there is no such job file; in {folder} there is: demo.toml"


def test_missing_file_lists_others(write):
    """Where no name is near, the first job files of the folder are listed; where no folder is, nothing."""
    folder = write(MINIMAL).parent
    with pytest.raises(ConfigError, match=r"in .* there is: demo\.toml$"):
        job.load(folder / "captions-of-2026.toml")
    with pytest.raises(ConfigError, match=r"there is no such job file$"):
        job.load(folder / "absent" / "a.toml")


def test_unreadable_file(tmp_path):
    """A folder, or a file that is no UTF-8, cannot be a job."""
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    for path in (tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            job.load(path)


def test_bad_toml_names_the_line(refused):
    """A file that is no TOML is answered with the line."""
    assert refused('name = "demo"\nmodel = \n') == "demo.toml: not valid TOML: Invalid value (at line 2, column 9)"


def test_every_mistake_is_listed(refused):
    """All mistakes of a file are told at once, one a line."""
    assert refused('name = "demo"\noutput = "o"\n').splitlines() == [
        "demo.toml: `model` is missing",
        "demo.toml: `manifest` is missing",
        "demo.toml: `gateway` is missing",
        "demo.toml: `prompt` is missing",
    ]


def test_missing_key_in_a_section(refused):
    """A missing key is answered with its section's line and its meaning."""
    assert refused(MINIMAL.replace('path = "items.csv"\n', "")) == (
        "demo.toml:5: `manifest.path` is missing"
        " (a file, a folder or a pattern, here or in a bucket: .csv, .jsonl or .parquet)"
    )


@pytest.mark.parametrize(
    ("section", "line", "answer"),
    [
        ("manifest", "imgae = []", "7: unknown key `manifest.imgae`; did you mean `image`?"),
        ("gateway", 'api_key = "sk-1234567890"', "10: unknown key `gateway.api_key`; did you mean `api_key_env`?"),
        ("manifest", "concurrency = 3", "7: unknown key `manifest.concurrency`; it belongs in [media] or [limits]"),
        ("prompt", "zzz = 3", "13: unknown key `prompt.zzz`; known here: id, text, file, system"),
    ],
)
def test_unknown_key(refused, section, line, answer):
    """An unknown key is answered with the nearest name, the section where it belongs, or the names that are known."""
    assert refused(within(section, line)) == f"demo.toml:{answer}"


def test_unknown_key_at_the_top(refused):
    """A key that lies in no section is answered with its section; a section's wrong name with the right one."""
    assert (
        refused("concurrency = 3\n" + MINIMAL)
        == "demo.toml:1: unknown key `concurrency`; it belongs in [media] or [limits]"
    )
    assert refused(MINIMAL + "[promt]\n") == "demo.toml:13: unknown key `promt`; did you mean `prompt`?"


def test_unknown_key_below_a_value(refused):
    """A key below something that is no table of ours has no known names beside it."""
    assert refused(MINIMAL.replace("[prompt]", "[prompt.text]\na.b = 1\n[prompt2]")).splitlines()[0] == (
        "demo.toml:11: `prompt.text` = {'a': {'b': 1}}: input should be a valid string"
        " (the template; {{ name }} stands for the row's column of that name)"
    )


@pytest.mark.parametrize(
    ("section", "line", "answer"),
    [
        ("manifest", "item_id = 3", "7: `manifest.item_id` = 3: input should be a valid string (column of the row's"),
        ("manifest", 'format = "xml"', "7: `manifest.format` = 'xml': input should be 'auto', 'csv', 'jsonl' or"),
        ("manifest", 'image = ["a", 3]', "7: `manifest.image.1` = 3: input should be a valid string"),
        ("manifest", 'carry = { a = "int32" }', "7: `manifest.carry.a` = 'int32': input should be 'string', 'int64'"),
        ("manifest", 'carry = [{ a = "int64" }]', "7: `manifest.carry` wants column names, or a table of their types"),
        ("gateway", "connect_timeout_s = 0", "10: `gateway.connect_timeout_s` = 0: input should be greater than 0"),
        ("prompt", 'id = "A B"', "13: `prompt.id` = 'A B': string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]"),
        ("prompt", 'file = "p.md"', "11: `prompt` wants exactly one of `text` and `file`"),
    ],
)
def test_wrong_value(refused, section, line, answer):
    """A wrong value is answered with the line, the key, the value and what it should be."""
    assert refused(within(section, line)).startswith(f"demo.toml:{answer}")


def test_a_value_where_a_table_is_wanted(refused):
    """A section that is no table is answered with how a table is written."""
    text = "manifest = 3\n" + MINIMAL.replace('[manifest]\npath = "items.csv"\n', "")

    assert refused(text) == "demo.toml:1: `manifest` = 3: wants a table, [manifest]"


def test_long_values_are_cut(refused):
    """A message quotes the beginning of a long value only."""
    message = refused(within("prompt", f"id = {'x' * 500!r}"))

    assert f"`prompt.id` = '{'x' * 78}…:" in message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://api.mixrouter.com", "must end in /v1: without it the gateway answers 200 with a web page"),
        ("api.mixrouter.com/v1", "is no http(s) URL without user, query and fragment"),
        ("ftp://host/v1", "is no http(s) URL without user, query and fragment"),
    ],
)
def test_wrong_base_url(refused, url, reason):
    """A base URL that cannot work is refused with the reason and the value."""
    message = refused(MINIMAL.replace("https://api.mixrouter.com/v1", url))

    assert message.startswith(f"demo.toml:9: `gateway.base_url` {reason}")
    assert message.endswith(f"(it says '{url}')")


@pytest.mark.parametrize(
    "line",
    [
        'base_url = "https://me:t0psecret@host/v1"',
        'base_url = "https://host/v1?key=t0psecret"',
        'base_url = "https://host/v1"\napi_key_env = "t0psecret-key"',
        'base_url = "https://host/v1"\napi_key = "t0psecret"',
        'base_url = "https://host/v1"\ndialect = "sk-t0psecret99"',
    ],
)
def test_messages_show_no_key(refused, line):
    """A key that stands in the job file, wherever, is refused and not shown."""
    assert "t0psecret" not in refused(MINIMAL.replace('base_url = "https://api.mixrouter.com/v1"', line))


def test_key_in_place_of_its_name(refused):
    """A key where the variable's name is wanted is told apart from a name."""
    assert refused(within("gateway", 'api_key_env = "sk-abc"')) == (
        "demo.toml:10: `gateway.api_key_env` is the name of an environment variable, such as MEDIASCRIBE_API_KEY,"
        " never the key"
    )


def test_name_of_the_key_variable(write):
    """The key's variable may have any name that a shell can set."""
    assert (
        job.load(write(within("gateway", 'api_key_env = "MIXROUTER_KEY_2"'))).gateway.api_key_env == "MIXROUTER_KEY_2"
    )


def test_line_of_finds_every_way_of_writing_a_key():
    """A key is found in its table, dotted, quoted, inline, and in a table below."""
    text = 'a.b = 1\nc = { d = 2 }\n\n[e]\n"f" = 3\n[ e . g ]\nh = 4\n'

    found = {".".join(keys): job.line_of(text, keys) for keys in (["a", "b"], ["c", "d"], ["e", "f"], ["e", "g", "h"])}
    assert found == {"a.b": 1, "c.d": 2, "e.f": 5, "e.g.h": 7}


def test_line_of_what_is_not_there():
    """A key that is missing has its table's line; without a table, none."""
    assert job.line_of("a = 1\n[b]\nc = 2\n", ["b", "d"]) == 2
    assert job.line_of("a = 1\n[b]\nc = 2\n", ["d"]) is None


def test_line_of_is_not_misled_by_texts():
    """What stands within a text of several lines is no TOML, though it looks like it."""
    text = '[prompt]\ntext = """\n[gateway]\nbase_url = 1\n"""\n[gateway]\nnote = \'\'\'x\'\'\'\nbase_url = "x"\n'

    assert job.line_of(text, ["gateway", "base_url"]) == 8


def test_headers_of_the_jobs_own(write):
    """A proxy may want one; names are compared without case."""
    loaded = job.load(write(within("gateway", 'headers = { X-Team = "captions" }')))
    assert loaded.gateway.headers == {"x-team": "captions"}


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ('{ Authorization = "Bearer x" }', "may not set authorization"),
        ('{ "x team" = "a" }', "`x team` is no header"),
        ('{ x-team = "ä" }', "`x-team` is no header"),
    ],
)
def test_headers_that_are_refused(write, headers, says):
    """The key is never written into a job, and a header is one line of ASCII."""
    with pytest.raises(ConfigError, match=says):
        job.load(write(within("gateway", f"headers = {headers}")))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('schema_file = "a.json"\nschema = { type = "object" }', "wants one of"),
        ("repair = true", "without a schema"),
    ],
)
def test_answer_sections_that_contradict_themselves(write, answer, says):
    """One schema, and nothing to repair without one."""
    with pytest.raises(ConfigError, match=says):
        job.load(write(MINIMAL + f"[answer]\n{answer}\n"))


def test_an_answer_section(write):
    """A schema as a table stands under the name that the file gives it."""
    loaded = job.load(write(MINIMAL + '[answer]\nschema = { type = "object" }\nrepair = true\n'))
    assert (loaded.answer.schema_, loaded.answer.repair) == ({"type": "object"}, True)
    assert loaded.parameters_sha256 != job.load(write(MINIMAL)).parameters_sha256


def test_what_a_model_is_shown_is_part_of_the_parameters(write):
    """Another `max_side` makes old results stale; what is only how media are fetched does not, nor does a default."""
    hashes = [
        job.load(write(MINIMAL + f"[media]\n{line}\n")).parameters_sha256
        for line in ("", "per_host = 2", 'detail = "auto"', "max_side = 512", "max_side = 768")
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


def test_the_gateway_may_stand_in_the_environment(write, monkeypatch):
    """A job that names none takes MEDIASCRIBE_BASE_URL, which is checked alike; without it the message names both."""
    text = MINIMAL.replace('base_url = "https://api.mixrouter.com/v1"\n', "")
    with pytest.raises(
        ConfigError, match=r"`gateway\.base_url` is missing: write it here, or set .*MEDIASCRIBE_BASE_URL"
    ):
        job.load(write(text))
    monkeypatch.setenv("MEDIASCRIBE_BASE_URL", "https://gw.example/v1/")
    assert job.load(write(text)).gateway.base_url == "https://gw.example/v1"
    monkeypatch.setenv("MEDIASCRIBE_BASE_URL", "https://gw.example")
    with pytest.raises(ConfigError, match="must end in /v1"):
        job.load(write(text))
