"""The gateway's log, asked for page by page, from a gateway that is a list of answers."""

from __future__ import annotations

import json

import pytest

from mediascribe.cost.reconciliation.log import NEWEST, fetch
from mediascribe.domain import Failure
from mediascribe.errors import ConfigError, InDoubtError, PermanentError
from mediascribe.wire import Answer

KEY = "sk-canary0123456789abcdef"


class Told:
    """A client whose gateway gives *answers* in turn; `urls` are those that were asked."""

    base_url = "https://gate.example/v1"

    def __init__(self, *answers):
        self._answers = list(answers)
        self.urls = []

    async def get(self, url):
        """The next answer."""
        self.urls.append(url)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(status=200, headers={}, body=answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def good(data):
    """An answer with *data*."""
    return {"success": True, "message": "", "data": data}


REFUSED = {"success": False, "message": "无效的令牌"}


async def test_a_whole_log_is_one_answer(tmp_path):
    """The key is in the header: the address has none."""
    gateway = Told(good([{"id": 1}, {"id": 2}]))
    found = await fetch(gateway, KEY, tmp_path / "log")
    assert (found.lines, found.is_cut) == (2, False)
    assert gateway.urls == ["https://gate.example/api/log/token?p=1&page_size=100"]
    assert [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()] == [{"id": 1}, {"id": 2}]


async def test_an_old_gateway_reads_the_key_from_the_address(tmp_path):
    """It is asked so once it has refused the header, for all pages."""
    pages = [good({"total": 3, "items": [{"id": 1}, {"id": 2}]}), good({"total": 3, "items": [{"id": 3}]})]
    gateway = Told(REFUSED, *pages)
    assert (await fetch(gateway, KEY, tmp_path / "log")).lines == 3
    assert gateway.urls[1:] == [
        f"https://gate.example/api/log/token?key={KEY}&p={page}&page_size=100" for page in (1, 2)
    ]


@pytest.mark.parametrize("last", [REFUSED, good({"total": 9, "items": []}), good({"total": 9})])
async def test_pages_that_end_early_end_the_log(tmp_path, last):
    """A gateway that promised more than it has is not asked for ever."""
    gateway = Told(good({"total": 9, "items": [{"id": 1}]}), last)
    assert (await fetch(gateway, KEY, tmp_path / "log")).lines == 1


async def test_the_newest_lines_may_not_be_all(tmp_path):
    """Later versions give a thousand, and say nothing of older ones."""
    gateway = Told(good([{"id": number} for number in range(NEWEST)]))
    assert (await fetch(gateway, KEY, tmp_path / "log")).is_cut


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([REFUSED, REFUSED], "does not know this key, or keeps no log; ask the operator for an export"),
        ([["no object"], ["no object"]], "does not know this key"),
        ([good([])], "the log of this key is empty"),
        ([b"<html>"], "answers 200 without JSON"),
        ([PermanentError(Failure(error_class="oversize", message="long"))], "longer than gateway.max_answer_bytes"),
        ([InDoubtError(Failure(error_class="network", message=f"cut at ?key={KEY}"))], "cut at .*REDACTED.*check"),
    ],
)
async def test_a_log_that_cannot_be_had(tmp_path, answers, said):
    """The message says what to do, and never shows the key."""
    with pytest.raises(ConfigError, match=said) as caught:
        await fetch(Told(*answers), KEY, tmp_path / "log")
    assert KEY not in str(caught.value)
