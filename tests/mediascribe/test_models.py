"""What is known of the models, and what is refused for it before anything is sent."""

import contextlib
import dataclasses
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import models
from mediascribe.domain import MEDIA_KINDS, THINKING, Failure, Item, Media
from mediascribe.errors import ConfigError
from mediascribe.wire import DIALECTS
from mediascribe.wire.thinking import switch

MODELS = Path(__file__).parents[2] / "configs" / "models.toml"
TODAY = date(2026, 11, 23)
PNG = "data:image/png;base64,iVBORw0KGgo="

# The site's list of models, without those that answer in pictures, films, speech or vectors, and without realtime.
_SITE_LIST = """
gpt-4 gpt-4.1 gpt-4o gpt-4o-mini gpt-5 gpt-5-chat gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.1-chat-latest gpt-5.1-codex
gpt-5.2 gpt-5.2-chat gpt-5.2-pro gpt-oss-120b o1 o3 o3-mini o3-deep-research o3-pro o4-mini o4-mini-deep-research
gemini-2.0-flash gemini-2.5-computer-use-preview-10-2025 gemini-2.5-flash gemini-2.5-flash-lite
gemini-2.5-flash-lite-preview gemini-2.5-pro gemini-3-flash-preview gemini-3-pro-preview gemini-robotics-er-1.5-preview
claude-opus-4-5-20251101 claude-opus-4-20250514 claude-sonnet-4-20250514 claude-sonnet-4-5-20250929
deepseek-chat deepseek-reasoner
abab6.5s-chat minimax-m2
kimi-k2 kimi-k2-0711-preview kimi-k2-0905 kimi-k2-instruct kimi-k2-thinking
moonshot-v1-128k moonshot-v1-32k moonshot-v1-8k
moonshot-v1-128k-vision-preview moonshot-v1-32k-vision-preview moonshot-v1-8k-vision-preview
grok-4 grok-4-1-fast-non-reasoning grok-4-1-fast-reasoning
glm-4-plus glm-4.5 glm-4.6 glm-4.7
qwen-max qwen-max-2025-01-25 qwen-max-latest qwen-plus qwen-plus-latest qwen-turbo
qwen2.5-7b-instruct qwen2.5-32b-instruct qwen2.5-72b-instruct qwen3-coder-plus qwen3-coder-plus-2025-07-22
qwen3-max qwen3-max-preview qwen3-235b-a22b qwen3-235b-a22b-instruct-2507 qwen3-235b-a22b-thinking-2507 qwen3-8b
qwen3-coder-30b-a3b-instruct qwen3-next-80b-a3b-instruct qwen3-next-80b-a3b-thinking
qwen-vl-max qwen-vl-plus qwen3-vl-235b-a22b-instruct qwen3-vl-235b-a22b-thinking
ernie-x1-32k hunyuan-t1-latest SparkDesk-v4.0 Ling-1T Ring-1T step-3
gpt-4o-audio-preview gpt-audio
glm-4.5v glm-4.6v qwen2.5-omni-7b qwen2.5-vl-72b-instruct qwen3-omni-flash-2025-12-01 SenseNova-V6-Pro
"""
SITE_LIST = _SITE_LIST.split()
# Three that only pages of the site ask (gateway notes 1.1).
ON_PAGES = {"deepseek-v4-pro", "doubao-seed-1-6-thinking-250715", "qwen3.5-122b-a10b"}
# The rest of the list: nothing here describes media in text.
_GENERATORS = """
dall-e-3 gemini-2.5-flash-image gemini-2.5-flash-image-preview gemini-3-pro-image-preview flux-1-kontext-pro
imagineart-1.5-preview qwen3-tts-flash eleven_v3 vidu-2.0-img2video viduq2-pro hunyuan-video-v1.5 sora-2 sora-2-pro
veo-3.1-generate-preview veo-3.1-fast-generate-preview wan2.6-i2v wan2.6-t2v pixverse-v5.5-t2v pixverse-v5.5-i2v
gpt-4o-mini-realtime-preview gpt-4o-realtime-preview
text-embedding-3-large text-embedding-3-small text-embedding-ada-002 text-embedding-v1
"""
GENERATORS = _GENERATORS.split()

MODEL = """
[[model]]
name = "m"
vendor = "v"
family = "f"
dialects = ["chat"]
media = ["image"]
"""


@pytest.fixture(scope="module")
def table():
    """The table that the project ships."""
    return models.load(MODELS)


