"""The loader of fleet/: section C of the bad inputs, one test a case, ids in the names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from upkeep import config_rules, job_limits, measures, yaml_strict
from upkeep.config import DEFAULTS, Fleet, load_fleet
from upkeep.errors import ConfigError
from upkeep.records import Cause
from upkeep.spec import ModelSpec
from upkeep.spec_payback import Budget

FLEET = Path(__file__).parents[1] / "include" / "fleet"
DEFAULTS_TEXT = (FLEET / DEFAULTS).read_text()
MODEL = """\
name: tiny
sources:
  - kind: request_log
    path: ${LOGS}/tiny
prices:
  - {since: 2026-01-01, usd_per_hour: 0.60}
  - {since: 2026-03-19, usd_per_hour: 1.20}
policy:
  cooldown_days: 2
jobs:
  resources: {cpus: 2, memory_gib: 4}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a fleet folder: the given files, and the real defaults unless they are given."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    (tmp_path / "logs").mkdir()

    def files(**texts: str) -> Path:
        for name, text in {"defaults": DEFAULTS_TEXT, **texts}.items():
            (folder / f"{name}.yaml").write_text(text)
        return folder

    return files


def load(folder: Path, *, strict: bool = False) -> Fleet:
    """The fleet, with LOGS set to the folder beside it."""
    return load_fleet(folder, {"LOGS": str(folder.parent / "logs")}, strict=strict)


def changed(old: str, new: str, text: str = MODEL) -> str:
    """The model's file with one place changed; the place must exist."""
    assert old in text
    return text.replace(old, new, 1)


def rules(*lines: str) -> str:
    """The model's file with its own rules: one for every cause, then ``lines``."""
    every = [f"{{cause: {c}, action: investigate}}" for c in CAUSES]
    text = "".join(f"    - {line}\n" for line in (*every, *lines))
    return changed("  cooldown_days: 2\n", f"  rules:\n{text}", MODEL)


CAUSES = [cause for cause in get_args(Cause) if cause != "price"]
OWN = len(CAUSES)  # the index of the first rule after those of ``rules``
OWN_LINE = 10 + OWN
NAME = "name: tiny"
PATH = "${LOGS}/tiny"
COOLDOWN = "cooldown_days: 2"
RESOURCES = "resources: {cpus: 2, memory_gib: 4}"

