"""The configuration as a whole: which daemons it has."""

from __future__ import annotations

from vaglio.config.model import VaglioConfig


def test_daemons_have_the_dotted_names_of_their_sections_in_the_order_of_the_file() -> None:
    config = VaglioConfig()
    names = [name for name, _ in config.daemons()]
    assert names[0] == "greylist"
    assert names.index("spf") < names.index("dkim.verify") < names.index("chain.inbound")
    assert dict(config.daemons())["dkim.verify"] is config.dkim.verify


def test_each_daemon_has_a_metrics_port_of_its_own() -> None:
    config = VaglioConfig.model_validate({"metrics": {"listen": "inet:127.0.0.1:9187"}})
    ports = [config.metrics_of(name) for name, _ in config.daemons()]
    assert len(set(ports)) == len(ports)
