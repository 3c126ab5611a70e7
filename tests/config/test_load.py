"""Where the configuration comes from, and what happens when it can't be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.config.describe import defaults
from vaglio.config.load import LARGEST, ConfigError, Loaded, Problem, load
from vaglio.config.model import VaglioConfig

NOWHERE = Path("/nonexistent/vaglio.toml")


def config_file(folder: Path, text: str | bytes, name: str = "vaglio.toml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path: Path | None, environ: dict[str, str] | None = None, default: Path = NOWHERE) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, default)
    return caught.value


def with_delay(folder: Path, name: str, delay: str) -> Path:
    return config_file(folder, f'greylist.delay = "{delay}"', name)


def test_without_any_file_the_defaults_serve() -> None:
    assert load(None, {}, NOWHERE) == Loaded(VaglioConfig())


def test_an_empty_file_is_a_whole_configuration(tmp_path: Path) -> None:
    path = config_file(tmp_path, "")
    assert load(path, {}) == Loaded(VaglioConfig(), path)


def test_the_explicit_file_wins_over_the_environment_and_that_over_the_default(tmp_path: Path) -> None:
    explicit, variable, default = (with_delay(tmp_path, f"{n}.toml", f"{n}m") for n in (1, 2, 3))
    environ = {"VAGLIO_CONFIG": str(variable)}
    assert load(explicit, environ, default).config.greylist.delay == 60
    assert load(None, environ, default).config.greylist.delay == 120
    assert load(None, {}, default).config.greylist.delay == 180
    assert load(None, {"VAGLIO_CONFIG": ""}, default).path == default


@pytest.mark.parametrize("environ", [{}, {"VAGLIO_CONFIG": str(NOWHERE)}], ids=["explicit", "environment"])
def test_a_named_file_that_is_missing_is_an_error(environ: dict[str, str]) -> None:
    error = refused(None if environ else NOWHERE, environ)
    wanted = "a readable file of at most 1 MiB"
    assert error.problems == (Problem(str(NOWHERE), 0, "", "no such file or directory", wanted),)
    assert str(error) == f"{NOWHERE}: found no such file or directory, wanted {wanted}"


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    assert "found is a directory" in str(refused(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_default_file_that_may_not_be_read_is_an_error_not_passed_over(tmp_path: Path) -> None:
    path = config_file(tmp_path, "")
    path.chmod(0)
    assert "permission denied" in str(refused(None, {}, path))


def test_a_link_loop_at_the_default_is_an_error_not_passed_over(tmp_path: Path) -> None:
    loop = tmp_path / "vaglio.toml"
    loop.symlink_to(loop)
    assert "levels of symbolic links" in str(refused(None, {}, loop))


def test_a_file_beyond_the_largest_size_is_not_read_to_its_end(tmp_path: Path) -> None:
    assert load(config_file(tmp_path, b"#" * LARGEST), {}).config == VaglioConfig()
    assert "found a larger file, wanted" in str(refused(config_file(tmp_path, b"#" * (LARGEST + 1))))


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    path = config_file(tmp_path, b'\xef\xbb\xbf[greylist]\r\ndelay = "1m"\r\nx = 1\r\n')
    assert [problem.line for problem in refused(path).problems] == [3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000, "brackets in brackets"),
        ("a = " + "1" * 5000, "a number of thousands of digits"),
        ("a = 0x" + "f" * 5000, ": a: found 0xffff"),
        ("a" + ".a" * 2000 + " = 1", ": a: found {...}, wanted no such key"),
        ("greylist.text" + ".it" * 2000 + " = 1", "greylist.text.it.it: found {...}, "),
        ("a" * 100000 + " = 1", "a...: found 1, wanted no such key"),
    ],
    ids=["deep brackets", "long number", "long hexadecimal", "deep key", "deep known key", "long key"],
)
def test_absurd_files_are_refused_in_one_short_line(tmp_path: Path, text: str, words: str) -> None:
    said = str(refused(config_file(tmp_path, text)))
    assert words in said
    assert len(said) < 300 + len(str(tmp_path))


def test_problems_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = config_file(tmp_path, "[log]\nx = 1\n[greylist]\ny = 1\n[dns]\nz = 1\n[identity]\nhostname = 1\n")
    assert [problem.line for problem in refused(path).problems] == [2, 4, 6, 8]


def test_the_state_directory_of_systemd_replaces_the_default(tmp_path: Path) -> None:
    loaded = load(None, {"STATE_DIRECTORY": "/var/lib/private/vaglio:/var/lib/other"}, NOWHERE)
    assert loaded.config.state.url == "sqlite:///var/lib/private/vaglio"
    assert loaded.config.state.directory == Path("/var/lib/private/vaglio")
    assert loaded.origins == {"state.url": "environment STATE_DIRECTORY"}


def test_the_file_wins_over_the_state_directory_of_systemd(tmp_path: Path) -> None:
    path = config_file(tmp_path, '[state]\nurl = "sqlite:///srv/vaglio"')
    loaded = load(path, {"STATE_DIRECTORY": "/var/lib/vaglio"})
    assert loaded.config.state.url == "sqlite:///srv/vaglio"
    assert loaded.origins == {"state.url": f"{path}:2"}


def test_a_bad_state_directory_is_blamed_on_the_environment() -> None:
    problem = refused(None, {"STATE_DIRECTORY": "vaglio"}).problems[0]
    assert (problem.file, problem.line, problem.key) == ("environment STATE_DIRECTORY", 0, "state.url")


def test_a_bad_state_section_is_reported_beside_a_state_directory(tmp_path: Path) -> None:
    error = refused(config_file(tmp_path, "state = 1"), {"STATE_DIRECTORY": "/var/lib/vaglio"})
    assert [problem.key for problem in error.problems] == ["state"]


def test_origins_name_the_line_of_each_key_that_is_set(tmp_path: Path) -> None:
    path = config_file(
        tmp_path,
        """\