@pytest.fixture
def written(tmp_path):
    """A table from a text."""

    def load(text):
        path = tmp_path / "models.toml"
        path.write_text(text, encoding="utf-8")
        return models.load(path)

    return load


def model(**facts):
    known = {"name": "m", "vendor": "v", "family": "f", "dialects": ("chat",), "media": MEDIA_KINDS}
    return models.Model(**(known | facts))


def item(*media):
    """A row that has *media*, each a kind and a URL."""
    return Item(item_id="a", row_number=7, media=tuple(Media(kind=kind, url=url) for kind, url in media))


# The table that the project ships


def test_every_text_model_of_the_site_is_known(table):
    """The table has the site's list, what its pages ask beside it, and nothing else."""
    assert set(table.models) == {*SITE_LIST, *ON_PAGES}
    assert len(SITE_LIST) == len(set(SITE_LIST))


@pytest.mark.parametrize("name", GENERATORS)
def test_no_generator_is_known(table, name):
    """A model that answers in something else than text is not taken for its neighbour."""
    assert table.get(name) is None


def test_every_dialect_of_the_table_is_spoken(table):
    """The dialects of the entries are names of the wire's mapping."""
    spoken = {"chat", "responses", "messages", "generate_content"}
    assert set(get_args(models.DialectName)) == spoken == set(DIALECTS)
    assert {dialect for one in table.models.values() for dialect in one.dialects} == spoken


def test_every_dialect_of_a_model_can_carry_something_of_it(table):
    """No entry has a dialect that carries none of the media that the model takes."""
    for one in table.models.values():
        for dialect in one.dialects:
            assert not one.media or set(one.media) & set(DIALECTS[dialect].carries), (one.name, dialect)


@pytest.mark.parametrize(
    ("name", "dialects", "media"),
    [
        ("gemini-2.0-flash", ("chat", "generate_content"), {"image", "audio", "video"}),
        ("claude-opus-4-5-20251101", ("messages", "chat"), {"image"}),
        ("gpt-5.1-codex", ("responses",), {"image"}),
        ("gpt-5.2-pro", ("responses",), {"image"}),
        ("gpt-4o", ("chat", "responses"), {"image"}),
        ("gpt-audio", ("chat",), {"audio"}),
        ("deepseek-chat", ("chat",), set()),
        ("glm-4.5v", ("chat",), {"image", "video"}),
        ("qwen2.5-omni-7b", ("chat",), {"image", "audio", "video"}),
    ],
)
def test_models_as_the_notes_have_them(table, name, dialects, media):
    """Dialects and media are those of the site's list and gateway notes 3 and 4."""
    known = table.get(name)
    assert (known.dialects, set(known.media)) == (dialects, media)


def test_end_dates_are_those_of_the_notes(table):
    """Gateway notes 4.5 have five announced end dates."""
    ends = {}
    for one in table.models.values():
        ends.setdefault(one.retires, set()).add(one.name)
    assert ends.pop(None)
    gemini = {name for name in SITE_LIST if name.startswith("gemini-2.5-")}
    assert ends == {
        date(2026, 6, 1): {"gemini-2.0-flash"},
        date(2026, 10, 20): gemini,
        date(2026, 10, 23): {"o4-mini"},
        date(2026, 11, 30): {"claude-sonnet-4-5-20250929"},
        date(2026, 12, 11): {"gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"},
    }


def test_parameters_that_the_gateway_drops(table):
    """Gateway notes 2.3: gpt-5* lose temperature, top_p and logprobs, o* temperature."""
    for one in table.models.values():
        if one.name.startswith("gpt-5"):
            assert one.drops == ("temperature", "top_p", "logprobs")
        elif one.name.startswith("o"):
            assert one.drops == ("temperature",)
        else:
            assert "temperature" not in one.drops


@pytest.mark.parametrize("thinking", THINKING)
def test_chat_sends_the_switch_that_the_table_names(table, thinking):
    """What chat tells a model of thinking is in the words of the model's own switch."""
    for one in table.models.values():
        if one.thinking:
            sent = switch(one.name, thinking)
            assert sent, one.name
            assert sent.keys() <= models.SWITCH_MEMBERS[one.thinking], one.name


@pytest.mark.parametrize(
    ("name", "context", "answer"),
    [
        ("gemini-2.0-flash", 1_048_576, 8_192),
        ("gpt-4o", 128_000, 16_384),
        ("claude-opus-4-5", 200_000, 64_000),
        ("step-3", None, None),
    ],
)
def test_bounds_of_a_model(table, name, context, answer):
    """What genai-prices and litellm say (gateway notes 4.6); None where nobody does."""
    known = table.get(name)
    assert (known.context_tokens, known.answer_tokens) == (context, answer)


