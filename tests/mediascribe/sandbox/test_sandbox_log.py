"""The gateway's log of what it charged, with its ways of charging that surprise people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mediascribe.sandbox import Billing, Entry
from mediascribe.sandbox.billing import log_lines

pytestmark = pytest.mark.wide

AT = datetime(2026, 11, 23, 1, 45, 0, 900_000, tzinfo=UTC)


def entry(model="gemini-2.0-flash", **changes):
    """A billed request: 5 tokens of text, 258 of a picture, 20 of the answer."""
    plain = {"text_tokens": 5, "image_tokens": 258, "prompt_tokens": 263, "completion_tokens": 20, "billed": True}
    return Entry(**{"number": 1, "arrived_at": AT, "request_id": "r1", "model": model} | plain | changes)


SOUND = {"text_tokens": 5, "image_tokens": 0, "audio_tokens": 175, "prompt_tokens": 180}


def charged(made, **billing):
    """The quota of one entry, and the terms beside it."""
    (line,) = log_lines([made], Billing(**billing))
    return line["quota"], json.loads(line["other"])


class TestCharges:
    """`log_lines`, each figure worked by hand (gateway notes 2.2)."""

    def test_a_line_has_the_members_of_the_gateways(self):
        """Times are whole seconds, types are numbers, terms are JSON in a text."""
        (line,) = log_lines([entry(stream=True)], Billing())
        other = json.loads(line.pop("other"))
        assert line == {
            "id": 1,
            "created_at": int(AT.timestamp()),
            "type": 2,
            "content": "",
            "token_name": "sandbox",
            "model_name": "gemini-2.0-flash",
            "quota": 17,  # (263 + 20 x 4) x 0.05 = 17.15
            "prompt_tokens": 263,
            "completion_tokens": 20,
            "use_time": 0,
            "is_stream": True,
            "group": "default",
            "request_id": "r1",
        }
        assert (other["model_ratio"], other["completion_ratio"], other["group_ratio"]) == (0.05, 4.0, 1.0)

    def test_the_groups_ratio_and_a_markup(self):
        """17.15 x 2 x 0.5 x 3 / 3: 17.15 x 1.5 = 25.725."""
        quota, other = charged(entry(), group_ratio=Decimal("0.75"), markup=Decimal(2))
        assert (quota, other["model_ratio"], other["group_ratio"]) == (26, 0.1, 0.75)

    def test_sound_at_a_price_of_its_own(self):
        """(5 + 175 x 7 + 20 x 4) x 0.05 = 65.5, and half is rounded up."""
        quota, other = charged(entry(**SOUND))
        assert (quota, other["audio_input_price"], other["audio_input_token_count"]) == (66, 0.7, 175)

    def test_the_audio_path_counts_text_and_sound_only(self):
        """(5 + 175 x 20) x 0.05 = 175.25; the answer is free."""
        quota, other = charged(entry(**SOUND), audio_path=True)
        assert (quota, other["audio"], other["text_input"], other["audio_ratio"]) == (175, True, 5, 20.0)

    def test_cached_tokens_cost_their_ratio(self):
        """131 of 263 at a quarter: (132 + 32.75 + 80) x 0.05 = 12.2375."""
        quota, other = charged(entry(), cached_share=Decimal("0.5"))
        assert (quota, other["cache_tokens"], other["cache_ratio"]) == (12, 131, 0.25)

    def test_a_long_prompt_has_rates_of_its_own(self):
        """gemini-2.5-pro beyond 200,000 tokens: 2.50 and 15 USD: (200,001 + 20 x 6) x 1.25 = 250,151.25."""
        long = entry("gemini-2.5-pro", text_tokens=200_001, image_tokens=0, prompt_tokens=200_001)
        assert charged(long)[0] == 250_151

    def test_the_least_charge_is_one(self):
        """One token of the prompt is 0.05 quota; none at all is nothing."""
        assert charged(entry(text_tokens=1, image_tokens=0, prompt_tokens=1, completion_tokens=0))[0] == 1
        assert charged(entry(text_tokens=0, image_tokens=0, prompt_tokens=0, completion_tokens=0))[0] == 0

    def test_what_was_not_billed_is_not_in_the_log(self):
        """Neither a refusal, nor a model that is not served."""
        assert log_lines([entry(billed=False), entry("nobody")], Billing()) == []

    def test_older_versions_say_less(self):
        """No ids, no terms."""
        (line,) = log_lines([entry()], Billing(request_ids=False, terms=False))
        assert "request_id" not in line
        assert line["other"] == ""


class TestRoute:
    """`GET /api/log/token`."""

    @pytest.fixture
    def log(self, client, sandbox):
        """`log(key=..., header=..., p=2)`: the answer's JSON."""

        def _log(*, header=None, **query):
            url = f"{sandbox.url.removesuffix('/v1')}/api/log/token"
            headers = {} if header is None else {"Authorization": f"Bearer {header}"}
            answer = client.get(url, params=query, headers=headers or {"Authorization": ""})
            assert answer.status_code == 200
            return answer.json()

        return _log

    def test_the_key_goes_in_the_header_or_the_address(self, log, ask, sandbox):
        """Each billed request is a line, with the id that its answer had."""
        answer = ask()
        by_header, by_address = log(header=sandbox.api_key), log(key=sandbox.api_key)
        assert by_header == by_address
        assert [line["request_id"] for line in by_header["data"]] == [answer.headers["x-oneapi-request-id"]]

    def test_what_is_wrong_is_said_with_status_200(self, log, sandbox):
        """A wrong key, no key, a header where only the address is read, a log that is switched off."""
        assert log(key="sk-wrong")["success"] is False
        assert log()["success"] is False
        sandbox.bill(Billing(bearer=False))
        assert log(header=sandbox.api_key)["success"] is False
        assert log(key=sandbox.api_key)["success"] is True
        sandbox.bill(Billing(is_open=False))
        assert log(key=sandbox.api_key)["success"] is False

    def test_forks_have_pages(self, log, ask, sandbox):
        """Two of three lines, then the third; a reset forgets the way of charging."""
        sandbox.bill(Billing(paged=True))
        for _ in range(3):
            ask()
        first = log(key=sandbox.api_key, p=1, page_size=2)["data"]
        second = log(key=sandbox.api_key, p=2, page_size=2)["data"]
        assert [line["id"] for line in (*first["items"], *second["items"])] == [1, 2, 3]
        assert (first["total"], second["page"]) == (3, 2)
        sandbox.reset()
        assert log(key=sandbox.api_key)["data"] == []