identity = {languages = {"caio.it" = "it"}}
[greylist]
listen = [
  "inet:127.0.0.1:10023",
]
[[greylist.rule]]
clients = []
[[greylist.rule]]
greylist = false
""",
    )
    lines = {key: int(origin.rpartition(":")[2]) for key, origin in load(path, {}).origins.items()}
    assert lines == {
        'identity.languages."caio.it"': 1,
        "greylist.listen": 3,
        "greylist.rule[0].clients": 7,
        "greylist.rule[1].greylist": 9,
    }


def test_daemons_start_without_the_describing_part() -> None:
    code = "import sys, vaglio.config.load; sys.exit('vaglio.config.describe' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


LINES = [*defaults().splitlines(), '[[greylist.rule]]', '[greylist.text.it]', 'delay = "x"', "rule = 1", '"a.b" = {}']


@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 2), st.sampled_from([None, "0", '"a"', "[[]]"]))))
@settings(max_examples=150, deadline=None)
def test_whatever_the_file_says_it_is_valid_or_refused_with_places(
    tmp_path_factory: pytest.TempPathFactory, choices: list[tuple[str, int, str | None]]
) -> None:
    lines = (line[cut:].partition("=")[0] + f"= {value}" if value else line[cut:] for line, cut, value in choices)
    error = verdict(config_file(tmp_path_factory.getbasetemp(), "\n".join(lines), "any.toml"))
    assert all(0 < problem.line <= len(choices) for problem in error.problems)
    assert len(str(error).splitlines()) == len(error.problems)


def verdict(path: Path) -> ConfigError:
    """Return what is wrong with a file; an error without problems if nothing is."""
    try:
        load(path, {})
    except ConfigError as error:
        return error
    return ConfigError([])


def test_keys_that_must_be_there_are_named_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text('[[dkim.sign.keys]]\ndomain = "tizio.it"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [str(one) for one in caught.value.problems] == [
        f"{path}:1: dkim.sign.keys[0]: found a table without selector, file, wanted a table that has these keys"
    ]
