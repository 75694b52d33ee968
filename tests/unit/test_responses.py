"""Responses and units from bytes to the priced event: what counts, what is the same, what is refused, what it costs."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.book import Book
from pricing.errors import InvalidUsage, Rejected
from pricing.events import Event
from pricing.kinds import input_count
from pricing.rating import Missing
from pricing.reading import read_event
from pricing.selection import TERMS_MAX
from pricing.sheets import Sheet, parse_sheet
from pricing.surfaces import SURFACES
from streams.codec import PricedWriter
from streams.explaining import explain
from tests.product import book, data, event, priced, sheet
from tests.usage import Literal, dumps, encode_binary, usage

CHAT = "openai.chat_completions"


def direct(*models: dict[str, Any], **fields: Any) -> Sheet:
    """A sheet of models in USD, in force for ever."""
    full = [{"category": "direct", "currency": "USD", **model} for model in models]
    return parse_sheet(
        json.dumps(
            {"id": "aitronos", "version": "1", "effective_from": "2024-01-01T00:00:00Z", "models": full, **fields}
        ).encode()
    )


def case(prices: dict[str, str], **when: Any) -> dict[str, Any]:
    return {"when": when, "prices": prices}


MARKET = book(
    direct(
        {
            "key": "gpt-4o",
            "id": "mdl_4o",
            "prefixes": ["ft:"],
            "prices": {"input": "1", "cache_read": "0.5", "output": "10"},
            "units": {"web_search": "0.01", "image": "0.04"},
            "cases": [
                case({"input": "2", "output": "20"}, service_tier="priority"),
                case({"input": "3", "output": "30"}, service_tier="batch"),
                case({"input": "4", "output": "40", "output_reasoning": "50"}, regions=["us"]),
                case({"input": "5", "output": "60"}, regions=["global"]),
                case({"input": "6", "output": "60", "cache_read": "0.6"}, input_over=1000),
            ],
        },
        {"key": "fal/video", "units": {"second": "0.4", "image": "0.04", "request": "1"}},
        dated_snapshots=True,
    )
)


def response(
    usage_object: Any, surface: str = CHAT, body: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """An event with a response of gpt-4o."""
    whole = {"model": "gpt-4o", "usage": usage_object} | (body or {})
    made = usage('a response:x body={"usage":{}}')
    return made | {"data": {"organization": "a", "project": "p1", "surface": surface, "response": whole} | fields}


def chat(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def lines(made: dict[str, Any] | str, found: Book = MARKET) -> list[tuple[str, str, str]]:
    """Meter, quantity and price of each line."""
    return [(line["meter"], line["quantity"], line["price"]) for line in data(made, found)["lines"]]


def refusal(value: bytes | dict[str, Any]) -> tuple[Rejected, str]:
    """Why an event is rejected."""
    with pytest.raises(InvalidUsage) as refused:
        read_event(value if isinstance(value, bytes) else dumps(value).encode(), ())
    return refused.value.reason, refused.value.detail


# --- what counts


def test_a_response_is_priced_by_its_own_counts() -> None:
    """The whole priced event but its amounts: the response itself is not repeated."""
    details = {"prompt_tokens_details": {"cached_tokens": 200}, "completion_tokens_details": {"reasoning_tokens": 50}}
    found = data(response(chat(900, 100, total_tokens=1000, **details), provider="openai", user="u"), MARKET)
    assert list(found) == [
        *("event", "organization", "project", "provider", "user", "surface", "model", "item", "sheet", "tier", "lines"),
        *("adjustments", "synapses", "neurons", "list", "net", "due", "converted", "fx", "billable", "revision"),
    ]
    assert (found["event"]["type"], found["surface"], found["model"]) == ("ai.usage.response.v1", CHAT, "gpt-4o")
    assert found["list"] == {"USD": "0.0018"}  # (700 × 1 + 200 × 0.5 + 100 × 10) ÷ 10^6


@pytest.mark.parametrize(
    ("body_model", "given_model", "model", "model_given"),
    [
        ("gpt-4o", None, "gpt-4o", None),
        ("mdl_4o", None, "gpt-4o", "mdl_4o"),
        ("gpt-4o-2024-08-06", None, "gpt-4o", "gpt-4o-2024-08-06"),
        ("ghost", "ft:my-own", "gpt-4o", "ft:my-own"),
        (None, "gpt-4o", "gpt-4o", None),
    ],
)
def test_the_event_s_model_comes_before_the_body_s(
    body_model: str | None, given_model: str | None, model: str, model_given: str | None
) -> None:
    """And is said as it was given, where the sheet calls it otherwise."""
    fields = {} if given_model is None else {"model": given_model}
    found = data(response(chat(1, 1), body={"model": body_model}, **fields), MARKET)
    assert (found["model"], found.get("model_given"), found["item"]) == (model, model_given, model)


@pytest.mark.parametrize(
    ("served", "fields", "price"),
    [
        (None, {}, "1"),
        (None, {"service_tier": "priority"}, "2"),
        (None, {"service_tier": "batch"}, "3"),
        ("default", {}, "1"),
        ("default", {"service_tier": "priority"}, "1"),  # asked for, not served
        ("default", {"service_tier": "batch"}, "3"),  # which bodies do not tell of
        ("auto", {"service_tier": "priority"}, "2"),  # says nothing of what was served
        ("priority", {}, "2"),
        ("priority", {"service_tier": "standard"}, "2"),
        ("priority", {"service_tier": "batch"}, "2"),
        ("flex", {"service_tier": "standard"}, None),
        (None, {"region": "us"}, "4"),
        (None, {"region": "eu"}, "1"),
    ],
)
def test_what_was_served_decides_the_price_list(served: str | None, fields: dict[str, str], price: str | None) -> None:
    """By the body where it says so, else by the event; None: parked, never at another tier's price."""
    made = response(chat(1, 0), body={"service_tier": served}, **fields)
    if price is None:
        with pytest.raises(Missing, match="no_price_for_model: service tier flex of model gpt-4o"):
            priced(made, MARKET)
    else:
        assert lines(made) == [("input", "1", price)]


