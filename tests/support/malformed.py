"""Bodies that are no request, and a corpus of malformed tokens with the results they must get."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from licenses.checking.results import Result
from tests.support.forge import ABSENT, Forger, b64

type Forge = Callable[[Forger], str]
type Case = tuple[str, Result, Forge]


BODIES: dict[str, bytes] = {
    "blank": b" ",
    "no JSON": b"key=1",
    "cut": b'{"key": "a',
    "a list": b"[]",
    "null": b"null",
    "a number as member": b'{"key": "a.b.c", "subject": 1}',
    "an object as member": b'{"key": "a.b.c", "custom": {}}',
    "NaN": b'{"key": "a.b.c", "subject": NaN}',
    "no key": b"{}",
    "key null": b'{"key": null}',
    "not UTF-8": b'{"key": "\xff"}',
    "UTF-16": '{"key": "a.b.c"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"key": "a.b.c"}',
    "deep": b'{"key":' * 9000,
    "a giant number": b'{"key": ' + b"9" * 5000 + b"}",
}


def corpus() -> list[Case]:
    """Return (name, result that it must get, how to forge it) of every malformed token."""
    return [
        *_shapes(),
        *_base64url(),
        *_headers(),
        *_objects("header"),
        *_objects("payload"),
        *_duplicates(),
        *_times(),
        *_signatures(),
        *_unrecorded(),
    ]


def _shapes() -> Iterator[Case]:
    """What is no three segments, or too long."""

    def shape(name: str, forge: Forge) -> Case:
        return f"shape: {name}", Result.MALFORMED, forge

    for text in ("", ".", "..", "...", "a", "a.b", "a..c", ".b.c", "a.b.", "{}", "null", "\x00"):
        yield shape(f"literally {text!r}", lambda forger, text=text: text)  # type: ignore[misc]
    for character in '\n \t\r\x00=+/\\"%é\u2028\ud800\U0001f511':
        yield shape(f"{character!r} after", lambda s, c=character: s.token() + c)  # type: ignore[misc]
        yield shape(f"{character!r} before", lambda s, c=character: c + s.token())  # type: ignore[misc]
        yield shape(
            f"{character!r} within",
            lambda s, c=character: s.token().replace(".", f".{c}", 1),  # type: ignore[misc]
        )
    yield shape("a fourth segment", lambda s: s.token() + ".AAAA")
    yield shape("an empty fourth segment", lambda s: s.token() + ".")
    yield shape("JWE with five segments", lambda s: s.token() + ".AAAA.AAAA")
    yield shape("without signature", lambda s: s.token().rpartition(".")[0] + ".")
    yield shape("without the last segment", lambda s: s.token().rpartition(".")[0])
    yield shape("Bearer before", lambda s: "Bearer " + s.token())
    yield shape("in quotes", lambda s: f'"{s.token()}"')
    yield shape("as JSON serialization", lambda s: json.dumps({"payload": s.token()}))
    yield shape("twice", lambda s: s.token() + s.token())
    yield shape("commas for dots", lambda s: s.token().replace(".", ","))
    yield shape("full-width dots", lambda s: s.token().replace(".", "\uff0e"))
    yield shape("percent-encoded dots", lambda s: s.token().replace(".", "%2E"))
    yield shape("over 16 KiB", lambda s: s.token(claims={"name": "x" * 20_000}))
    yield shape("1 MB", lambda s: "A" * 1_000_000)
    yield shape("1 MB of dots", lambda s: "." * 1_000_000)
    yield shape("one over 16 KiB", lambda s: _of_length(s, 16 * 1024 + 1))


def _nested(levels: int) -> list[Any]:
    """Return so many lists, one in the other."""
    found: list[Any] = []
    for _ in range(levels - 1):
        found = [found]
    return found


def _of_length(forger: Forger, length: int) -> str:
    """Return a well signed token of exactly that many characters."""
    header, payload = forger.header_text(), forger.payload_text()
    rest = length - len(f"..{b64(bytes(forger.key.key_size // 8))}")
    for spaces in range(3):  # not every length is one of base64url
        longer = header + " " * spaces
        wanted = rest - len(b64(longer))
        filled = payload.ljust(wanted * 3 // 4)
        if len(b64(filled)) == wanted:
            return forger.raw(header=longer, payload=filled)
    raise AssertionError(length)


def _base64url() -> Iterator[Case]:
    """One value has one spelling (RFC 7515 section 2)."""

    def bits(segment: int) -> Forge:
        return lambda s: _with_trailing_bits(s, segment)

    for number, name in enumerate(("header", "payload", "signature")):
        yield f"base64url: trailing bits in the {name}", Result.MALFORMED, bits(number)
        yield (
            f"base64url: padding after the {name}",
            Result.MALFORMED,
            lambda s, n=number: _with_segment(
                s.token(), n, lambda text: text + "=" * (-len(text) % 4 or 1)
            ),  # type: ignore[misc]
        )
        yield (
            f"base64url: impossible length of the {name}",
            Result.MALFORMED,
            lambda s, n=number: _with_segment(s.token(), n, lambda _: "AAAAA"),  # type: ignore[misc]
        )
        yield (
            f"base64url: a line break in the {name}",
            Result.MALFORMED,
            lambda s, n=number: _with_segment(s.token(), n, lambda t: t[:8] + "\n" + t[8:]),  # type: ignore[misc]
        )


def _with_segment(token: str, number: int, change: Callable[[str], str]) -> str:
    segments = token.split(".")
    segments[number] = change(segments[number])
    return ".".join(segments)


def _with_trailing_bits(forger: Forger, number: int) -> str:
    """Return a token that decodes to the same, and is signed as it stands where it can be."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    def changed(text: str) -> str:
        return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]

    if number == 2:  # The 256 bytes of the signature leave four bits unused.
        return _with_segment(forger.token(), 2, changed)
    texts = [forger.header_text(), forger.payload_text()]
    texts[number] += " " * ((1 - len(texts[number])) % 3)
    segments = [b64(text) for text in texts]
    segments[number] = changed(segments[number])
    return forger.sign(*segments)


