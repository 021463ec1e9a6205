"""The extracted checker's reading of files against the one in Python: JSON and headers in all spellings, most of them damaged.

A configuration's `model_name` has no influence, so it may be any JSON that FORMAT.md allows, and then the model is accepted.
So it is if its header is written in another way. For the checker in Python, half of a surrogate pair is a character, too.
"""

import json
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutate
import pytest
from test_extracted import asked, pytestmark
from thorough import some

from certificates import RawTensor, read_certificate, write_certificate
from checker import verify

__all__ = ["pytestmark"]
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "/": "\\/"}
PIECES = (
    *("\\u0041", "\\u00e9", "\\uD83D\\uDE00", "\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\u00g0", "\\x", "\x7f", "é"),
    *("\U0001f600", "1.0", "1e5", "1e999", "1e1000", "nul", "null", "true", "NaN", '"a":1,"a":2,', '"a":1,"\\u0061":2,'),
    *("9" * 30 + ".5", "9" * 31 + ".5", "9" * 3000, "9" * 4400, "0." + "1" * 61, "[" * 29 + "]" * 29, "[" * 33 + "]" * 33),
    *'\\"\x00\x1f \t\x0b\xa0,:[]{}-+.e01',
)
BYTES = (b"\xff", b"\xc0\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xf8\x88")


def drawn(rng: random.Random, depth: int = 0) -> Any:
    """Some value."""
    kind = rng.randrange(5 if depth > 3 else 7)
    if kind == 5:
        return [drawn(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {text_of(rng): drawn(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice((None, True, False, rng.randrange(-99, 99), rng.randrange(2**70), rng.random(), text_of(rng)))


def text_of(rng: random.Random) -> str:
    return "".join(rng.choices(("a", "Z", " ", *ESCAPES, "é", "\x1b", "\x7f", "\ue000", "\U0010ffff"), k=rng.randrange(5)))


def spelled(value: Any, rng: random.Random) -> str:
    """In one of many ways."""

    def space() -> str:
        return rng.choice(("", "", "", " ", "\n", "\t\r "))

    def character(c: str) -> str:
        units = c.encode("utf-16-be")
        codes = "".join(f"\\u{units[i] * 256 + units[i + 1]:04{rng.choice('xX')}}" for i in range(0, len(units), 2))
        return rng.choice((ESCAPES.get(c, codes), codes, c if c not in '"\\' and c >= " " else codes))

    def text(value: str) -> str:
        return '"' + "".join(character(c) if rng.random() < 0.5 or c in '"\\' or c < " " else c for c in value) + '"'

    if isinstance(value, str):
        found = text(value)
    elif isinstance(value, list):
        found = "[" + (",".join(spelled(item, rng) for item in value) or space()) + "]"
    elif isinstance(value, dict):
        members = (space() + text(key) + space() + ":" + spelled(item, rng) for key, item in value.items())
        found = "{" + (",".join(members) or space()) + "}"
    else:
        found = json.dumps(value)
    return space() + found + space()


def damaged(text: str, rng: random.Random) -> str:
    """In no, one or two places."""
    for _ in range(rng.choice((0, 1, 1, 2))):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + rng.choice((*PIECES, "")) + text[start + rng.choice((0, 0, 1, 2)) :]
    return text


def has_half_a_pair(text: str) -> bool:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@pytest.mark.parametrize("name", ["config", "header"])
def test_texts_are_read_alike(name: str, tmp_path: Path) -> None:
    base, rng = mutate.make_base("brute-force"), random.Random(0)
    (size,) = struct.unpack("<Q", base.model[:8])
    header, body = json.loads(base.model[8 : 8 + size]), base.model[8 + size :]
    mutate.put(tmp_path / "cert", base.document.content())
    config, accepted = header["__metadata__"]["config"], 0
    for _ in range(some(300)):
        if name == "config":
            header["__metadata__"]["config"] = config[:-1] + ',"model_name":' + damaged(spelled(drawn(rng), rng), rng) + "}"
            text = json.dumps(header).encode()
        else:
            text = damaged(spelled(header, rng), rng).encode()
            if rng.random() < 0.2:
                start = rng.randrange(len(text) + 1)
                text = text[:start] + rng.choice(BYTES) + text[start:]
        mutate.put(tmp_path / "model", struct.pack("<Q", len(text)) + text + body)
        verdict, (status, answer) = verify(tmp_path / "cert", tmp_path / "model"), asked(tmp_path / "cert", tmp_path / "model")
        if verdict.accepted != (status == 0):
            assert verdict.accepted and has_half_a_pair(json.loads(text)["__metadata__"]["config"]), (text, verdict, answer)
        accepted += status == 0
    assert 0.1 * some(300) < accepted < 0.9 * some(300)


def test_what_cannot_be_read_gets_an_answer(tmp_path: Path) -> None:
    """Folders, and paths and names of tensors that are not plain text."""
    base = mutate.make_base("brute-force")
    mutate.put(tmp_path / "cert", base.document.content())
    for path in (tmp_path, Path("/proc/self/mem"), Path(f"{tmp_path}/\udcff")):
        status, answer = asked(tmp_path / "cert", path)
        assert status == 2 and answer["malformed"].startswith("cannot read"), answer
    (size,) = struct.unpack("<Q", base.model[:8])
    header, body = json.loads(base.model[8 : 8 + size]), base.model[8 + size :]
    header["a\x7f"] = {"dtype": "U8", "shape": [0], "data_offsets": [len(body), len(body)]}
    for task in ("1.5", '{"a":[1e5]}', "1"):
        header["__metadata__"]["task"] = task
        text = json.dumps(header).encode()
        mutate.put(tmp_path / "model", struct.pack("<Q", len(text)) + text + body)
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        assert status == 2 and ("a\x7f" if task == "1" else "not an integer") in answer["malformed"], answer


def test_the_least_integer_of_the_machine_is_no_hint(tmp_path: Path) -> None:
    """Its absolute value would be negative."""
    base = mutate.make_base("brute-force")
    mutate.put(tmp_path / "model", base.model)
    mutate.put(tmp_path / "cert", base.document.content())
    certificate, _ = read_certificate(tmp_path / "cert")
    (tables, step), shape = certificate.steps, certificate.steps[1].hints["ranges"].shape
    for number in (-(2**62), 1 - 2**62):
        ranges = RawTensor("I64", shape, struct.pack("<q", number) * (shape[0] * shape[1]))
        changed = replace(step, hints={**step.hints, "ranges": ranges})
        write_certificate(tmp_path / "cert", replace(certificate, steps=(tables, changed)))
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        assert status == 2 and ("out of range" in answer["malformed"]) == (number == -(2**62)), answer
        assert not verify(tmp_path / "cert", tmp_path / "model").accepted