def test_no_bound_is_below_the_price_lists(table):
    """No context is smaller than genai-prices has it, where it lists the very name and the entry has one."""
    snapshot = data_snapshot.get_snapshot()
    for one in table.models.values():
        with contextlib.suppress(LookupError):
            _, listed = snapshot.find_provider_model(one.name, None, None, None)
            if listed.id == one.name and listed.context_window and one.context_tokens:
                assert one.context_tokens >= listed.context_window, one.name


def test_an_answer_fits_into_its_context(table):
    """No entry lets an answer be longer than the context."""
    for one in table.models.values():
        if one.context_tokens and one.answer_tokens:
            assert one.answer_tokens <= one.context_tokens, one.name


# Looking a model up


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-audio-preview-2025-06-03", "gpt-4o-audio-preview"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("grok-4-0709", "grok-4"),
        ("qwen-vl-max-latest", "qwen-vl-max"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("claude-opus-4-5-latest", "claude-opus-4-5-20251101"),
        ("doubao-seed-1-6-thinking-251015", "doubao-seed-1-6-thinking-250715"),
        ("gemini-3-pro", "gemini-3-pro-preview"),
    ],
)
def test_a_snapshot_is_its_base(table, asked, known):
    """A dated, `-latest` or `-preview` name has the facts of the name that it is a variant of, and keeps its own."""
    assert table.get(asked) == dataclasses.replace(table.models[known], name=asked)


def test_an_exact_name_goes_first(table):
    """A snapshot that the table has is not taken for its base."""
    assert table.get("gemini-3-pro-preview").thinking == "thinking"
    assert table.get("qwen3-235b-a22b").thinking == "enable_thinking"
    assert table.get("qwen3-235b-a22b-thinking-2507").thinking is None


def test_the_first_of_two_snapshots_stands_for_their_base(written):
    """Where a table knows two snapshots and not their base, the base is the one listed first."""
    two = written(MODEL.replace('"m"', '"m-2025-01-01"') + MODEL.replace('"m"', '"m-2026-01-01"').replace('"v"', '"w"'))
    assert two.get("m").vendor == "v"


def test_words_for_the_sandbox_are_no_part_of_the_name(table):
    """`name+slow=1` is looked up as its plain name."""
    assert table.get("gemini-2.0-flash+slow=0.2+fault=http_500:0.3") == table.get("gemini-2.0-flash")


@pytest.mark.parametrize("name", ["", "gpt-4o-mini-tts", "gpt-4o-mini-transcribe", "my-model", "-latest", "GPT-4O"])
def test_other_names_are_unknown(table, name):
    """A suffix that is no snapshot makes another model, and so does another case of letters."""
    assert table.get(name) is None


def test_no_file_is_an_empty_table():
    """Without a file nothing is known, and nothing is refused for a model's sake."""
    assert models.load().get("gpt-4o") is None


# Bad files


def test_defaults_of_an_entry(written):
    """Five members are needed; a model has no quirk that is not written."""
    assert written(MODEL).get("m") == model(media=("image",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]", "cannot be read as a model table (TOML)"),
        ('[models]\nname = "m"', "has [[model]] entries and nothing else, but this has `models`"),
        ("model = 1", "has [[model]] entries and nothing else"),
        (MODEL + 'dialect = "chat"', "models.toml:8: unknown key `dialect`; did you mean `dialects`?"),
        (MODEL + "zzz = 1", "models.toml:8: unknown key `zzz`; known are: name, vendor, family, dialects, media"),
        (MODEL.replace('vendor = "v"\n', ""), "models.toml:2: `vendor` is missing"),
        (MODEL.replace('["chat"]', '["chatt"]'), "models.toml:6: `dialects`: input should be 'chat', 'responses'"),
        (MODEL.replace('["chat"]', '["chatt"]'), "(it says 'chatt')"),
        (MODEL.replace('["chat"]', "[]"), "models.toml:6: `dialects`: tuple should have at least 1 item"),
        (MODEL.replace('["image"]', '"image"'), "models.toml:7: `media`: input should be a valid array"),
        (MODEL + 'one_medium = "yes"', "models.toml:8: `one_medium`: input should be a valid boolean (it says 'yes')"),
        (MODEL + 'retires = "soon"', "models.toml:8: `retires`: input should be a valid date"),
        (MODEL + 'thinking = "hard"', "models.toml:8: `thinking`: input should be 'thinking', 'budget'"),
        (MODEL + 'types = ["png"]', "models.toml:8: `types`: string should match pattern"),
        (MODEL + "context_tokens = 0", "models.toml:8: `context_tokens`: input should be greater than or equal to 1"),
        (MODEL + 'answer_tokens = "8k"', "models.toml:8: `answer_tokens`: input should be a valid integer"),
        (MODEL + "answer_tokens = 1_000_000_000", "models.toml:8: `answer_tokens`: input should be less than or equal"),
        (MODEL.replace('name = "m"', 'name = ""'), "models.toml:3: `name`: string should have at least 1 character"),
        (MODEL + MODEL, "models.toml:10: `name` = 'm' stands twice: keep one"),
        ("model = [{ name = 1 }]", "`name`: input should be a valid string (it says 1)"),
    ],
)
def test_bad_entries(written, text, message):
    """A bad table is refused with file, line, key, value and what would do."""
    with pytest.raises(ConfigError) as error:
        written(text)
    assert message in str(error.value)


