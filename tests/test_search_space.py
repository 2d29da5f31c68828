"""Spaces: what `--space` may say, what is refused and how, and where a search begins."""

import re

import pytest

from whet.config import SETTINGS, TrainConfig, make_config
from whet.errors import ConfigError
from whet.search_space import (
    NOT_SEARCHED,
    Choice,
    Range,
    check_space,
    default_space,
    grid,
    parse_space,
    published,
    seeds,
    settings_at,
)
from whet.tasks import TASKS


def test_every_kind_of_dimension_is_read():
    space = parse_space(
        ["learning_rate=1e-5..1e-4:log", "epochs=2..4", "batch_size=16|32", "recipe=default|lora",
         "max_length=64|none", "schedule=linear|cosine", "gradient_checkpointing=off|on"]
    )  # fmt: skip
    assert space == (
        Range("learning_rate", 1e-5, 1e-4, True, False),
        Range("epochs", 2, 4, False, True),
        Choice("batch_size", (16, 32)),
        Choice("recipe", ("default", "lora")),
        Choice("max_length", (64, None)),
        Choice("schedule", ("linear", "cosine")),
        Choice("gradient_checkpointing", ("off", "on")),
    )
    assert parse_space({"epochs": "2..4"}) == (space[1],)


def test_a_space_is_the_same_when_its_words_are_read_again():
    words = ["learning_rate=1.2345678e-05..0.0003:log", "warmup=0.0..0.25", "epochs=2..10", "cut=tail|middle"]
    space = parse_space(words)
    assert parse_space([str(one) for one in space]) == space


