"""What the tests of Google generateContent ask, and the answers to it."""

from answers import Asked

from mediascribe.domain import Media

IMAGE = Media(kind="image", url="https://i.example/a.b/cat.PNG?size=1.jpg#x.gif")
SCHEMA = {"type": "object", "properties": {"animal": {"type": "string"}}, "required": ["animal"]}
BILL = {
    "promptTokenCount": 1986,
    "candidatesTokenCount": 60,
    "thoughtsTokenCount": 23,
    "totalTokenCount": 2069,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 5},
        {"modality": "IMAGE", "tokenCount": 1806},
        {"modality": "AUDIO", "tokenCount": 175},
    ],
}

_ASKED = Asked(dialect="generate_content", model="gemini-2.5-flash")
asking, encoded, decoded, refused = _ASKED.asking, _ASKED.encoded, _ASKED.decoded, _ASKED.refused


def config(**more):
    return encoded(**more).get("generationConfig")


def said(*parts, finish="STOP", **more):
    """An answer as the vendor writes it; *parts* are texts, or whole parts."""
    parts = [{"text": part} if isinstance(part, str) else part for part in parts]
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    answer = {"candidates": [candidate], "usageMetadata": BILL, "modelVersion": "gemini-2.5-flash", "responseId": "r-1"}
    return answer | more