def _headers() -> Iterator[Case]:
    """Headers that name another algorithm, bring their own key, or say more than ours do."""

    def header(name: str, **changes: Any) -> Case:
        return f"header: {name}", Result.MALFORMED, lambda s: s.token(header=changes)

    algorithms = ["none", "None", "NONE", "nOnE", "HS256", "RS384", "RS512", "PS256", "ES256"]
    algorithms += ["EdDSA", "rs256", "RS256 ", "RS256\x00", "", "\u202eRS256"]
    for alg in algorithms:
        yield header(f"alg {alg!r}", alg=alg)
    for no_alg in (None, True, 256, ["RS256"], {"RS256": 1}, ABSENT):
        yield header(f"alg of another type {_shown(no_alg)}", alg=no_alg)
    for typ in ("jwt", "JOSE", "at+jwt", "statuslist+jwt", "JWT ", "", None, ["JWT"], 1, ABSENT):
        yield header(f"typ {_shown(typ)}", typ=typ)
    kids = [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 42 + "=",
        "A" * 42 + "+",
        "A" * 42 + "\n",
        "../" * 14 + "x",
    ]
    kids += ["A" * 43 + "\n", "\ud800" * 43, "\uff21" * 43, "' OR 1=1 --".ljust(43), "\x00" * 43]
    for kid in kids:
        yield header(f"kid {kid!r}", kid=kid)
    for no_kid in (None, True, 43, ["A" * 43], {}, ABSENT):
        yield header(f"kid of another type {_shown(no_kid)}", kid=no_kid)
    more = [
        "jwk",
        "jku",
        "x5u",
        "x5c",
        "x5t",
        "x5t#S256",
        "crit",
        "b64",
        "cty",
        "zip",
        "enc",
        "ALG",
    ]
    for name in more:
        yield header(f"the member {name}", **{name: "RS256"})
    yield header("an empty member name", **{"": 1})
    yield header("a surrogate as member name", **{"\ud800": 1})
    yield header("crit with b64", crit=["b64"], b64=False)
    yield (
        "header: alg none, empty signature",
        Result.MALFORMED,
        lambda s: f"{s.header(alg='none')}.{s.payload()}.",
    )


def _shown(value: object) -> str:
    return "absent" if value is ABSENT else repr(value)