def test_all_of_an_entry_is_said_at_once(written):
    """Two faults of an entry are two lines of the message."""
    with pytest.raises(ConfigError) as error:
        written(MODEL.replace('"v"', "1").replace('"f"', "2"))
    assert [line.rpartition("models.toml:")[2][:11] for line in str(error.value).splitlines()] == [
        "4: `vendor`",
        "5: `family`",
    ]


def test_a_missing_file(tmp_path):
    """A table that is named and is not there is an error, not an empty table."""
    with pytest.raises(ConfigError, match=r"no-models\.toml: cannot be read"):
        models.load(tmp_path / "no-models.toml")


# Choosing the dialect


@pytest.mark.parametrize(
    ("name", "kinds", "served", "chosen"),
    [
        ("gemini-2.0-flash", ["image", "audio", "video"], None, "chat"),
        ("gemini-2.0-flash", ["video"], ["gemini"], "generate_content"),
        ("gemini-2.0-flash", ["video"], ["gemini", "openai"], "chat"),
        ("claude-opus-4-5-20251101", ["image"], None, "messages"),
        ("claude-opus-4-5-20251101", ["image"], ["openai", "anthropic"], "messages"),
        ("claude-opus-4-5-20251101", ["image"], ["openai"], "chat"),
        ("gpt-5.1-codex", ["image"], None, "responses"),
        ("gpt-5.1-codex", ["image"], ["openai"], "chat"),
        ("gpt-4o", [], None, "chat"),
        ("gpt-4o", ["image"], ["openai-response"], "responses"),
        ("gpt-4o", ["image"], ["image-generation"], "chat"),
        ("gpt-4o", ["image"], [], "chat"),
        ("my-model", ["video"], None, "chat"),
        ("my-model", ["image"], ["anthropic"], "messages"),
        ("my-model", ["image"], ["anthropic", "openai"], "chat"),
    ],
)
def test_auto_is_the_models_first_that_the_gateway_serves(table, name, kinds, served, chosen):
    """`auto` follows the table, within what the gateway says; where they share nothing, the gateway is believed."""
    assert models.choose_dialect(table.get(name), "auto", kinds, served) == chosen


def test_auto_passes_over_a_dialect_that_cannot_carry():
    """A model that takes video is asked in the first of its dialects that carries video."""
    assert models.choose_dialect(model(dialects=("messages", "responses", "chat")), "auto", ["video"]) == "chat"


@pytest.mark.parametrize(
    ("name", "wanted", "served"),
    [
        ("gpt-4o", "responses", None),
        ("gpt-4o", "responses", ["openai"]),
        ("claude-opus-4-5-20251101", "chat", None),
        ("gemini-2.0-flash", "messages", ["anthropic"]),
        ("my-model", "messages", None),
    ],
)
def test_a_named_dialect_is_taken(table, name, wanted, served):
    """A job's dialect is taken where the table or the gateway has it, and for a model that nobody knows."""
    assert models.choose_dialect(table.get(name), wanted, ["image"], served) == wanted


