"""A job file from four answers: it is sound as it stands, says what its keys mean, and overwrites nothing."""

import json
import re
import tomllib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import starter
from mediascribe.errors import ConfigError
from mediascribe.inputs import check
from mediascribe.job import Job
from mediascribe.job_sections import ManifestSection, RetrySection
from mediascribe.manifest_look import Look, look
from mediascribe.starter import Answers

EXCLUSIVE = {"file", "schema_file", "schema"}  # beside `text`, or beside each other, or names of files


@pytest.fixture
def manifest(tmp_path):
    """`manifest({...}, ...)`: a JSONL manifest of these rows; gives its path."""

    def _manifest(*rows):
        path = tmp_path / "m.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return _manifest


def answers(manifest, **changes):
    plain = {"base_url": "https://api.mixrouter.com/v1", "model": "gemini-2.0-flash", "output": "out"}
    return Answers(**{"manifest": manifest} | plain | changes)


def test_the_written_file_is_a_sound_job(manifest, tmp_path, monkeypatch):
    """`check` finds nothing wrong with it; media, ids and carried columns are those of the manifest."""
    monkeypatch.chdir(tmp_path)
    row = {"sku": "s1", "photo": "https://h/a.jpg", "sound": "https://h/a.mp3", "title": "A", "model": "x"}
    path = tmp_path / "jobs/shop.toml"
    started = starter.start(path, answers(manifest(row, row | {"sku": "s2"})))
    inputs = check(str(path), keyless=True)
    assert (inputs.job.name, inputs.job.manifest.image, inputs.job.manifest.audio) == ("shop", ["photo"], ["sound"])
    assert (inputs.job.manifest.item_id, inputs.job.manifest.carry) == ("sku", {"title": "string"})
    assert [item.item_id for item in inputs.items() if not item.problem] == ["s1", "s2"]
    assert (started.path, started.advice) == (str(path), [])


def test_it_says_what_its_keys_mean(manifest, tmp_path):
    """In the words of the job's own sections; every key of them stands in it."""
    made = starter.text(tmp_path / "a.toml", answers(manifest()), Look(media={"image": ["u"]}))
    for section in (ManifestSection, RetrySection):
        for name, field in section.model_fields.items():
            assert re.search(rf"^(# )?{name} = .* # {re.escape(field.description)}$", made, re.MULTILINE), name
    assert "export MEDIASCRIBE_API_KEY=..." in made
    assert "[retry]" in made


def test_every_example_may_be_taken(manifest, tmp_path):
    """Each line that is commented out is a sound one without its `# `."""
    lines = starter.text(tmp_path / "a.toml", answers(manifest()), Look(media={"image": ["u"]})).splitlines()
    examples = [number for number, line in enumerate(lines) if re.match(r"# \w+ = ", line)]
    assert len(examples) >= 15
    for number in examples:
        taken = [line[2:] if place == number else line for place, line in enumerate(lines)]
        if re.match(r"\w+", taken[number])[0] not in EXCLUSIVE:
            Job.model_validate(tomllib.loads("\n".join(taken)))