@pytest.mark.parametrize(
    ("geo", "region", "price"),
    [("us", "eu", "4"), ("global", "us", "5"), ("not_available", "us", "4"), (None, "us", "4"), (None, None, "1")],
)
def test_where_it_was_computed_decides_before_where_the_event_says(
    geo: str | None, region: str | None, price: str
) -> None:
    """Anthropic's bodies say so, with `global` as a place like others."""
    tokens = {"input_tokens": 1, "output_tokens": 0} | ({"inference_geo": geo} if geo else {})
    fields = {"region": region} if region else {}
    assert lines(response(tokens, "anthropic.messages", **fields)) == [("input", "1", price)]


def test_finer_kinds_are_folded_by_the_list_that_was_chosen() -> None:
    """Reasoning has a price of its own in one region, and is output elsewhere."""
    tokens = chat(5, 30, completion_tokens_details={"reasoning_tokens": 20})
    assert lines(response(tokens)) == [("input", "5", "1"), ("output", "30", "10")]
    assert lines(response(tokens, region="us")) == [
        ("input", "5", "4"),
        ("output", "10", "40"),
        ("output_reasoning", "20", "50"),
    ]


def test_the_context_is_all_input_of_the_response() -> None:
    """Cached tokens count for the threshold, output does not."""
    cached = {"prompt_tokens_details": {"cached_tokens": 900}}
    assert lines(response(chat(1000, 5000, **cached)))[0] == ("input", "100", "1")
    assert lines(response(chat(1001, 5000, **cached))) == [
        ("input", "101", "6"),
        ("cache_read", "900", "0.6"),
        ("output", "5000", "60"),
    ]