# case: (the model's file, where, words that the message must hold)
REFUSED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "C1-unknown-key": (
        changed(COOLDOWN, "cooldwn_days: 2"),
        "tiny.yaml:9:policy.cooldwn_days",
        ("'cooldwn_days': unknown key", "did you mean cooldown_days"),
    ),
    "C1-unknown-key-in-list": (
        changed("    path:", "    slice_feld: x\n    path:"),
        "tiny.yaml:4:sources[0].slice_feld",
        ("unknown key", "did you mean slice_field?"),
    ),
    "C1-unknown-key-in-mapping": (
        changed(COOLDOWN, "measures: {perplexity: {toleranze: 0.1}}"),
        "tiny.yaml:9:policy.measures.perplexity.toleranze",
        ("did you mean tolerance?",),
    ),
    "C1-unknown-key-far-from-all": (
        changed(NAME, f"{NAME}\nqqq: 1"),
        "tiny.yaml:2:qqq",
        ("unknown key", "allowed: description, gate, jobs, name"),
    ),
    "C2-duplicate-key": (
        changed(COOLDOWN, f"{COOLDOWN}\n  cooldown_days: 9"),
        "tiny.yaml:10:3",
        ("duplicate key, first written in line 9",),
    ),
    "C3-tab-indent": (changed("  cooldown", "\tcooldown"), "tiny.yaml:9:1", ("tab",)),
    "C4-no": (changed(NAME, "name: no"), "tiny.yaml:1:7", ("in quotes",)),
    "C4-exponent": (
        changed(COOLDOWN, "pages_per_model_month: 1e0"),
        "tiny.yaml:9:26",
        ("write 1.0e+0 or 1.0",),
    ),
    "C4-sexagesimal": (changed(COOLDOWN, "cooldown_days: 12:30:45"), "tiny.yaml:9:18", ("60",)),
    "C4-octal": (changed(COOLDOWN, "cooldown_days: 010"), "tiny.yaml:9:18", ("octal",)),
    "C4-date-as-text": (
        changed(COOLDOWN, "version: 2026-11-01"),
        "tiny.yaml:9:policy.version",
        ("valid string", "put it in quotes"),
    ),
    "C4-text-as-number": (
        changed(COOLDOWN, 'cooldown_days: "2"'),
        "tiny.yaml:9:policy.cooldown_days",
        ("'2'", "whole number, without quotes"),
    ),
    "C4-float-as-integer": (
        changed(COOLDOWN, "cooldown_days: 2.0"),
        "tiny.yaml:9:policy.cooldown_days",
        ("2.0", "whole number"),
    ),
    "C4-true-as-number": (
        changed(COOLDOWN, "pages_per_model_month: true"),
        "tiny.yaml:9:policy.pages_per_model_month",
        ("write a number",),
    ),
    "C4-text-as-day": (
        changed("since: 2026-01-01", 'since: "2026-01-01"'),
        "tiny.yaml:6:prices[0].since",
        ("write YYYY-MM-DD",),
    ),
    "C4-number-as-day": (
        changed("since: 2026-01-01", "since: 0"),
        "tiny.yaml:6:prices[0].since",
        ("is not a day",),
    ),
    "C4-no-such-day": (
        changed("since: 2026-01-01", "since: 2026-02-30"),
        "tiny.yaml:6:13",
        ("no day of the calendar",),
    ),
    "C4-text-as-resource": (
        changed("cpus: 2", 'cpus: "2"'),
        "tiny.yaml:11:jobs.resources.cpus",
        ("whole number",),
    ),
    "C4-true-as-resource": (
        changed("cpus: 2", "cpus: true"),
        "tiny.yaml:11:jobs.resources.cpus",
        ("whole number",),
    ),
    "C5-inf": (changed(COOLDOWN, "pages_per_model_month: .inf"), "tiny.yaml:9:26", ("finite",)),
    "C5-nan": (changed(COOLDOWN, "pages_per_model_month: .nan"), "tiny.yaml:9:26", ("finite",)),
    "C6-zero": (
        changed(COOLDOWN, "measures: {perplexity: {tolerance: 0}}"),
        "tiny.yaml:9:policy.measures.perplexity.tolerance",
        ("must be > 0 and <= 1e+06",),
    ),
    "C6-negative": (
        changed(COOLDOWN, "measures: {perplexity: {tolerance: -0.1}}"),
        "tiny.yaml:9:policy.measures.perplexity.tolerance",
        ("-0.1: must be > 0",),
    ),
    "C6-per-cent": (
        changed(COOLDOWN, "measures: {perplexity: {tolerance: 15}}"),
        "tiny.yaml:9:policy.measures.perplexity.tolerance",
        ("share, not per cent", "write 0.15?"),
    ),
    "C6-per-cent-of-a-share": (
        changed(COOLDOWN, "measures: {error_rate: {tolerance: 2}}"),
        "tiny.yaml:9:policy.measures.error_rate.tolerance",
        ("write 0.02?",),
    ),
    "C6-coverage-above-1": (
        changed(COOLDOWN, f"{COOLDOWN}\ntrust: {{min_coverage: 90}}"),
        "tiny.yaml:10:trust.min_coverage",
        ("must be > 0 and < 1",),
    ),
    "C6-margin-of-0": (
        changed(COOLDOWN, f"{COOLDOWN}\ngate: {{quality_margin: 0.0}}"),
        "tiny.yaml:10:gate.quality_margin",
        ("must be > 0 and < 1",),
    ),
    "C7-alias-bomb": (
        MODEL + "a: &a [1,1,1,1,1,1,1,1,1]\n"
        "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
        "tiny.yaml:16:11",
        ("10000 values",),
    ),
    "C8-nested-brackets": (MODEL + "a: " + "[" * 3000, "tiny.yaml:12:35", ("nested",)),
    "C9-python-object": (
        changed(NAME, "name: !!python/object/apply:os.system [id]"),
        "tiny.yaml:1:7",
        ("tags are not read",),
    ),
    "C10-too-large": (MODEL + "#" * 10_000_000, "tiny.yaml:1:1", ("larger than 262144",)),
    "C14-outside": (
        changed(PATH, "${LOGS}/../../etc"),
        "tiny.yaml:4:sources[0].path",
        ("leads out of its folder",),
    ),
    "C14-file-scheme": (changed(PATH, "file:///etc"), "tiny.yaml:4:sources[0].path", ("scheme",)),
    "C14-metadata-service": (
        changed(PATH, "http://169.254.169.254/latest"),
        "tiny.yaml:4:sources[0].path",
        ("names a scheme that is not read",),
    ),
    "C1-unknown-kind": (
        changed("kind: request_log", "kind: promehteus"),
        "tiny.yaml:3:sources[0].kind",
        ("promehteus", "did you mean prometheus?"),
    ),
    "C1-no-kind": (
        changed("- kind: request_log\n    path:", "- path:"),
        "tiny.yaml:3:sources[0].kind",
        ("is missing", "add kind: to sources[0]"),
    ),
    "C1-key-of-another-kind": (
        changed("    path:", "    url: http://127.0.0.1:9090\n    path:"),
        "tiny.yaml:4:sources[0].url",
        ("unknown key", "allowed: connection, kind, max_decompressed_bytes"),
    ),
    "C14-bucket-without-a-name": (
        changed(PATH, "s3:///logs"),
        "tiny.yaml:4:sources[0].path",
        ("no bucket",),
    ),
    "C14-prometheus-on-the-metadata-address": (
        changed(f"kind: request_log\n    path: {PATH}", "kind: prometheus\n    url: http://169.254.169.254"),
        "tiny.yaml:4:sources[0].url",
        ("link-local address",),
    ),
    "C14-prometheus-on-a-host-that-is-not-allowed": (
        changed(f"kind: request_log\n    path: {PATH}", "kind: prometheus\n    url: https://prom.example"),
        "tiny.yaml:4:sources[0].url",
        ("prom.example is not an allowed host", "UPKEEP_ALLOWED_HOSTS"),
    ),
    "C14-file-as-a-url": (
        changed(f"kind: request_log\n    path: {PATH}", "kind: prometheus\n    url: file:///etc/passwd"),
        "tiny.yaml:4:sources[0].url",
        ("http(s)",),
    ),
    "C15-credentials-in-a-url": (
        changed(f"kind: request_log\n    path: {PATH}", "kind: prometheus\n    url: https://me:pw@127.0.0.1"),
        "tiny.yaml:4:sources[0].url",
        ("(hidden)",),
    ),
    "C4-region-that-is-none": (
        changed(
            f"kind: request_log\n    path: {PATH}",
            "kind: cloudwatch\n    region: Frankfurt\n    dimensions: {EndpointName: a}",
        ),
        "tiny.yaml:4:sources[0].region",
        ("must be of the form",),
    ),
    "C1-prometheus-that-asks-for-nothing": (
        changed(
            f"kind: request_log\n    path: {PATH}",
            "kind: prometheus\n    url: http://127.0.0.1:9090",
        ),
        "tiny.yaml:3:sources[0]",
        ("asks for nothing", "add queries: [vllm]"),
    ),
    "C1-source-named-twice": (
        changed(
            f"  - kind: request_log\n    path: {PATH}\n",
            f"  - kind: request_log\n    path: {PATH}\n" * 2,
        ),
        "tiny.yaml:5:sources[1]",
        ("named twice", "remove one of them"),
    ),
    "C6-machines-without-a-price": (
        changed("usd_per_hour: 1.20}", "usd_per_1k_tokens_in: 1.0, machines: 2}"),
        "tiny.yaml:7:prices[1]",
        ("has machines and no price of them", "add usd_per_hour:"),
    ),
    "C6-price-of-nothing": (
        changed(", usd_per_hour: 1.20}", "}"),
        "tiny.yaml:7:prices[1]",
        ("prices nothing",),
    ),
    "C14-relative": (changed(PATH, "logs/tiny"), "tiny.yaml:4:sources[0].path", ("absolute",)),
    "C14-home": (changed(PATH, "~/logs"), "tiny.yaml:4:sources[0].path", ("absolute",)),
    "C15-secret-by-key": (
        changed("kind: request_log", "kind: request_log\n    password: hunter2"),
        "tiny.yaml:4:sources[0].password",
        ("(hidden)", "use an Airflow connection"),
    ),
    "C15-secret-by-value": (
        changed(NAME, f"{NAME}\ndescription: key AKIA0123456789ABCDEF"),
        "tiny.yaml:2:description",
        ("(hidden)", "use an Airflow connection"),
    ),
    "C15-secret-in-url": (
        changed(PATH, "https://user:hunter2@logs.example.org/x"),
        "tiny.yaml:4:sources[0].path",
        ("(hidden)",),
    ),
    "C16-variable-unset": (
        changed("${LOGS}", "${LOGZ}"),
        "tiny.yaml:4:sources[0].path",
        ("${LOGZ} is not set", "set LOGZ in the environment"),
    ),
    "C16-no-braces": (changed("${LOGS}", "$LOGS"), "tiny.yaml:4:sources[0].path", ("${NAME}",)),
    "C18-unknown-objective": (
        changed(COOLDOWN, "objectives: {latency_p99_ms: {max: 5.0}}"),
        "tiny.yaml:9:policy.objectives.latency_p99_ms",
        ("not a measure of this model", "did you mean latency_p95_ms"),
    ),
    "C18-unknown-measure": (
        changed(COOLDOWN, "measures: {fid: {direction: neither, tolerance: 1.0}}"),
        "tiny.yaml:9:policy.measures.fid",
        ("not a measure of this model", "cost_usd_per_1k"),
    ),
    "C18-measure-not-computed": (
        changed(COOLDOWN, "measures: {bleu: {direction: higher_is_better, tolerance: 0.1}}"),
        "tiny.yaml:9:policy.measures.bleu",
        ("quality.measures does not compute it",),
    ),
    "C18-slice-of-a-traffic-measure": (
        changed(COOLDOWN, "objectives: {'requests[a]': {max: 1.0}}"),
        "tiny.yaml:9:policy.objectives.requests[a]",
        ("not a measure",),
    ),
    "C18-unknown-quality-measure": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{measures: [perplexty]}}"),
        "tiny.yaml:10:quality.measures[0]",
        ("did you mean perplexity?",),
    ),
    "C18-wrong-direction": (
        changed(COOLDOWN, "measures: {perplexity: {direction: higher_is_better}}"),
        "tiny.yaml:9:policy.measures.perplexity.direction",
        ("perplexity is lower_is_better",),
    ),
    "C19-unknown-engine": (
        changed(RESOURCES, f"{RESOURCES}\n  engine: locl"),
        "tiny.yaml:12:jobs.engine",
        ("did you mean local?",),
    ),
    "C20-bits": (
        changed(RESOURCES, f"{RESOURCES}\n  compress: {{method: openvino-int3}}"),
        "tiny.yaml:12:jobs.compress.method",
        ("did you mean openvino-int8 or openvino-int4",),
    ),
    "C20-no-gpus-below-0": (
        changed("cpus: 2", "cpus: 0"),
        "tiny.yaml:11:jobs.resources.cpus",
        ("must be >= 1 and <= 1024",),
    ),
    "C21-inherits": (
        changed(NAME, f"{NAME}\ninherits: tiny"),
        "tiny.yaml:2:inherits",
        ("unknown key",),
    ),
    "C22-schedule": (
        changed(NAME, f"{NAME}\nschedule: 99 99 * * *"),
        "tiny.yaml:2:schedule",
        ("unknown key",),
    ),
    "C23-empty": ("", "tiny.yaml:1:1", ("holds no value",)),
    "C23-comments": ("# later\n", "tiny.yaml:1:1", ("holds no value",)),
    "C23-list": ("- name: tiny\n", "tiny.yaml:1:1", ("not a mapping at the top",)),
    "C23-word": ("tiny\n", "tiny.yaml:1:1", ("not a mapping at the top",)),
    "missing-name": (changed(NAME, ""), "tiny.yaml:2:name", ("missing", "add name: to the file")),
    "missing-sources": (
        changed("sources:\n  - kind: request_log\n    path: ${LOGS}/tiny\n", ""),
        "tiny.yaml:1:sources",
        ("is missing",),
    ),
    "no-sources": (
        changed("sources:\n  - kind: request_log\n    path: ${LOGS}/tiny\n", "sources: []\n"),
        "tiny.yaml:2:sources",
        ("at least 1 item",),
    ),
    "C18-text-measure-of-images": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{modality: image, measures: [bleu]}}"),
        "tiny.yaml:10:quality.measures[0]",
        ("'bleu': is not a measure of images", "allowed: clip_score, fid, image_vendi"),
    ),
    "C18-image-measure-of-texts": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{measures: [fid]}}"),
        "tiny.yaml:10:quality.measures[0]",
        ("'fid': is not a measure of texts", "perplexity"),
    ),
    "image-measure-without-references": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{modality: image, measures: [kid]}}"),
        "tiny.yaml:10:quality.measures[0]",
        ("'kid': needs quality.references", "add references: to quality"),
    ),
    "extractor-that-is-not-there": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{features: '${{LOGS}}/tiny/gone'}}"),
        "tiny.yaml:10:quality.features",
        ("is not there", "correct the path"),
    ),
    "unknown-kind-of-source": (
        changed("kind: request_log", "kind: request_logs"),
        "tiny.yaml:3:sources[0].kind",
        ("did you mean request_log?",),
    ),
    "rule-unknown-cause": (
        rules("{cause: price, action: keep}", "{cause: prize, action: keep}"),
        f"tiny.yaml:{OWN_LINE + 1}:policy.rules[{OWN + 1}].cause",
        ("did you mean price?",),
    ),
    "rule-unknown-action": (
        rules("{cause: price, action: promote}"),
        f"tiny.yaml:{OWN_LINE}:policy.rules[{OWN}].action",
        ("allowed: compress, hold",),
    ),
    "rule-missing-fallback": (
        rules("{cause: price, action: compress, over_objective: cost_usd_per_1k}"),
        "tiny.yaml:9:policy.rules",
        ("'price': has no rule that always fits; an unknown is never a pass",),
    ),
    "rule-never-reached": (
        rules("{cause: price, action: keep}", "{cause: price, action: compress}"),
        f"tiny.yaml:{OWN_LINE + 1}:policy.rules[{OWN + 1}]",
        ("never reached",),
    ),
    "rule-unknown-objective": (
        rules(
            "{cause: price, action: compress, over_objective: cost_usd}",
            "{cause: price, action: keep}",
        ),
        f"tiny.yaml:{OWN_LINE}:policy.rules[{OWN}].over_objective",
        ("not one of policy.objectives", "did you mean cost_usd_per_1k?"),
    ),
    "objective-without-limit": (
        changed(COOLDOWN, "objectives: {requests: {}}"),
        "tiny.yaml:9:policy.objectives.requests",
        ("no limit", "min_ratio_to_baseline"),
    ),
    "objective-that-nothing-meets": (
        changed(COOLDOWN, "objectives: {requests: {min: 10.0, max: 5.0}}"),
        "tiny.yaml:9:policy.objectives.requests",
        ("min is not under max (5)",),
    ),
    "rule-unknown-state": (
        rules("{cause: price, state: worse, action: keep}"),
        f"tiny.yaml:{OWN_LINE}:policy.rules[{OWN}].state",
        ("allowed: drifted, improved, watch",),
    ),
    "rule-with-a-state-is-no-fallback": (
        rules("{cause: price, state: drifted, action: compress}"),
        "tiny.yaml:9:policy.rules",
        ("'price': has no rule that always fits",),
    ),
    "cooldown-of-an-unknown-kind": (
        changed(COOLDOWN, "cooldowns: {rolback: 3}"),
        "tiny.yaml:9:policy.cooldowns.rolback",
        ("did you mean rollback?",),
    ),
    "payback-that-cannot-be-known": (
        changed(COOLDOWN, "payback: {retrain: {max_payback_days: 30.0}}"),
        "tiny.yaml:9:policy.payback.retrain.max_payback_days",
        ("what a degraded request costs is not stated", "usd_per_degraded_request"),
    ),
    "saving-in-per-cent": (
        changed(COOLDOWN, "payback: {compress: {saving: 30.0}}"),
        "tiny.yaml:9:policy.payback.compress.saving",
        ("must be > 0 and < 1",),
    ),
    "prices-not-in-order": (
        changed("since: 2026-03-19", "since: 2025-03-19"),
        "tiny.yaml:7:prices[1].since",
        ("not after the price before it (2026-01-01)",),
    ),
    "prices-same-day": (
        changed("since: 2026-03-19", "since: 2026-01-01"),
        "tiny.yaml:7:prices[1].since",
        ("one a day",),
    ),
    "price-of-0": (
        changed("usd_per_hour: 0.60", "usd_per_hour: 0.0"),
        "tiny.yaml:6:prices[0].usd_per_hour",
        ("must be > 0 and <= 10000",),
    ),
    "min-days-above-days": (
        changed(COOLDOWN, "baseline: {days: 7, min_days: 8}"),
        "tiny.yaml:9:policy.baseline.min_days",
        ("more than days (7)",),
    ),
    "min-samples-above-max": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{max_samples: 10}}"),
        "tiny.yaml:10:quality.min_samples",
        ("more than max_samples (10)",),
    ),
    "measure-twice": (
        changed(COOLDOWN, f"{COOLDOWN}\nquality: {{measures: [perplexity, perplexity]}}"),
        "tiny.yaml:10:quality.measures[1]",
        ("named twice",),
    ),
} | {
    f"C12-name-{case}": (changed(NAME, f"name: {text}"), "tiny.yaml:1:name", ("rename it",))
    for case, text in {
        "dots": "../x",
        "slash": "a/b",
        "empty": '""',
        "300-chars": "a" * 300,
        "emoji": "🙂",
        "newline": '"tiny\\n"',
        "capitals": "Tiny",
        "dash-at-end": "tiny-",
        "windows-device": "con",
        "store-folder": "leases",
    }.items()
} | {
    f"C13-name-{case}": (changed(NAME, f"name: {text}"), "tiny.yaml:1:name", ("rename it",))
    for case, text in {"colon": "a:b", "at": '"a@b"', "space": "a b", "per-cent": "a%2e"}.items()
} | {
    f"rule-{cause}-leads-to-{action}": (
        changed(f"{{cause: {cause}, action: investigate}}", f"{{cause: {cause}, action: {action}}}",
                rules("{cause: price, action: keep}")),
        f"tiny.yaml:{10 + CAUSES.index(cause)}:policy.rules[{CAUSES.index(cause)}].action",
        (f"'{action}': {cause} cannot lead to {action}",),
    )
    for cause, action in (
        ("data_breakage", "retrain"),
        ("data_breakage", "keep"),
        ("learning", "rollback"),
        ("no_traffic", "compress"),
        ("unknown", "keep"),
    )
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_with_file_line_field_value_rule_and_fix(case: str, write: Write) -> None:
    """The file is refused in one line that names the place and what to do; nothing is loaded."""
    text, where, words = REFUSED[case]
    fleet = load(write(tiny=text))
    assert dict(fleet.models) == {}
    error = fleet.errors["tiny.yaml"]
    assert error.where == f"fleet/{where}"
    for word in words:
        assert word in str(error)
    assert "\n" not in str(error)
    assert "hunter2" not in str(error)
    assert error.fix


def test_the_example_fleet_loads() -> None:
    """The files that we ship are right."""
    fleet = load_fleet(FLEET, {"UPKEEP_LOGS": "/nowhere"})
    assert list(fleet.models) == ["docs-assistant"]
    assert fleet.problems == ()


def test_a_model_is_laid_over_the_defaults(write: Write) -> None:
    """Mappings merge key by key, the model's file wins, other values are replaced."""
    spec = load(write(tiny=MODEL), strict=True).models["tiny"]
    assert spec.policy.cooldown_days == 2
    assert spec.policy.version == "2026-11"
    assert spec.policy.measures["perplexity"].tolerance == 0.15
    assert spec.jobs.engine == "local"
    assert spec.jobs.resources.cpus == 2


def test_null_takes_a_default_away(write: Write) -> None:
    """A model without perplexity says so."""
    own = "measures: {perplexity: null}\nquality: {measures: [bleu]}"
    fleet = load(write(tiny=changed(COOLDOWN, own)), strict=True)
    assert "perplexity" not in fleet.models["tiny"].policy.measures
    assert "requests" in fleet.models["tiny"].policy.measures


def test_limits_that_touch_are_allowed(write: Write) -> None:
    """As many days as the baseline has may be asked for."""
    own = f"baseline: {{days: 7, min_days: 7}}\n  {COOLDOWN}"
    assert load(write(tiny=changed(COOLDOWN, own)), strict=True).models


def test_measures_by_slice_are_known(write: Write) -> None:
    """Shares of slices and quality by slice may have objectives."""
    own = "objectives: {'perplexity[code]': {max: 50.0}, 'share[code]': {max: 0.5}}"
    assert load(write(tiny=changed(COOLDOWN, own)), strict=True).models


def test_an_error_that_stands_in_the_defaults_is_shown_there_once(write: Write) -> None:
    """The message leads to the line to mend, not to the files that inherit it."""
    defaults = changed("cooldown_days: 3", "cooldown_days: -3", DEFAULTS_TEXT)
    line = defaults[: defaults.index("cooldown_days")].count("\n") + 1
    model = changed("  cooldown_days: 2\n", "  max_jobs_per_day: 1\n")
    fleet = load(write(defaults=defaults, one=model, two=changed(NAME, "name: two", model)))
    assert [p.where for p in fleet.problems] == [f"fleet/defaults.yaml:{line}:policy.cooldown_days"]
    assert sorted(fleet.errors) == ["one.yaml", "two.yaml"]


def test_c11_two_models_of_one_name_are_both_refused(write: Write) -> None:
    """Each message names the line of the other; a third model is not touched."""
    same = "# a comment\n" + changed(NAME, "name: TINY")
    fleet = load(write(a=MODEL, b=same, c=changed(NAME, "name: other")))
    assert list(fleet.models) == ["other"]
    assert "another model has this name (fleet/b.yaml:2)" in str(fleet.errors["a.yaml"])
    problems = "\n".join(map(str, fleet.problems))
    assert "fleet/b.yaml:2:name: 'TINY': another model has this name (fleet/a.yaml:1)" in problems


def test_c14_a_link_out_of_the_root_is_refused(write: Write, tmp_path: Path) -> None:
    """Links are followed before a path is compared with the root that the deployment allows."""
    folder = write(tiny=MODEL)
    (tmp_path / "logs" / "tiny").symlink_to("/etc")
    assert "lies outside" in str(load(folder).errors["tiny.yaml"])


def test_c14_a_loop_of_links_is_refused(write: Write, tmp_path: Path) -> None:
    """A link that leads to itself is named."""
    folder = write(tiny=MODEL)
    (tmp_path / "logs" / "tiny").symlink_to("tiny")
    assert "loop of symbolic links" in str(load(folder).errors["tiny.yaml"])


def test_c14_an_absolute_folder_must_lie_inside_upkeep_logs(write: Write, tmp_path: Path) -> None:
    """Where UPKEEP_LOGS is set, it is the root of every absolute path."""
    folder = write(tiny=changed(PATH, f"{tmp_path}/elsewhere"))
    environ = {"UPKEEP_LOGS": str(tmp_path / "logs")}
    assert "lies outside" in str(load_fleet(folder, environ, strict=False).errors["tiny.yaml"])
    assert load_fleet(folder, {"UPKEEP_LOGS": str(tmp_path)}).models


def test_c15_a_secret_in_the_defaults_refuses_every_model(write: Write) -> None:
    """It is named once, at its line, and not shown."""
    fleet = load(write(defaults=DEFAULTS_TEXT + "api_key: hunter2\n", tiny=MODEL))
    assert dict(fleet.models) == {}
    assert "api_key: '(hidden)': secrets never stand" in str(fleet.errors[DEFAULTS])


# ---------------------------------------------------------------- the fleet's budget


def test_the_fleet_has_a_budget_of_its_own(write: Write) -> None:
    """budget.yaml is no model; null does not limit."""
    fleet = load(
        write(tiny=MODEL, budget="jobs_per_day: 3\ngpu_hours_per_day: null\n"), strict=True
    )
    assert list(fleet.models) == ["tiny"]
    assert fleet.budget == Budget(jobs_per_day=3)


def test_a_fleet_without_a_budget_has_no_limits(write: Write) -> None:
    """Nobody declared one: as before there were budgets."""
    assert load(write(tiny=MODEL), strict=True).budget == Budget()


def test_the_shipped_budget_is_limited() -> None:
    """What is shipped limits jobs and GPU-hours."""
    budget = load_fleet(FLEET, {"UPKEEP_LOGS": "/logs"}).budget
    assert budget is not None
    assert None not in (budget.jobs_per_day, budget.gpu_hours_per_day)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("jobs_per_dy: 3", "budget.yaml:1:jobs_per_dy", "did you mean jobs_per_day"),
        ("jobs_per_day: -1", "budget.yaml:1:jobs_per_day", "must be >= 0"),
        ("jobs_per_day: 1.5", "budget.yaml:1:jobs_per_day", "whole number"),
        ("gpu_hours_per_day: .nan", "budget.yaml:1:20", "not a finite number"),
        ('gpu_hours_per_day: "6"', "budget.yaml:1:gpu_hours_per_day", "without quotes"),
        ("- 3", "budget.yaml:1:1", "is not a mapping"),
    ],
)
def test_a_budget_that_is_refused_is_no_budget_without_limits(
    write: Write, text: str, where: str, words: str
) -> None:
    """It says where; the models can be worked on, and nothing can be granted."""
    folder = write(tiny=MODEL, budget=f"{text}\n")
    fleet = load(folder)
    assert fleet.budget is None
    assert list(fleet.models) == ["tiny"]
    assert fleet.errors["budget.yaml"].where == f"fleet/{where}"
    assert words in str(fleet.errors["budget.yaml"])
    with pytest.raises(ConfigError, match=where.partition(":")[0]):
        load(folder, strict=True)