def test_a_file_is_never_overwritten(manifest, tmp_path):
    """Whatever is in it."""
    path = tmp_path / "a.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="there is such a file, and init never overwrites"):
        starter.start(path, answers(manifest()))
    assert path.read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_overwritten(manifest, tmp_path, monkeypatch):
    """Not even then."""
    path = tmp_path / "a.toml"
    path.write_text("mine")
    monkeypatch.setattr(starter, "refuse_existing", lambda _: None)
    with pytest.raises(ConfigError, match="never overwrites"):
        starter.start(path, answers(manifest({"image_url": "https://h/a.jpg"})))
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_is_told(manifest, tmp_path):
    """Where a file lies in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/a\.toml: cannot be written"):
        starter.start(tmp_path / "file/a.toml", answers(manifest({"image_url": "https://h/a.jpg"})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "https://api.mixrouter.com"}, "--base-url https://api.mixrouter.com: must end in /v1"),
        ({"base_url": "nowhere"}, "--base-url nowhere: is no http"),
        ({"model": ""}, "--model : String should have at least 1 character"),
    ],
)
def test_an_answer_that_is_none_is_told_by_its_option(manifest, tmp_path, changes, message):
    """And no file is left."""
    path = tmp_path / "a.toml"
    with pytest.raises(ConfigError, match=re.escape(message)):
        starter.start(path, answers(manifest({"image_url": "https://h/a.jpg"}), **changes))
    assert not path.exists()


def test_the_sandbox_needs_no_key_and_serves_relative_media(manifest, tmp_path):
    """Its job has the sandbox as the base of media as well."""
    path = tmp_path / "a.toml"
    started = starter.start(path, answers(manifest({"item_id": "a", "image_url": "a.jpg"}), base_url="sandbox"))
    made = tomllib.loads(path.read_text())
    assert (made["media"]["base_url"], started.advice) == ("sandbox", [])
    assert "MEDIASCRIBE_API_KEY=" not in path.read_text()


def test_what_is_to_be_seen_to_is_told(manifest, tmp_path):
    """Relative URLs want a base, media of no known kind a look, rows without a name know it."""
    relative = starter.start(tmp_path / "a.toml", answers(manifest({"image_url": "a.jpg"})))
    assert [line[:30] for line in relative.advice] == [
        "some URLs are relative: set ba",
        "no column names the rows: an i",
    ]
    guessed = starter.start(tmp_path / "b.toml", answers(manifest({"url": "https://h/1", "id": 1})))
    assert guessed.advice == ["nothing tells what kind of media `url` holds: image was taken; see [manifest]"]
    assert check(str(tmp_path / "b.toml"), keyless=True).job.manifest.image == ["url"]


def test_an_example_is_of_its_type():
    """Also of those types that no key without an example of its own has today."""
    assert starter._example(list[int] | None) == [1000]  # noqa: SLF001 - the rule, for keys to come


@pytest.mark.parametrize(("stem", "name"), [("my job", "my-job"), ("..", "job"), ("ü", "job"), ("x" * 80, "x" * 64)])
def test_a_name_is_made_from_the_files(manifest, tmp_path, stem, name):
    """One that a job may have."""
    made = starter.text(tmp_path / f"{stem}.toml", answers(manifest()), Look(media={"image": ["u"]}))
    assert Job.model_validate(tomllib.loads(made)).name == name


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_words_are_written_as_toml_reads_them(words):
    """Quotes, controls and line breaks of an answer come back."""
    value = {"a b": words, "n": [1, True, 2.5]}
    assert tomllib.loads(f"x = {starter._toml(value)}") == {"x": value}  # noqa: SLF001 - the property is of this


def test_media_are_known_by_their_endings_and_by_their_names(manifest):
    """A list and a JSON array count; the ending goes before the name; a column of other words is none."""
    path = manifest(
        {
            "shot": "https://h/a.jpg?w=1",
            "video_preview": "https://h/v.gif",
            "clips": ["https://h/1.mp4", "https://h/2.mp4"],
            "voice": "https://h/stream?id=1",
            "inline": "data:audio/wav;base64,AAAA",
            "page": "https://h/about",
            "note": "see https://h/a.jpg",
        }
    )
    assert look(path).media == {
        "image": ["shot", "video_preview"],
        "audio": ["voice", "inline"],
        "video": ["clips"],
    }


def test_a_url_column_with_its_kind_beside_is_a_pair(manifest):
    """Where no column is known to hold media of one kind."""
    found = look(manifest({"link": "https://h/1", "what": "image"}, {"link": "https://h/2", "what": "Video"}))
    assert (found.pair, found.media, found.guessed) == (("link", "what"), {}, False)


def test_a_pair_is_written(manifest, tmp_path):
    """The job has both columns."""
    path = tmp_path / "a.toml"
    starter.start(
        path, answers(manifest({"link": "https://h/1", "what": "image"}, {"link": "https://h/2", "what": "video"}))
    )
    inputs = check(str(path), keyless=True)
    assert inputs.manifest.kinds == {"image", "audio", "video"}
    assert all(item.problem is None for item in inputs.items())


def test_a_few_bad_rows_do_not_hide_a_column(manifest):
    """One cell of five may be no URL, and one id may stand twice."""
    rows = [{"id": n, "pic": f"https://h/{n}.png"} for n in range(4)]
    found = look(manifest(*rows, {"id": 3, "pic": "ftp://h/a.png"}))
    assert (found.media, found.item_id) == ({"image": ["pic"]}, "id")


def test_a_column_that_does_not_tell_rows_apart_is_no_id(manifest):
    """Nor one of lists; another one that ends in _id may be."""
    rows = [{"id": 1, "key": [n], "shop_id": n, "pic": f"https://h/{n}.png"} for n in range(3)]
    assert look(manifest(*rows)).item_id == "shop_id"


def test_carried_columns_are_short_and_collide_with_nothing(manifest):
    """Neither long texts nor lists, nor the dataset's own names in any case of letters, and twelve at most."""
    row = {"pic": "https://h/a.png", "Model": "x", "date": "d", "text": "x" * 400, "tags": ["a"], "empty": None}
    found = look(manifest(row | {f"c{n:02}": n for n in range(20)}))
    assert found.carry == dict.fromkeys(["empty", *(f"c{n:02}" for n in range(11))], "string")


def test_types_are_taken_from_parquet_only(tmp_path):
    """Where a file is sure of them; a type that no job knows is left out."""
    path = tmp_path / "m.parquet"
    when = pa.array([0], pa.timestamp("us"))
    columns = {"pic": ["https://h/a.png"], "n": [1], "x": [0.5], "b": [True], "s": ["t"], "w": when, "l": [[1]]}
    pq.write_table(pa.table(columns), path)
    expected = {"n": "int64", "x": "float64", "b": "bool", "s": "string", "w": "timestamp"}
    assert look(str(path)).carry == expected


def test_a_manifest_without_media_is_told(tmp_path):
    """With its columns; a header alone, too."""
    path = tmp_path / "m.csv"
    for text in ("a,b\n", "a,b\n1,page\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="no column holds URLs of media; its columns: a, b"):
            look(str(path))


def test_columns_that_stand_twice_and_broken_rows_are_left_alone(tmp_path):
    """What a job could not name, and what cannot be read."""
    path = tmp_path / "m.csv"
    path.write_text("pic,x,x,y\nhttps://h/a.png,1,2,3\nhttps://h/b.png,1\n")
    found = look(str(path))
    assert (found.media, found.carry) == ({"image": ["pic"]}, {"y": "string"})