def test_tools_that_the_provider_ran_are_units_of_the_response() -> None:
    """Priced, or parked where the price list has none."""
    tokens = {"input_tokens": 1, "output_tokens": 0, "server_tool_use": {"web_search_requests": 3}}
    assert lines(response(tokens, "anthropic.messages")) == [("input", "1", "1"), ("units.web_search", "3", "0.01")]
    with pytest.raises(Missing, match=r"no_price_for_meter: units\.web_search"):
        priced(response(tokens, "anthropic.messages", region="us"), MARKET)


def test_what_is_kept_for_an_hour_is_never_priced_as_what_is_kept_for_minutes() -> None:
    """Durations do not fold: the event waits for a price."""
    written = {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 7}}
    with pytest.raises(Missing, match="no_price_for_meter: cache_creation_1h"):
        priced(response({"input_tokens": 1, "output_tokens": 0, **written}, "anthropic.messages"), MARKET)


def test_responses_are_priced_in_synapses_and_neurons_too() -> None:
    """At the default priority, by the kinds of tokens that such a sheet knows."""
    tokens = chat(10, 30, prompt_tokens_details={"audio_tokens": 4}, completion_tokens_details={"reasoning_tokens": 20})
    found = data(response(tokens, body={"model": "ftg-3.0-pro"}), book())
    assert [(line["meter"], line["consumed"]) for line in found["lines"]] == [("input", "20"), ("output", "60")]
    made = event(response(tokens, body={"model": "ftg-3.0-pro"}))
    text = explain(made.data, sheet(), json.dumps(found).encode())
    assert f"surface {CHAT}, 6 input, 4 input_audio, 10 output, 20 output_reasoning" in text
    assert "10 tokens × 2 (base) × 1 (priority default) = 20 synapses" in text


def test_units_are_priced_by_endpoint_in_the_order_given() -> None:
    """Exactly, and no request is added that the event does not count."""
    found = data("a units:fal/video second=5.50 image=2 nothing=0", MARKET)
    assert [(line["meter"], line["quantity"], line["unit"], line["list"]) for line in found["lines"]] == [
        ("units.second", "5.5", "second", "2.2"),
        ("units.image", "2", "image", "0.08"),
    ]
    assert (found["endpoint"], found["item"], "model" in found) == ("fal/video", "fal/video", False)
    assert lines("a units:fal/video image=1 second=1 request=2") == [
        ("units.image", "1", "0.04"),
        ("units.second", "1", "0.4"),
        ("units.request", "2", "1"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a units:ghost image=0", "no_price_for_model: endpoint ghost"),
        ("a units:fal/video page=1", "no_price_for_meter: units.page"),
        ("a units:gpt-4o input=1", "no_price_for_meter: units.input"),
        ("a units:fal/video image=1 service_tier=fast", "no_price_for_model: service tier fast"),
    ],
)
def test_units_without_a_price_are_parked(line: str, reason: str) -> None:
    """Endpoint, unit and tier; token kinds are no units."""
    with pytest.raises(Missing, match=reason):
        priced(line, MARKET)


def test_an_endpoint_in_synapses_is_none() -> None:
    """Units are priced directly or not at all."""
    with pytest.raises(Missing, match=r"no_price_for_model: endpoint ftg-3\.0-pro"):
        priced("a units:ftg-3.0-pro image=1", book())


# --- what is the same event


def content(made: dict[str, Any] | bytes) -> bytes:
    """The hash that tells a re-sent event from another."""
    return read_event(made if isinstance(made, bytes) else dumps(made).encode(), ()).content


NOISY = response(chat(5, 2), body={"cost": Literal("0.10"), "choices": [{"text": "a", "n": [1, {"x": None}]}]})