@pytest.mark.parametrize(
    ("name", "wanted", "kinds", "message"),
    [
        (
            "claude-sonnet-4-5",
            "auto",
            ["audio"],
            "`claude-sonnet-4-5` takes no audio (it takes text and image); choose",
        ),
        ("deepseek-chat", "chat", ["image"], "`deepseek-chat` takes no image (it takes text only); choose"),
        ("gpt-4o", "messages", ["image"], "`gpt-4o` is served in chat or responses, not in messages; set gateway.dial"),
        ("my-model", "messages", ["video"], 'the messages dialect carries no video; set gateway.dialect = "chat"'),
        ("my-model", "chats", [], "there is no dialect `chats`; did you mean `chat`?"),
        ("my-model", "soap", [], "there is no dialect `soap`; known are: auto, chat"),
    ],
)
def test_what_cannot_be_asked(table, name, wanted, kinds, message):
    """What the model does not take, or the dialect cannot carry, is said with a way out before anything is sent."""
    with pytest.raises(ConfigError) as error:
        models.choose_dialect(table.get(name), wanted, kinds)
    assert str(error.value).startswith(message)


def test_no_dialect_left():
    """Where the gateway serves a model only in a dialect that cannot carry its media, no way out is made up."""
    with pytest.raises(ConfigError, match="the messages dialect carries no video; choose another model, or leave the"):
        models.choose_dialect(model(dialects=("messages",)), "auto", ["video"], ["anthropic"])


@given(
    dialects=st.permutations(list(DIALECTS)).flatmap(lambda all_: st.integers(1, len(all_)).map(lambda n: all_[:n])),
    takes=st.sets(st.sampled_from(MEDIA_KINDS)),
    kinds=st.sets(st.sampled_from(MEDIA_KINDS)),
    served=st.none() | st.lists(st.sampled_from([*models.ENDPOINTS, "image-generation"])),
    known=st.booleans(),
)
def test_auto_never_returns_a_dialect_that_cannot_carry(dialects, takes, kinds, served, known):
    """Whatever the model, the media and the gateway: `auto` is a dialect that carries all of it, or an error."""
    one = model(dialects=tuple(dialects), media=tuple(takes)) if known else None
    try:
        chosen = models.choose_dialect(one, "auto", kinds, served)
    except ConfigError:
        return
    assert kinds <= DIALECTS[chosen].carries.keys()
    assert one is None or kinds <= takes


# Refusing a row


@pytest.mark.parametrize(
    ("name", "dialect", "media", "said"),
    [
        (
            "claude-opus-4-5-20251101",
            "messages",
            [("image", "https://h/a.jpg"), ("audio", "https://h/a.wav")],
            (
                "unsupported_media",
                (
                    "row 7: `claude-opus-4-5-20251101` takes no audio (it takes text and image);"
                    " choose another model, or leave the audio out"
                ),
            ),
        ),
        (
            "my-model",
            "messages",
            [("video", "https://h/a.mp4")],
            (
                "unsupported_media",
                ('row 7: the messages dialect carries no video by URL; set gateway.dialect = "chat"'),
            ),
        ),
        (
            "gpt-audio",
            "chat",
            [("audio", "https://h/a.wav")],
            ("unsupported_media", ("row 7: `gpt-audio` takes audio inline only, not by URL; give it as a data: URL")),
        ),
        (
            "gpt-audio",
            "chat",
            [("audio", "data:audio/ogg;base64,T2dn")],
            (
                "unsupported_media",
                ("row 7: `gpt-audio` takes no audio/ogg (it takes audio/wav, audio/mpeg); convert it"),
            ),
        ),
        (
            "glm-4.5v",
            "chat",
            [("image", "DATA:image/GIF;base64,R0lG")],
            (
                "unsupported_media",
                ("row 7: `glm-4.5v` takes no image/gif (it takes image/jpeg, image/png); convert it"),
            ),
        ),
        (
            "qwen2.5-omni-7b",
            "chat",
            [("image", "https://h/a.jpg"), ("image", "https://h/b.jpg")],
            (
                "too_many_media",
                (
                    "row 7: `qwen2.5-omni-7b` takes one medium in a message, and this row has 2;"
                    " give each a row of its own"
                ),
            ),
        ),
        (
            "glm-4.6v",
            "chat",
            [("video", "https://h/a.mp4"), ("image", "https://h/a.jpg")],
            (
                "mixed_media",
                ("row 7: `glm-4.6v` does not take image and video together; give each kind a row of its own"),
            ),
        ),
    ],
)
def test_refused_rows(table, name, dialect, media, said):
    """A row that cannot be asked is refused with its number, the kind, who refuses it, and what to do."""
    refused = models.refusal(table.get(name), dialect, item(*media))
    code, message = said
    assert refused == Failure(error_class="row", code=code, message=message)
    assert refused.status == "skipped"