def _objects(part: str) -> Iterator[Case]:
    """Header or payload that is not one JSON object in UTF-8."""

    def text(forger: Forger) -> str:
        return forger.header_text() if part == "header" else forger.payload_text()

    def case(name: str, change: Callable[[str], bytes | str]) -> Case:
        return f"{part}: {name}", Result.MALFORMED, lambda s: s.raw(**{part: change(text(s))})

    yield case("a BOM", lambda t: b"\xef\xbb\xbf" + t.encode())
    yield case("UTF-16", lambda t: t.encode("utf-16"))
    yield case("UTF-16 without BOM", lambda t: t.encode("utf-16-le"))
    yield case("UTF-32", lambda t: t.encode("utf-32"))
    yield case("Latin-1", lambda t: t.replace("{", '{"é": 1, ', 1).encode("latin-1"))
    yield case("a raw surrogate", lambda t: t.encode().replace(b"{", b'{"\xed\xa0\x80": 1, ', 1))
    yield case("an overlong encoding", lambda t: t.encode().replace(b"{", b'{"\xc0\x80": 1, ', 1))
    yield case("an array around", lambda t: f"[{t}]")
    yield case("a string", json.dumps)
    yield case("a second object", lambda t: t + t)
    yield case("text after", lambda t: t + "x")
    yield case("a NUL after", lambda t: t + "\x00")
    yield case("a comma too many", lambda t: t[:-1] + ",}")
    yield case("a comment", lambda t: t + "/**/")
    yield case("single quotes", lambda t: t.replace('"', "'"))
    yield case("not closed", lambda t: t[:-1])
    yield case("no-break space around", lambda t: "\u00a0" + t)
    yield case("a raw line break in a string", lambda t: t.replace("{", '{"a": "\n", ', 1))
    yield case("NaN", lambda t: t.replace("{", '{"a": NaN, ', 1))
    yield case("Infinity", lambda t: t.replace("{", '{"a": Infinity, ', 1))
    yield case("-Infinity", lambda t: t.replace("{", '{"a": -Infinity, ', 1))
    yield case("a float that overflows", lambda t: t.replace("{", '{"a": 1e999, ', 1))
    yield case("10,000 digits", lambda t: t.replace("{", '{"a": ' + "9" * 10_000 + ", ", 1))
    yield case("10,900 brackets", lambda t: "[" * 10_900)
    yield case(
        "nested arrays", lambda t: t.replace("{", '{"a": ' + "[" * 4_000 + "]" * 4_000 + ", ", 1)
    )
    yield case("65 levels", lambda t: t.replace("{", f'{{"b": {json.dumps(_nested(64))}, ', 1))
    yield case("nested objects", lambda t: '{"a":' * 1_600 + "1" + "}" * 1_600)
    for literal in ("null", "true", "0", '""', "[]", "{}", " "):
        yield case(f"literally {literal!r}", lambda t, text=literal: text)  # type: ignore[misc]


def _duplicates() -> Iterator[Case]:
    """Two members of one name: parsers differ in which they take."""

    def payload(name: str, start: str) -> Case:
        return (
            f"duplicate: {name}",
            Result.MALFORMED,
            lambda s: s.raw(payload=s.payload_text().replace("{", "{" + start + ", ", 1)),
        )

    for name in ("exp", "iat", "sub", "tid", "jti", "auth_apps"):
        yield payload(name, f'"{name}": 4102444800')
    yield payload("in a nested object", '"a": {"b": {"c": 1, "c": 2}}')
    yield payload("in an object within an array", '"a": [[{"c": 1, "c": 1}]]')
    yield payload("by an escape", '"\\u0065xp": 4102444800')
    for name, value in (("alg", "RS256"), ("typ", "JWT"), ("kid", "A" * 43)):
        yield (
            f"duplicate: {name} in the header",
            Result.MALFORMED,
            lambda s, n=name, v=value: s.raw(  # type: ignore[misc]
                header=s.header_text().replace("{", f'{{"{n}": "{v}", ', 1)
            ),
        )


def _times() -> Iterator[Case]:
    """Times that are no integers of seconds between 1970 and 9999."""
    wrong: list[object] = [None, True, False, "4102444800", "", [4_102_444_800], {}, ABSENT]
    wrong += [-1, 253_402_300_800, 10**30, 4_102_444_800.0, 4_102_444_800.5, -0.0]
    for name in ("iat", "nbf", "exp"):
        for value in wrong:
            yield (
                f"time: {name} {_shown(value)}",
                Result.MALFORMED,
                lambda s, n=name, v=value: s.token(claims={n: v}),  # type: ignore[misc]
            )
    yield (
        "time: exp with an exponent",
        Result.MALFORMED,
        lambda s: s.raw(
            payload=s.payload_text().replace(f'"exp": {s.claims["exp"]}', '"exp": 4e9')
        ),
    )