@pytest.mark.parametrize("name", ["fleet", "budget"])
def test_no_model_is_called_as_the_fleets_own_files(write: Write, name: str) -> None:
    """``fleet`` is a folder of the store, ``budget`` a file beside the models."""
    fleet = load(write(tiny=changed(NAME, f"name: {name}")))
    assert "is a reserved name" in str(fleet.errors["tiny.yaml"])


@pytest.mark.parametrize("text", ["pad_token: x", "max_tokens: 5", "tokens_per_s: 1", "monkey: 1"])
def test_c15_words_that_only_look_like_secrets_are_not(write: Write, text: str) -> None:
    """Settings of models speak of tokens all the time."""
    own = f"{RESOURCES}\n  retrain: {{params: {{{text}}}}}"
    assert load(write(tiny=changed(RESOURCES, own)), strict=True).models


def test_c16_an_empty_variable_is_not_set(write: Write) -> None:
    """An empty variable would turn the path into one from the root of the disk."""
    fleet = load_fleet(write(tiny=MODEL), {"LOGS": ""}, strict=False)
    assert "${LOGS} is not set" in str(fleet.errors["tiny.yaml"])


def test_c17_a_folder_of_logs_that_is_not_there_yet_is_allowed(write: Write) -> None:
    """Missing data is that day's business (hold), not the configuration's."""
    assert load(write(tiny=MODEL), strict=True).models


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "trust:\n\tmin: 1\n"])
def test_c23_defaults_that_cannot_be_read_refuse_every_model(write: Write, text: str) -> None:
    """No model is taken for a smaller one because the defaults are gone."""
    fleet = load(write(defaults=text, tiny=MODEL))
    assert dict(fleet.models) == {}
    assert sorted(fleet.errors) == ["defaults.yaml", "tiny.yaml"]
    assert "mend defaults.yaml" in str(fleet.errors["tiny.yaml"])