@pytest.mark.parametrize(
    ("name", "dialect", "media"),
    [
        ("gemini-2.0-flash", "chat", [("image", "https://h/a.gif"), ("audio", "a.wav"), ("video", "https://h/a.mp4")]),
        ("gemini-2.0-flash", "chat", [("image", PNG), ("audio", "data:audio/ogg;base64,T2dn")]),
        ("gpt-audio", "chat", [("audio", "data:audio/x-wav;base64,UklG")]),
        ("claude-opus-4-5-20251101", "messages", [("image", "data:image/jpg;base64,AA=="), ("image", PNG)]),
        ("gpt-4o", "responses", [("image", "data:;base64,AA==")]),
        ("glm-4.5v", "chat", [("image", "https://h/a.jpg"), ("image", PNG)]),
        ("qwen2.5-omni-7b", "chat", [("video", "https://h/a.mp4")]),
        ("deepseek-chat", "chat", []),
        ("my-model", "chat", [("image", "data:image/tiff;base64,AA=="), ("video", "https://h/a.mov")]),
    ],
)
def test_rows_that_pass(table, name, dialect, media):
    """Nothing is refused that may work: by URL the type is not known, and an unknown model may take anything."""
    assert models.refusal(table.get(name), dialect, item(*media)) is None


@pytest.mark.parametrize(
    ("ways", "url", "message"),
    [
        (
            {"url"},
            PNG,
            "row 7: the chat dialect carries no image inline, as a data: URL; choose another model, or leave",
        ),
        ({"inline"}, "https://h/a", "row 7: the chat dialect carries no image by URL; choose another model, or leave"),
    ],
)
def test_a_dialect_that_carries_one_way_only(monkeypatch, ways, url, message):
    """A dialect may carry a kind by URL and not inline, or the other way round."""
    chat = dataclasses.replace(DIALECTS["chat"], carries={"image": frozenset(ways)})
    monkeypatch.setattr(models, "DIALECTS", {"chat": chat})
    refused = models.refusal(model(), "chat", item(("image", url)))
    assert refused.message.startswith(message)


# Warning


@pytest.mark.parametrize(
    ("on", "said"),
    [
        (date(2026, 9, 30), []),
        (date(2026, 10, 1), ["`claude-sonnet-4-5` retires on 2026-11-30: plan for another model"]),
        (date(2026, 11, 29), ["`claude-sonnet-4-5` retires on 2026-11-30: plan for another model"]),
        (
            date(2026, 11, 30),
            ["`claude-sonnet-4-5` was to retire on 2026-11-30: it may not be served any more; see GET /v1/models"],
        ),
    ],
)
def test_retirement_is_said_sixty_days_before(table, on, said):
    """A model that is retired, or will be within 60 days, is named with its day."""
    assert models.warnings(table.get("claude-sonnet-4-5"), {}, on) == said


@pytest.mark.parametrize(
    ("name", "parameters", "thinking", "said"),
    [
        (
            "gpt-5.2",
            {"temperature": 0.2, "max_tokens": 9},
            None,
            ["`gpt-5.2` does not heed `temperature`: the gateway drops it, or the model refuses it; leave it out"],
        ),
        (
            "gpt-4o",
            {},
            "on",
            ['`gpt-4o`: no thinking switch of it is known; thinking = "on" may change nothing'],
        ),
        (
            "qwen3-max",
            {"thinking": {"type": "enabled"}},
            None,
            [
                (
                    "`qwen3-max`: its thinking switch is `enable_thinking`;"
                    " the parameter `thinking` may change nothing, or be refused"
                )
            ],
        ),
        (
            "deepseek-reasoner",
            {"enable_thinking": False},
            None,
            [
                (
                    "`deepseek-reasoner`: no thinking switch of it is known;"
                    " the parameter `enable_thinking` may change nothing, or be refused"
                )
            ],
        ),
        ("qwen3-max", {"enable_thinking": True, "temperature": 0}, "on", []),
        ("claude-opus-4-5", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, None, []),
        ("gpt-5.2", {"reasoning_effort": "low"}, "low", []),
        ("my-model", {"temperature": 0, "thinking": {}}, "on", []),
    ],
)
def test_parameters_without_effect(table, name, parameters, thinking, said):
    """Parameters that are dropped, and thinking switches that the model does not know, are named."""
    assert models.warnings(table.get(name), parameters, TODAY, thinking=thinking) == said