def _signatures() -> Iterator[Case]:
    """Good form, but not signed by us."""

    def case(name: str, forge: Forge, result: Result = Result.SIGNATURE_INVALID) -> Case:
        return f"signature: {name}", result, forge

    def with_signature(signature: Callable[[bytes], bytes]) -> Forge:
        return lambda s: _with_segment(
            s.token(),
            2,
            lambda text: b64(signature(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))),
        )

    yield case("zeros", with_signature(lambda raw: bytes(len(raw))))
    yield case("ones", with_signature(lambda raw: b"\xff" * len(raw)))
    yield case("one byte", with_signature(lambda raw: b"\x00"))
    yield case("cut", with_signature(lambda raw: raw[:-1]))
    yield case("a zero in front", with_signature(lambda raw: b"\x00" + raw))
    yield case("a zero behind", with_signature(lambda raw: raw + b"\x00"))
    yield case("backwards", with_signature(lambda raw: raw[::-1]))
    yield case("one bit flipped", with_signature(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])))
    yield case("8 KB", with_signature(lambda raw: raw * 32))
    yield case("of a stranger", lambda s: s.sign(s.header(), s.payload(), s.stranger))
    yield case("PSS", _signed_by(padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()))
    yield case("over SHA-512", _signed_by(padding.PKCS1v15(), hashes.SHA512()))
    yield case("over SHA-1", _signed_by(padding.PKCS1v15(), hashes.SHA1()))
    yield case("of the payload alone", lambda s: _signed_over(s, s.payload()))
    yield case(
        "of another token", lambda s: _spliced(s, payload=s.payload(exp=s.claims["exp"] + 1))
    )
    yield case("another holder", lambda s: _spliced(s, payload=s.payload(name="Someone else")))
    yield case("a surrogate in a claim", lambda s: _spliced(s, payload=s.payload(name="\ud800")))
    yield case("a NUL in a claim", lambda s: _spliced(s, payload=s.payload(jti="\x00")))
    yield case(
        "claims that are no strings",
        lambda s: _spliced(s, payload=s.payload(sub=[], tid={}, aud=1)),
    )
    yield case(
        "a space more in the payload",
        lambda s: _spliced(s, payload=b64(s.payload_text() + " ")),
    )
    unknown = Result.SIGNING_KEY_UNKNOWN
    yield case("an unknown kid", lambda s: s.token(header={"kid": "A" * 43}), unknown)
    yield case(
        "the kid in the other case", lambda s: s.token(header={"kid": s.kid.swapcase()}), unknown
    )
    yield case(
        "an unknown kid, signed by a stranger",
        lambda s: s.sign(s.header(kid="-" * 43), s.payload(), s.stranger),
        unknown,
    )


def _signed_by(scheme: Any, algorithm: Any) -> Forge:
    def forge(forger: Forger) -> str:
        signing_input = f"{forger.header()}.{forger.payload()}"
        return f"{signing_input}.{b64(forger.key.sign(signing_input.encode(), scheme, algorithm))}"

    return forge


def _signed_over(forger: Forger, text: str) -> str:
    return f"{forger.header()}.{forger.payload()}.{b64(forger.raw_signature(text))}"


def _spliced(forger: Forger, *, payload: str) -> str:
    return _with_segment(forger.token(), 1, lambda _: payload)


def _unrecorded() -> Iterator[Case]:
    """Well signed by us, but never stored: there is a record of other tokens only."""

    def case(name: str, forge: Forge) -> Case:
        return f"record: {name}", Result.UNKNOWN, forge

    for jti in (
        ABSENT,
        None,
        "",
        1,
        [],
        "x",
        "\x00",
        "\ud800" * 36,
        "{0b1c2d3e-4f50-4162-9384-a5b6c7d8e9f0}",
    ):
        yield case(f"jti {_shown(jti)}"[:40], lambda s, j=jti: s.token(claims={"jti": j}))  # type: ignore[misc]
    yield case("a new jti", lambda s: s.token(claims={"jti": str(uuid4())}))
    yield case("the jti of a record", lambda s: s.token(claims={"name": "Someone else"}))
    yield case("the jti in capitals", lambda s: s.token(claims={"jti": s.claims["jti"].upper()}))
    yield case("the jti as a URN", lambda s: s.token(claims={"jti": "urn:uuid:" + s.claims["jti"]}))
    yield case(
        "a surrogate in a claim", lambda s: s.token(claims={"name": "\ud800", "a": "\udfff"})
    )
    yield case("a NUL in a claim", lambda s: s.token(claims={"name": "a\x00b"}))
    yield case("a claim of 9,000 characters", lambda s: s.token(claims={"name": "x" * 9_000}))
    yield case("white space around the payload", lambda s: s.raw(payload=s.payload_text() + "\n"))
    yield case("members in another order", lambda s: s.raw(header=_reversed(s.header_text())))
    yield case("braces in a claim", lambda s: s.token(claims={"name": "{args}"}))
    yield case("brackets in a claim", lambda s: s.token(claims={"name": "[{" * 100}))
    yield case("64 levels", lambda s: s.token(claims={"a": _nested(63)}))
    yield case("exactly 16 KiB", lambda s: _of_length(s, 16 * 1024))


def _reversed(text: str) -> str:
    return json.dumps(dict(reversed(json.loads(text).items())))
