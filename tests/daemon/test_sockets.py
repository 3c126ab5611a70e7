"""Listening sockets."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vaglio.daemon.sockets import Access, Listener, SocketError, activated, close_all, open_listeners, split_inet


@contextmanager
def listening(*addresses: str, access: Access | None = None) -> Iterator[list[Listener]]:
    opened = open_listeners(addresses, access or Access())
    try:
        yield opened
    finally:
        close_all(opened)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def abandoned(path: Path) -> None:
    """Leave a socket behind as a killed daemon does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def test_a_tcp_socket_listens_and_says_which_port_it_got() -> None:
    with listening("inet:127.0.0.1:0") as (one,):
        port = one.sock.getsockname()[1]
        assert one.address == f"inet:127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            one.sock.accept()[0].close()


def test_an_ipv6_socket_is_not_an_ipv4_one_too() -> None:
    try:
        with listening("inet:[::1]:0") as (one,):
            assert one.address == f"inet:[::1]:{one.sock.getsockname()[1]}"
            assert one.sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    except SocketError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_a_host_name_is_looked_up() -> None:
    with listening("inet:localhost:0") as opened:
        assert all(one.address.startswith(("inet:127.0.0.1:", "inet:[::1]:")) for one in opened)


@pytest.mark.parametrize("rest", ["", "10023", ":10023", "host:", "host:smtp", "host"])
def test_what_is_no_host_and_port_is_an_error(rest: str) -> None:
    with pytest.raises(ValueError, match="wanted inet:host:port"):
        split_inet(rest)


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with listening("inet:127.0.0.1:0") as (one,), pytest.raises(SocketError) as caught:
        open_listeners([one.address], Access())
    assert str(caught.value) == f"can't listen on {one.address}: Address already in use"


def test_all_or_none_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with pytest.raises(SocketError):
        open_listeners([f"unix:{path}", f"unix:{tmp_path}/missing/b.sock"], Access())
    assert not path.exists()


def test_a_unix_socket_has_its_mode_and_owner_and_goes_away_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    me = pwd.getpwuid(os.getuid())
    with listening(f"unix:{path}", access=Access(0o604, me.pw_name, str(me.pw_gid))) as (one,):
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o604
        assert (status.st_uid, status.st_gid) == (me.pw_uid, me.pw_gid)
        assert one.address == f"unix:{path}"
        assert connects(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("owner", "group", "what"), [("nobody-here", "", "user"), ("", "nobody-here", "group")])
def test_an_unknown_owner_is_an_error_and_leaves_nothing(tmp_path: Path, owner: str, group: str, what: str) -> None:
    with pytest.raises(SocketError, match=f"there is no {what} 'nobody-here'"):
        open_listeners([f"unix:{tmp_path}/x.sock"], Access(0o660, owner, group))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_a_dead_daemon_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    abandoned(path)
    with listening(f"unix:{path}"):
        assert connects(path)


def test_a_path_where_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listening(f"unix:{path}"):
        with pytest.raises(SocketError, match="another process listens there"):
            open_listeners([f"unix:{path}"], Access())
        assert connects(path)


def test_a_full_queue_counts_as_somebody_who_answers(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(path))
        busy.listen(0)
        client.connect(str(path))
        with pytest.raises(SocketError, match="another process listens there"):
            open_listeners([f"unix:{path}"], Access())


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_is_no_socket_is_never_removed(tmp_path: Path, make: object) -> None:
    path = tmp_path / "x.sock"
    assert callable(make)
    make(path)
    with pytest.raises(SocketError, match="no socket; it was left alone"):
        open_listeners([f"unix:{path}"], Access())
    assert path.exists()


def test_a_path_that_somebody_else_took_is_not_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listening(f"unix:{path}"):
        path.unlink()
        abandoned(path)
    assert path.exists()


def test_a_path_that_is_too_long_is_a_clear_error() -> None:
    with pytest.raises(SocketError, match="longer than the 107 bytes"):
        open_listeners([f"unix:/tmp/{'x' * 103}"], Access())


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SocketError) as caught:
        open_listeners([f"unix:{tmp_path}/vaglio/x.sock"], Access())
    assert str(caught.value) == (
        f"can't listen on unix:{tmp_path}/vaglio/x.sock: {tmp_path}/vaglio is not there: the unit makes it; "
        "without one, mkdir"
    )


def test_who_replaces_leaves_the_paths_alone_until_it_takes_its_place(tmp_path: Path) -> None:
    paths = [tmp_path / "x.sock", tmp_path / "y.sock"]
    names = [f"unix:{path}" for path in paths]
    with listening(*names) as old:
        before = [path.lstat().st_ino for path in paths]
        new = open_listeners(names, Access(0o604), replace=True)
        assert [path.lstat().st_ino for path in paths] == before
        for one in new:
            one.take_place()
        assert sorted(tmp_path.iterdir()) == paths
        assert [one.inode for one in new] == [(path.stat().st_dev, path.stat().st_ino) for path in paths]
        assert stat.S_IMODE(paths[0].stat().st_mode) == 0o604
        close_all(old)
        assert all(map(connects, paths))
        close_all(new)
        assert list(tmp_path.iterdir()) == []


def test_who_gives_up_before_it_takes_its_place_leaves_nothing_and_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listening(f"unix:{path}"):
        close_all(open_listeners([f"unix:{path}"], Access(), replace=True))
        assert connects(path)
        assert list(tmp_path.iterdir()) == [path]


def test_a_port_can_not_be_replaced(tmp_path: Path) -> None:
    with listening("inet:127.0.0.1:0", f"unix:{tmp_path}/x.sock") as (one, other):
        with pytest.raises(SocketError, match="--replace takes the place of UNIX sockets only"):
            open_listeners([other.address, one.address], Access(), replace=True)
        assert connects(tmp_path / "x.sock")


def test_nothing_is_taken_over_that_systemd_meant_for_another_process() -> None:
    assert activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert activated({"LISTEN_PID": str(os.getpid())}) == []
    assert activated({}) == []