@pytest.mark.parametrize(
    "same",
    [
        dumps(NOISY, ", \n", " : ").encode(),
        dumps(NOISY).replace('"a"', '"\\u0061"').encode(),
        dumps(NOISY | {"data": dict(reversed([(k, v) for k, v in NOISY["data"].items()]))}).encode(),
        dumps(NOISY).replace('"n": [1, {"x": null}]', '"n": [1, {"x": null}], "b": 1').replace(', "b": 1', "").encode(),
        dumps({**NOISY, "time": "2026-11-22T11:00:00.000+01:00", "extension": "é"}).encode(),
    ],
)
def test_spelling_does_not_change_the_content(same: bytes) -> None:
    """Key order, white space, escapes and offsets do not count, on the fast path and the strict one."""
    assert content(same) == content(NOISY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.10", "0.1"),
        ("0.10", '"0.10"'),
        ("0.10", "0.1000000000000000055511151231257827021181583404541015625"),
        ("0.10", "1e-1"),
        ('"a"', '"b"'),
        ("[1,", "[2,"),
        ("null", "false"),
        ('"prompt_tokens": 5', '"prompt_tokens": 6'),
        ('"n": [1, {"x": null}]', '"n": [{"x": null}, 1]'),
    ],
)
def test_any_other_response_is_other_content(old: str, new: str) -> None:
    """Numbers as they are written: no float could tell these apart."""
    assert content(dumps(NOISY).replace(old, new, 1).encode()) != content(NOISY)


def test_what_the_event_says_beside_a_response_is_part_of_its_content() -> None:
    """Also the model, which the body may have too."""
    assert content(response(chat(5, 2))) != content(response(chat(5, 2), model="gpt-4o"))
    assert content(response(chat(5, 2))) != content(response(chat(5, 2), "azure.chat_completions"))


BODIES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**16)
    | st.sampled_from(["", "é", "gpt-4o", "TEXT", "\n\t\0"])
    | st.sampled_from(["1.50", "2E5", "-0.1"]).map(Literal),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["usage", "prompt_tokens", "completion_tokens", "a:b", "modality", ""]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.sampled_from(list(SURFACES)), BODIES, st.booleans())
def test_both_paths_of_reading_agree_on_any_response(surface: str, body: Any, ascii_only: bool) -> None:
    """The same event, or rejected for the same reason; nothing else comes out of a body, whatever it is."""
    made = response(chat(5, 2), surface, {"x": body, "usage": body, "usageMetadata": body}, model="m")
    fast, strict = dumps(made, ascii_only=ascii_only), dumps({**made, "extension": ["strict"]})
    assert outcome(fast.encode()) == outcome(strict.encode())
    value, headers = encode_binary(made)
    assert outcome(fast.encode()) == outcome(value, headers)


def outcome(value: bytes, headers: Any = ()) -> Any:
    """What an event is, or why it is rejected."""
    try:
        found: Event = read_event(value, headers)
    except InvalidUsage as refused:
        return refused.reason, refused.detail
    return found.content, found.echo, found.data


COUNTS = st.integers(0, 50)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([{}, {"region": "us"}]))
def test_tokens_in_are_the_sum_of_the_lines(
    text: int, cached: int, heard: int, said: int, thought: int, spoken: int, fields: dict[str, str]
) -> None:
    """By every price list, folded or not: no token is lost or counted twice."""
    rich = MARKET_OF_ALL_KINDS if fields else MARKET
    tokens = chat(
        text + cached + heard,
        said + thought + spoken,
        prompt_tokens_details={"cached_tokens": cached, "audio_tokens": heard},
        completion_tokens_details={"reasoning_tokens": thought, "audio_tokens": spoken},
    )
    found = lines(response(tokens, **fields), rich)
    inputs = {meter: int(quantity) for meter, quantity, _ in found if not meter.startswith("output")}
    assert sum(int(quantity) for _, quantity, _ in found) == text + cached + heard + said + thought + spoken
    assert input_count(inputs) == text + cached + heard


ALL = {"input": "1", "cache_read": "1", "output": "1", "input_audio": "2", "output_audio": "2", "output_reasoning": "3"}
MARKET_OF_ALL_KINDS = book(direct({"key": "gpt-4o", "prices": ALL, "bands": {"output": [{"above": 3, "price": "9"}]}}))


# --- what is refused


