from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.variants import TIMEOUT_MS, changed, check_methods, parse_variant, parse_variants
from searchsvc.model import (
    ExpansionOptions,
    Form,
    MethodShare,
    Mode,
    RecordedRun,
    RerankOptions,
    RerankQuery,
    Wait,
)


def test_a_name_alone_is_a_search_as_it_comes():
    variant = parse_variant("plain:")

    assert variant.name == "plain"
    assert variant.expansion == ExpansionOptions()
    assert variant.rerank == RerankOptions()
    assert variant.timeout_ms == TIMEOUT_MS


@pytest.mark.parametrize("word", ["off", "on", "auto"])
def test_a_bare_word_sets_the_mode(word):
    assert parse_variant(f"v:expansion={word}").expansion == ExpansionOptions(mode=Mode(word))


def test_a_bare_word_that_is_no_mode_sets_the_method():
    assert parse_variant("v:expansion=llm").expansion == ExpansionOptions(
        mode=Mode.ON, methods=(MethodShare(name="llm"),)
    )


def test_keys_add_to_the_bare_word():
    variant = parse_variant("v:expansion=auto,expansion.form=rrf,expansion.weight=0.25,expansion.terms=20")

    assert variant.expansion == ExpansionOptions(mode=Mode.AUTO, form=Form.RRF, weight=0.25, terms=20)


def test_an_option_without_a_word_switches_expansion_on():
    assert parse_variant("v:expansion.method=llm,expansion.prompt=p-2").expansion == ExpansionOptions(
        mode=Mode.ON, methods=(MethodShare(name="llm"),), prompt="p-2"
    )


def test_the_name_ends_at_the_first_colon_and_a_comma_before_a_key_ends_a_value():
    variant = parse_variant("v:rerank.instruction=Find: first, then rank=2, well,rerank.depth=20,timeout_ms=500")

    assert variant.rerank == RerankOptions(depth=20, instruction="Find: first, then rank=2, well")
    assert variant.timeout_ms == 500


def test_a_variant_makes_a_request_as_deep_as_the_measures_reach():
    request = parse_variant("v:rerank.depth=20,rerank.query=both").request("q1", "words", index="i", depth=100)

    assert (request.query_id, request.user_query, request.index) == ("q1", "words", "i")
    assert (request.top_k, request.retrieval_depth, request.rerank.depth) == (100, 100, 20)
    assert request.rerank.query is RerankQuery.BOTH
    assert request.timeout_ms == TIMEOUT_MS


def test_a_deep_rerank_retrieves_as_deep():
    request = parse_variant("v:rerank.depth=200").request("q1", "words", index="i", depth=100)

    assert request.retrieval_depth == 200
    assert request.top_k == 100


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("base", "The variant 'base' does not begin with a name.", "It is written NAME:key=value"),
        ("a b:rerank=on", "does not begin with a name", "letters, digits"),
        ("../x:rerank=on", "does not begin with a name", "letters, digits"),
        ("v:rerank", "Variant v: 'rerank' is not written key=value.", ""),
        ("v:expansion.wieght=1", "Variant v: there is no key 'expansion.wieght'.", "Did you mean expansion.weight?"),
        ("v:reranker=on", "Variant v: there is no key 'reranker'.", "Did you mean rerank?"),
        ("v:rerank=onn", "Variant v: rerank is 'onn'.", "Did you mean on?"),
        ("v:expansion.form=mixtur", "Variant v: expansion.form is 'mixtur'.", "Did you mean mixture?"),
        ("v:rerank.query=orignal", "Variant v: rerank.query is 'orignal'.", "Did you mean original?"),
        ("v:expansion.weight=1.5", "expansion.weight is '1.5': a number from 0 to 1", ""),
        ("v:expansion.weight=nan", "expansion.weight is 'nan': a number from 0 to 1", ""),
        ("v:expansion.terms=0", "expansion.terms is '0': an integer, 1 to 256", ""),
        ("v:rerank.depth=201", "rerank.depth is '201': an integer, 1 to 200", ""),
        ("v:timeout_ms=soon", "timeout_ms is 'soon': an integer, 1 or more", ""),
        ("v:rerank=on,rerank=off", "Variant v: rerank is given twice.", ""),
        ("v:rerank.instruction=", "Variant v: rerank.instruction has no value.", ""),
        ("v:expansion=llm,expansion.method=prf", "the method is given twice, 'llm' and 'prf'", ""),
    ],
)
def test_what_is_wrong_is_told_with_the_nearest_right_name(written, message, hint):
    with pytest.raises(ConfigurationError) as caught:
        parse_variant(written)

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_without_variants_three_are_compared():
    variants = parse_variants([])

    assert [(each.name, each.expansion.mode, each.rerank.mode) for each in variants] == [
        ("base", Mode.OFF, Mode.OFF),
        ("rerank", Mode.OFF, Mode.ON),
        ("full", Mode.ON, Mode.ON),
    ]


def test_two_variants_of_one_name_are_refused_as_their_runs_are_files():
    with pytest.raises(ConfigurationError, match="Two variants are named 'A'"):
        parse_variants(["A:rerank=on", "a:rerank=off"])


def test_a_method_that_there_is_not_is_answered_with_the_nearest():
    variants = parse_variants(["v:expansion=neighbors"])

    with pytest.raises(ConfigurationError, match="Variant v: there is no expansion 'neighbors' here") as caught:
        check_methods(variants, ["neighbours", "llm"])
    assert caught.value.hint == "Did you mean neighbours?"


