"""`bentod config` and `bentod schema`."""

import json

import pytest
import yaml

from bentod.cli.main import main
from bentod.shipped import shipped
from tests.support.specs import BASE, laid_over, write

SECRETS = {
    "env": {"API_KEY": "${S}", "DB_PASSWORD": "x", "PLAIN": "${S}"},
    "services": {"s": {"target": "hello:Model", "init": {"token": "${S}", "nested": {"secret": 1}}}},
    "apis": {"token": {"service": "s", "method": "run"}, "greet": {"method": "run"}},
}


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S", "value")
    write(tmp_path, {"bentofile.yaml": json.dumps(laid_over(BASE, SECRETS), indent=1)})

    def run(*words):
        assert main(["config", *words]) == 0
        return capsys.readouterr().out

    return run


def test_config_prints_the_spec_in_full(printed):
    data = yaml.safe_load(printed())
    assert (data["name"], data["version"], data["env"]["PLAIN"]) == ("app", "0.0.0", "value")
    assert data["services"]["s"]["start_timeout"] == "60s"
    assert data["apis"]["greet"]["route"] == "/greet"
    assert data["server"]["max_body"] == "16MiB"


def test_secrets_are_masked_by_their_names(printed):
    data = json.loads(printed("--format", "json"))
    assert data["env"] == {"API_KEY": "********", "DB_PASSWORD": "********", "PLAIN": "value"}
    assert data["services"]["s"]["init"] == {"token": "********", "nested": {"secret": "********"}}
    assert data["apis"]["token"]["service"] == "s"
    assert json.loads(printed("--format", "json", "--show-secrets"))["env"]["API_KEY"] == "value"


def test_origins_are_files_and_defaults(printed):
    lines = printed("--origin").splitlines()
    assert 'env.PLAIN: "value"  # bentofile.yaml:28:3' in lines
    assert 'version: "0.0.0"  # default' in lines
    both = json.loads(printed("--origin", "--format", "json"))
    assert both["origin"]["server.docs"] == "default"
    assert both["spec"]["name"] == "app"


def test_a_bad_spec_is_told_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"bentofile.yaml": "bentod: 2"})
    assert main(["config"]) == 2
    assert "bentofile.yaml:1:9: bentod: expected 1, found 2" in capsys.readouterr().err


def test_schema_prints_the_published_schema(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == shipped("schemas/bentofile.schema.json").read_text("utf-8")