@pytest.mark.parametrize(
    ("made", "reason", "detail"),
    [
        (response(chat(5, 2, total_tokens=8)), "token_counts_do_not_reconcile", "total_tokens is 8"),
        (response(chat(5, 2), "openai.chat"), "invalid_field", "surface: 'openai.chat' is none of openai.chat_comp"),
        (response(chat(5, 2), body={"model": None}), "invalid_field", "data.model is missing, and the response names"),
        (response(chat(5, 2), body={"model": "a\x00b"}), "invalid_field", 'response: model: "a\\u0000b" has a control'),
        (response(chat(5, 2), body={"model": "m" * 257}), "invalid_field", "has not 1 to 256 bytes"),
        (response(chat(5, 2), body={"service_tier": "é" * 129}), "invalid_field", "service tier"),
        (response(chat(5, 2), user=""), "invalid_field", "data.user: expected str of length >= 1"),
        (
            response(chat(5, 2, total_tokens=8), user=""),
            "invalid_field",
            "data.user: expected str of length >= 1",
        ),  # what comes first is said
        (response(chat(5, 2), priority="high"), "invalid_field", "priority"),
        (response(chat(Literal("5.0"), 2)), "invalid_field", "prompt_tokens is '5.0', no count"),
        (response(chat(5, 2), model=""), "invalid_field", "length >= 1"),
    ],
)
def test_a_response_that_cannot_be_counted_is_rejected(made: dict[str, Any], reason: str, detail: str) -> None:
    """With what was found and where."""
    found = refusal(made)
    assert (found[0], detail in found[1]) == (reason, True), found[1]


def test_tokens_of_another_model_are_not_passed_over() -> None:
    """They would not be billed: the producer has to send them as an event of their own."""
    advisor = {"type": "advisor_message", "model": "claude-opus", "input_tokens": 9, "output_tokens": 9}
    own = {"type": "message", "input_tokens": 5, "output_tokens": 2}
    reason, detail = refusal(
        response({"input_tokens": 5, "output_tokens": 2, "iterations": [own, advisor]}, "anthropic.messages")
    )
    assert reason is Rejected.INVALID_FIELD
    assert detail == (
        'response: "claude-opus" also took tokens, as a model of its own: send them as an event of its own'
    )


def test_sums_beyond_what_an_event_may_count_are_rejected() -> None:
    """Each entry of a list is within the bound, and their sum is not."""
    iterations = [{"type": "compaction", "input_tokens": 10**15, "output_tokens": 0}] * 3
    found = refusal(response({"input_tokens": 5, "output_tokens": 0, "iterations": iterations}, "anthropic.messages"))
    assert found[0] is Rejected.INVALID_FIELD
    assert "3000000000000000" in found[1]


# --- what hostile input costs