def test_methods_that_there_are_and_modes_pass():
    check_methods(parse_variants(["a:expansion=llm", "b:expansion=on", "c:"]), ["llm"])


_WORDS = st.text(alphabet="abcdefgh-", min_size=1, max_size=8).map(lambda word: f"m{word}")
_INSTRUCTIONS = st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="="), min_size=1, max_size=20)


@given(
    expansion=st.fixed_dictionaries(
        {},
        optional={
            "method": _WORDS,
            "form": st.sampled_from(Form),
            "weight": st.floats(0, 1),
            "terms": st.integers(1, 256),
            "prompt": _WORDS,
            "wait": st.sampled_from(Wait),
        },
    ),
    rerank=st.fixed_dictionaries(
        {},
        optional={
            "depth": st.integers(1, 200),
            "query": st.sampled_from(RerankQuery),
            "instruction": _INSTRUCTIONS,
        },
    ),
    modes=st.tuples(st.sampled_from(Mode), st.sampled_from([Mode.ON, Mode.OFF])),
    timeout_ms=st.integers(1, 10**6),
    order=st.randoms(use_true_random=False),
)
def test_what_is_written_is_what_is_read(expansion, rerank, modes, timeout_ms, order):
    if "prompt" in expansion and "method" in expansion:
        expansion["method"] = "llm"  # no other method has prompts
    parts = [f"expansion={modes[0]}", f"rerank={modes[1]}", f"timeout_ms={timeout_ms}"]
    parts += [f"expansion.{key}={value}" for key, value in expansion.items()]
    parts += [f"rerank.{key}={value}" for key, value in rerank.items()]
    order.shuffle(parts)

    variant = parse_variant("name:" + ",".join(parts))

    methods = (MethodShare(name=expansion.pop("method")),) if "method" in expansion else ()
    assert variant.expansion == ExpansionOptions(mode=modes[0], methods=methods, **expansion)
    assert variant.rerank == RerankOptions(mode=modes[1], **rerank)
    assert variant.timeout_ms == timeout_ms


def test_some_keys_of_a_variant_can_be_changed():
    variant = parse_variant("v:expansion=llm,rerank.instruction=find, then read,rerank.depth=20,timeout_ms=900")

    other = changed(variant, "w", {"expansion": "off", "rerank.depth": None, "rerank": "on"})

    assert other == parse_variant("w:expansion=off,rerank.instruction=find, then read,timeout_ms=900,rerank=on")
    assert other.keys == {"expansion", "rerank.instruction", "timeout_ms", "rerank"}


def test_several_methods_expand_together():
    both = (MethodShare(name="llm"), MethodShare(name="prf", weight=0.5))

    assert parse_variant("v:expansion=llm+prf*0.5").expansion == ExpansionOptions(mode=Mode.ON, methods=both)
    assert parse_variant("v:expansion=auto,expansion.method=llm+prf*0.5").expansion.methods == both
    assert parse_variant("v:expansion=shadow").expansion.mode is Mode.SHADOW


def test_recorded_expansions_are_named_by_file_and_run():
    variant = parse_variant("m:expansion=recorded,expansion.file=a,b.jsonl,expansion.run=mugi/openai/gpt-4.1")

    assert variant.expansion == ExpansionOptions(
        mode=Mode.ON,
        methods=(MethodShare(name="recorded"),),
        recorded=RecordedRun(file="a,b.jsonl", run="mugi/openai/gpt-4.1"),
    )
    auto = parse_variant("m:expansion=auto,expansion.method=recorded,expansion.file=x.jsonl").expansion
    assert (auto.mode, auto.recorded) == (Mode.AUTO, RecordedRun(file="x.jsonl"))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("expansion=recorded", "needs a file"),
        ("expansion=prf,expansion.prompt=terms", "expansion.prompt goes with the method llm, not with prf."),
        ("expansion=llm,expansion.file=x.jsonl", "goes with the method recorded"),
        ("expansion=llm,expansion.run=a/b", "goes with the method recorded"),
        ("expansion=llm+llm", "comes twice"),
        ("expansion=llm*0", "above 0"),
        ("expansion.wait=never", "expansion.wait is 'never'"),
    ],
)
def test_what_does_not_go_together_is_refused(spec, problem):
    with pytest.raises(ConfigurationError, match=problem):
        parse_variant(f"v:{spec}")


def test_a_run_that_is_not_there_is_found_before_anything_runs(tmp_path):
    file = tmp_path / "recorded.jsonl"
    file.write_text('{"id": "1", "text": "a text", "method": "mugi", "model": "openai/gpt-4.1"}\n')
    with pytest.raises(ConfigurationError, match=r"Variant v: .* has no run 'mugi/openai/gpt-4'.*mugi/openai/gpt-4\.1"):
        parse_variants([f"v:expansion=recorded,expansion.file={file},expansion.run=mugi/openai/gpt-4"])
    with pytest.raises(ConfigurationError, match=r"Variant v: .*none\.jsonl cannot be read"):
        parse_variants(["v:expansion=recorded,expansion.file=none.jsonl"])

    (variant,) = parse_variants([f"v:expansion=auto,expansion.method=recorded*2,expansion.file={file}"])
    assert variant.expansion.recorded == RecordedRun(file=str(file))