def test_every_setting_that_is_not_left_out_can_be_put_in():
    for name, setting in SETTINGS.items():
        if name in NOT_SEARCHED:
            continue
        value = setting.default
        if isinstance(value, str) or value is None:
            continue
        low = setting.metadata["low"]
        high = value + 1 if value + 1 <= setting.metadata["high"] else setting.metadata["high"]
        low = max(low, value / 2 if isinstance(value, float) else value - 1)
        (found,) = parse_space([f"{name}={low}..{high}"])
        assert isinstance(found, Range)
        assert found.is_whole == isinstance(value, int), name


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("lerning_rate=1e-5..1e-4", ("no setting 'lerning_rate'", "Did you mean 'learning_rate'")),
        ("lr=1e-5..1e-4", ("no setting 'lr'", "Did you mean 'learning_rate'")),
        ("learning_rate=1e-4..1e-5", ("the range is empty", "0.0001 is not below 1e-05")),
        ("epochs=3..3", ("the range is empty",)),
        ("learning_rate=0..1e-4:log", ("begins above 0",)),
        ("learning_rate=1e-5..2", ("learning_rate=2", "a number from 0 to 1")),
        ("learning_rate=1e-5..1e-4:linear", ("':linear' is no scale",)),
        ("epochs=2..2.5", ("epochs=2.5", "whole number")),
        ("learning_rate=..1e-4", ("learning_rate=", "a number")),
        ("batch_size=16", ("one value is no choice", "--set batch_size=16")),
        ("recipe=lora", ("one value is no choice", "--recipe lora")),
        ("recipe=default|loar", ("recipe=loar", "Did you mean 'lora'")),
        ("recipe=default..lora", ("recipes have no order",)),
        ("schedule=linear|cosin", ("schedule=cosin", "Did you mean 'cosine'")),
        ("schedule=linear..cosine", ("is no number", "schedule=a|b")),
        ("seed=0..5", ("'seed' decides which rows are dev", "--set")),
        ("time_limit=10..20", ("that of the search",)),
        ("batch_size=16|16", ("a value is there twice",)),
        ("batch_size", ("write it as name=low..high",)),
    ],
)
def test_what_cannot_be_is_refused(given: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_space([given])
    message = str(refused.value)
    assert message.startswith(f"--space {given}: ")
    for part in parts:
        assert part in message


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as refused:
        parse_space(["epochs=4..2", "lr=1..2", "batch_size=16|32", "batch_size=8|16"])
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("The settings are: recipe, epochs")
    assert "seed" not in re.split(r"[:,] ", lines[3])
    assert "'batch_size' is there twice" in lines[2]


def test_values_that_cannot_be_together_with_the_settings():
    space = parse_space(["unfreeze_at=1|2", "lora_rank=0|8"])
    with pytest.raises(ConfigError) as refused:
        check_space(space, {}, None)
    assert len(str(refused.value).splitlines()) == 2
    assert "with 1: unfreeze_at=1: nothing is frozen" in str(refused.value)
    check_space(parse_space(["unfreeze_at=1|2"]), {"frozen": "encoder"}, None)


def test_values_that_go_together_with_some_of_another_dimension():
    check_space(parse_space(["frozen=encoder|nothing", "unfreeze_at=1|none"]), {}, None)
    check_space(parse_space(["threshold=none|precision", "min_precision=0.5|0.9"]), {}, None)
    with pytest.raises(ConfigError, match="with 1: unfreeze_at=1: nothing is frozen"):
        check_space(parse_space(["unfreeze_at=1|none", "warmup=0..0.1"]), {}, None)


def test_settings_that_the_task_has_no_use_for_are_no_dimension():
    with pytest.raises(ConfigError, match="'mask_rate' is of whet pretrain, so it is not searched"):
        parse_space(["mask_rate=0.1..0.3"])
    space = parse_space(["label_smoothing=0..0.2", "warmup=0..0.1"])
    check_space(space, {}, None, TASKS["classification"].refuse)
    with pytest.raises(ConfigError, match=r"label_smoothing=0.0..0.2: with 0.2: label_smoothing: not for"):
        check_space(space, {}, None, TASKS["question-answering"].refuse)


def test_a_point_wins_over_settings_and_these_over_the_recipe():
    found = settings_at({"recipe": "lora", "epochs": 4}, {"epochs": 7, "warmup": 0.2}, "fast")
    config = make_config(found)
    assert (config.epochs, config.warmup, config.lora_rank, config.frozen) == (4, 0.2, 8, "nothing")


def test_numbers_are_rounded_to_three_digits_within_the_range():
    (rate,) = parse_space(["learning_rate=1.234567e-5..1e-4"])
    assert isinstance(rate, Range)
    assert rate.rounded(3.14159e-5) == 3.14e-5
    assert rate.rounded(1.2345671e-5) == 1.234567e-5  # 1.23e-5 would be below it
    assert rate.rounded(1e-4) == 1e-4


# published.md: BERT {2,3,5}e-5, batch {16,32}, epochs 2 to 4; small BERTs up to 3e-4; ELECTRA 1e-4 with 0.8
# layer decay; ModernBERT {1,3,5,8}e-5.
@pytest.mark.parametrize(
    ("family", "width", "rates"),
    [
        ("bert", 768, {2e-5, 3e-5, 5e-5}),
        ("bert", 384, {5e-5, 1e-4, 3e-4}),
        ("modernbert", 768, {1e-5, 3e-5, 5e-5, 8e-5}),
        ("xlm-roberta", 768, {1e-5, 2e-5, 3e-5}),
        ("deberta-v2", 768, {2e-5, 3e-5, 5e-5}),
    ],
)
def test_searches_begin_at_published_points(family: str, width: int, rates: set[float]) -> None:
    space = default_space(family, width, 3)
    found = seeds(space, family, width, {})
    assert {point["learning_rate"] for point in found} == rates
    assert {point["batch_size"] for point in found} == {16, 32}
    assert {point["epochs"] for point in found} <= {2, 3, 4}
    by_name = {one.name: one for one in space}
    assert all(by_name[name].holds(value) for point in found for name, value in point.items())


def test_electra_begins_at_its_authors_point():
    space = default_space("electra", 768, 3)
    first = seeds(space, "electra", 768, {})[0]
    assert (first["learning_rate"], first["layer_decay"]) == (1e-4, 0.8)
    assert published("electra", 256).layer_decays == (0.8,)


def test_seeds_keep_to_the_users_space_and_leave_the_default_out():
    space = parse_space(["learning_rate=2.5e-5..4e-5", "recipe=default|lora|fast"])
    found = seeds(space, "bert", 768, {"recipe": "default", "learning_rate": 5e-5})
    assert found == [{"learning_rate": 3e-5}, {"recipe": "lora"}, {"recipe": "fast"}]
    assert seeds(parse_space(["batch_size=16|32"]), "bert", 768, {"batch_size": 16}) == [{"batch_size": 32}]


def test_small_data_may_take_its_usual_number_of_epochs():
    by_name = {one.name: one for one in default_space("bert", 768, 10)}
    assert by_name["epochs"].holds(10)
    assert not by_name["epochs"].holds(11)


def test_a_space_of_few_points_is_listed():
    space = parse_space(["batch_size=16|32", "epochs=2..4"])
    points = grid(space, 6)
    assert points is not None
    assert len(points) == len({tuple(point.items()) for point in points}) == 6
    assert grid(space, 5) is None
    assert grid(parse_space(["warmup=0..0.2"]), 1000) is None


def test_the_default_configuration_can_be_searched_around():
    check_space(default_space("bert", 768, 3), {}, None)
    assert isinstance(TrainConfig(), TrainConfig)