def filled(start: str, unit: str, end: str, most: int = 64 * 1024) -> bytes:
    """As many units as a value may have."""
    room = most - len(start) - len(end)
    return (start + unit * (room // len(unit)) + end).encode()


FRAME = dumps(response(chat(5, 2), body={"x": "MARK"})).partition('"MARK"')
IN_USAGE = dumps(response({"input_tokens": 5, "output_tokens": 2, "x": "MARK"}, "anthropic.messages")).partition(
    '"MARK"'
)
GEMINI = dumps(
    response(None, "google.generate_content", {"usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": "MARK"}})
).partition('"MARK"')
UNIT_FRAME = dumps(usage("a units:fal/video x=0")).partition('"x": "0"')
HUGE = {
    "a long text": filled(FRAME[0] + '"', "x", '"' + FRAME[2]),
    "a long text with escapes": filled(FRAME[0] + '"', "\\n", '"' + FRAME[2]),
    "a long list": filled(FRAME[0] + "[0", ",1.5", "]" + FRAME[2]),
    "many objects": filled(FRAME[0] + "[{}", ",{}", "]" + FRAME[2]),
    "a long number": filled(FRAME[0], "9", FRAME[2]),
    "a long fraction": filled(FRAME[0] + "0.", "9", FRAME[2]),
    "deeply nested": filled(FRAME[0], "[", FRAME[2]),
    "deeply nested objects": filled(FRAME[0], '{"a":', FRAME[2]),
    "many modalities": filled(GEMINI[0] + "[{}", ',{"modality":"AUDIO","tokenCount":1}', "]" + GEMINI[2]),
    "modalities that are lists": filled(GEMINI[0] + "[{}", ',{"modality":["AUDIO"],"tokenCount":1}', "]" + GEMINI[2]),
    "many iterations": filled(
        IN_USAGE[0] + '1,"iterations":[{"input_tokens":5,"output_tokens":2}',
        ',{"input_tokens":0,"output_tokens":0}',
        "]" + IN_USAGE[2],
    ),
    "a long surface": dumps(response(chat(5, 2), "x" * 60_000)).encode(),
    "a long model": dumps(response(chat(5, 2), body={"model": "x" * 60_000})).encode(),
    "many units": (
        UNIT_FRAME[0] + ",".join(f'"u{n}":0' for n in range(6_000))[:60_000].rpartition(",")[0] + UNIT_FRAME[2]
    ).encode(),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_response_costs_little_and_says_little(name: str) -> None:
    """In tens of milliseconds, a second when all is busy; anything quadratic takes minutes. No body is kept."""
    value = HUGE[name]
    assert 50_000 < len(value) <= 64 * 1024
    started = time.process_time()
    found = outcome(value)
    assert time.process_time() - started < 1
    assert len(repr(found)) < (200_000 if name == "many units" else 2_000)


def test_terms_are_shared_by_all_names_of_a_model() -> None:
    """Names found by prefix or snapshot, providers and priorities without effect: one price, compiled once."""
    found = book(*MARKET.sheets)
    names = ["gpt-4o", "mdl_4o", "ft:a", "ft:b", "gpt-4o-2024-08-06", "gpt-4o@20240806"]
    made = [priced(f"a {name} in=1 priority=p{n} provider=v{n}", found) for n, name in enumerate(names)]
    made += [priced(response(chat(1, 0), model=name), found) for name in names]
    assert len({one.terms for one in made}) == 1
    assert {one.item for one in made} == {"gpt-4o"}


def test_models_that_are_called_alike_keep_their_own_prices() -> None:
    """`openai/gpt` of no provider and `gpt` of openai have one label, and still two prices, whichever comes first."""
    models = [{"key": "openai/gpt", "prices": {"input": "1"}, "units": {"image": "1"}}]
    models += [{"key": "gpt", "provider": "openai", "prices": {"input": "5"}, "units": {"image": "5"}}]
    named = [("openai/gpt", "other", "1"), ("gpt", "openai", "5")]
    for order in (named, named[::-1]):
        found = book(direct(*models))
        for name, provider, price in order:
            assert data(f"a {name} in=1000000 provider={provider}", found)["list"] == {"USD": price}
            assert data(f"a units:{name} image=1 provider={provider}", found)["list"] == {"USD": price}


def test_each_event_is_written_in_its_own_words_under_shared_terms() -> None:
    """The constant text before the lines is the event's, not that of the first one with its price."""
    said = [
        ("a gpt-4o in=1", ("gpt-4o", None, "default")),
        ("a ft:a in=1 priority=high", ("gpt-4o", "ft:a", "high")),
        ("a ft:b in=1", ("gpt-4o", "ft:b", "default")),
        ("a mdl_4o in=1 priority=low", ("gpt-4o", "mdl_4o", "low")),
    ]
    writer = PricedWriter("app")
    for line, words in said * 2:
        found = json.loads(writer.data(priced(line, MARKET)))
        assert (found["model"], found.get("model_given"), found["priority"]) == words


def test_hostile_names_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of them has a bound, and prices stay right beyond it."""
    monkeypatch.setattr("pricing.selection.TERMS_MAX", 50)
    assert TERMS_MAX == 20_000
    found = book(*MARKET.sheets)
    for number in range(120):
        assert data(f"a ft:{number} in=1000 provider=v{number}", found)["list"] == {"USD": "0.001"}
        with pytest.raises(Missing):
            priced(f"a ghost-{number} in=1", found)
    assert len(found.segment_at(event("a gpt-4o in=1").at).terms) <= 51
