"""The options' classes and the YAML that Hydra composes say the same, and configurations are read by them."""

import re

import pytest
import yaml

from segsweep.config.groups import root
from segsweep.config.schema import OPTIONS, RunConfig
from tests.support.composing import member

FILES = {"": "config.yaml", "trainer.": "trainer/default.yaml"}
LINE = re.compile(
    r"(?P<indent> *)(?P<key>\w+): (?P<value>[^ ]+) *(# (?P<meaning>.*))?| +# (?P<more>.*)|(?P<section>\w+):"
)


def written(prefix: str, file: str) -> dict[str, tuple[object, str]]:
    """The options of a YAML file by their dotted keys: each with its default and what is said of it."""
    found: dict[str, tuple[object, str]] = {}
    key = section = ""
    for line in (root() / "conf" / file).read_text().splitlines():
        section = section if line else ""
        if not (match := LINE.fullmatch(line)):
            continue
        if match["section"]:
            section = f"{match['section']}."
        elif match["more"]:
            found[key] = (found[key][0], f"{found[key][1]} {match['more']}")
        else:
            key = prefix + (section if match["indent"] else "") + match["key"]
            found[key] = (yaml.safe_load(match["value"]), match["meaning"] or "")
    return {
        key: value for key, value in found.items() if key.split(".")[0] not in ("defaults", "hydra", "test")
    }


def test_yaml_and_classes_have_the_same_options_defaults_and_meanings():
    known = {key: (option.default, option.meaning) for key, option in OPTIONS.items()}
    assert {k: v for prefix, file in FILES.items() for k, v in written(prefix, file).items()} == known


@pytest.mark.parametrize(("key", "option"), OPTIONS.items())
def test_every_default_keeps_its_rule(key, option):
    if option.rule is not None and option.default != "???":
        assert option.rule.check(key, option.default) == option.default


def test_a_configuration_is_read_as_it_is_written():
    content = {**member("trainer.max_steps=7", "checkpoint.test=best", "size=64").config, "mine": {"a": 1}}
    config = RunConfig.of(content)
    assert (config.trainer.max_steps, config.checkpoint.test, config.size) == (7, "best", [64, 64])
    assert config.head["_target_"] == content["head"]["_target_"]
    assert config.content == content
    assert config.changed(seed=3).content == {**content, "seed": 3}
    assert config.changed(seed=3).seed == 3


def test_options_that_an_older_configuration_lacks_have_their_defaults():
    config = RunConfig.of({"trainer": {"max_steps": 7}, "head": {"_target_": "a.B"}})
    assert (config.trainer.max_steps, config.trainer.on_oom, config.checkpoint.every) == (7, "fail", 200)
    assert config.retries == 0