def test_c24_a_fleet_of_no_models_is_a_fleet(write: Write) -> None:
    """An empty folder, with or without defaults, loads."""
    folder = write()
    assert dict(load(folder, strict=True).models) == {}
    (folder / DEFAULTS).unlink()
    assert load(folder, strict=True) == Fleet(models={})


def test_a_folder_that_is_not_there_is_an_error_and_not_a_fleet_of_none(tmp_path: Path) -> None:
    """A wrong UPKEEP_FLEET must not look like an empty fleet."""
    for strict in (True, False):
        with pytest.raises(ConfigError, match="set UPKEEP_FLEET"):
            load_fleet(tmp_path / "nowhere", {}, strict=strict)


def test_c25_the_work_of_a_fleet_grows_with_its_models_only(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is read once and the defaults once, however many models there are."""
    names = [f"m{n:03d}" for n in range(200)]
    folder = write(**{n: changed(NAME, f"name: {n}") for n in names})
    reads: list[str] = []

    def counted(path: Path, file: str) -> yaml_strict.Node:
        reads.append(path.name)
        return yaml_strict.read_yaml(path, file)

    monkeypatch.setattr("upkeep.config.read_yaml", counted)
    assert list(load(folder, strict=True).models) == names
    assert sorted(reads) == sorted([DEFAULTS, *(f"{n}.yaml" for n in names)])


def test_c26_a_specification_has_a_name_of_its_content(write: Write) -> None:
    """The snapshot's hash changes with any value, and with nothing else."""
    folder = write(tiny=MODEL)
    first = load(folder).models["tiny"]
    (folder / "tiny.yaml").write_text("# only a comment\n" + MODEL)
    assert load(folder).models["tiny"].digest() == first.digest()
    (folder / "tiny.yaml").write_text(changed(COOLDOWN, "cooldown_days: 3"))
    assert load(folder).models["tiny"].digest() != first.digest()
    assert ModelSpec.model_validate_json(first.model_dump_json()) == first


def test_one_bad_file_stops_no_other(write: Write) -> None:
    """Without strict, the others load; with it, the first problem raises and notes the rest."""
    bad = changed(COOLDOWN, "cooldown_days: -1")
    folder = write(bad=bad, worse="a:\n\tb", good=changed(NAME, "name: good"))
    (folder / "tiny.yml").write_text(changed(NAME, "name: yml"))
    fleet = load(folder)
    assert list(fleet.models) == ["good", "yml"]
    assert sorted(fleet.errors) == ["bad.yaml", "worse.yaml"]
    with pytest.raises(ConfigError, match=r"bad.yaml:9:policy.cooldown_days") as caught:
        load(folder, strict=True)
    assert [n for n in caught.value.__notes__ if "worse.yaml:2:1" in n]


def test_every_problem_of_a_file_is_reported(write: Write) -> None:
    """One look at the messages is enough to mend a file."""
    text = changed("usd_per_hour: 0.60", "usd_per_hour: -1.0", changed(COOLDOWN, "cooldwn: 1"))
    fleet = load(write(tiny=text))
    assert [p.where.rpartition(":")[2] for p in fleet.problems] == [
        "prices[0].usd_per_hour",
        "policy.cooldwn",
    ]


def test_hidden_and_other_files_are_not_models(write: Write) -> None:
    """Editors and mounts leave files behind that nobody meant as models."""
    folder = write(tiny=MODEL)
    for name in (".tiny.yaml", "README.md", "tiny.yaml~"):
        (folder / name).write_text("a:\n\tb")
    assert load(folder, strict=True).models


def test_linked_files_are_models(write: Write, tmp_path: Path) -> None:
    """Kubernetes mounts every file of a ConfigMap as a link."""
    folder = write()
    (tmp_path / "elsewhere.yaml").write_text(MODEL)
    (folder / "tiny.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert load(folder, strict=True).models


def test_the_known_measures_are_those_of_the_days() -> None:
    """What an objective may name is what every day has, and what its quality measures give."""
    assert {*config_rules.OPERATIONAL, measures.SHARE} == set(measures.OPERATIONAL)
    every = {*measures.of_modality("text"), *measures.of_modality("image")}
    assert every == set(get_args(measures.MeasureName))
    assert set(config_rules.NEEDS) == set(measures.OF_IMAGES)


def test_every_cause_that_never_starts_a_job_is_refused_one() -> None:
    """The file's check and the decision's own limit name the same causes."""
    assert set(config_rules.CAUSES_WITHOUT_JOB) == job_limits.JOBLESS
