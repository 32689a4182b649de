# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of a door: who serves which name, and everything that is wrong with it at once."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import configuration, files, maps, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import KEY, STATED, Json

ENGINE, NEXT = "sk-engine-0123456789", "sk-engine-9876543210"


def instance(name: str = "a", **more: t.Any) -> Json:
    return {"name": name, "model": "org/m", "port": 8000, **more}


def host(*instances: Json, name: str = "gpu-1", here: bool = True, address: str = "10.0.0.1") -> plan.Host:
    return plan.Host(name, here, address, instances)


def planned(*hosts: plan.Host, **stated: t.Any) -> tuple[configuration.Door, list[str]]:
    errors: list[str] = []
    door = plan.door({**STATED, "left_out": [], **stated}, hosts, errors)
    return door, errors


def good(*hosts: plan.Host, **stated: t.Any) -> configuration.Door:
    door, errors = planned(*hosts, **stated)
    assert errors == []
    return door


def test_replicas_are_those_with_one_name_on_any_host() -> None:
    elsewhere = host(instance("b", bind="10.0.0.2"), instance(served_model_name="a", port=8001, bind="0.0.0.0"),
                     name="gpu-2", here=False, address="gpu-2.example.com")  # fmt: skip
    door = good(host(instance()), elsewhere)
    assert {name: backend.names for backend in door.backends for name in [one.server for one in backend.endpoints]} == {
        "gpu-1:a": ("a",), "gpu-2:a": ("a",), "gpu-2:b": ("b",),
    }  # fmt: skip
    assert [(one.address, one.port) for one in door.backends[0].endpoints] == [
        ("127.0.0.1", 8000),
        ("gpu-2.example.com", 8001),
    ]


def test_names_and_adapters_of_the_same_instances_have_one_backend() -> None:
    door = good(host(instance(served_model_name=["org/m", "m"], engine_args={"lora_modules": ["sql=/srv/sql"]})))
    assert [backend.names for backend in door.backends] == [("m", "org/m", "sql")]
    assert maps.all_of(door)["names"] == dict.fromkeys(("m", "org/m", "sql"), door.backends[0].id)


def test_an_instance_that_is_not_active_keeps_its_server() -> None:
    door = good(
        host(instance(), instance("b", served_model_name="a", port=8001, active=False)),
        host(instance(bind="10.0.0.2"), name="gpu-2", here=False),
        left_out=["gpu-2"],
    )
    lines = [line for line in configuration.text(door).splitlines() if " check inter " in line]
    assert [(line.split()[1], line.endswith(" disabled")) for line in lines] == [
        ("gpu-1:a", False), ("gpu-1:b", True), ("gpu-2:a", True),
    ]  # fmt: skip


def test_all_members_of_an_exclusive_group_are_checked() -> None:
    """Or a switch on a host would need another configuration of the door."""
    group = {"exclusive_group": "g"}
    door = good(host(instance(**group), instance("b", port=8001, active=False, **group)))
    assert [one.active for backend in door.backends for one in backend.endpoints] == [True, True]
    assert " disabled" not in configuration.text(door)


def test_the_configuration_has_no_key_and_the_host_has_digests_of_those_of_clients() -> None:
    door = good(host(instance(api_key=ENGINE)))
    written = "".join(files.of_host(door).values())
    found = maps.all_of(door)
    assert KEY not in written and ENGINE not in written and KEY not in repr(found)
    assert list(found["keys"].values()) == ["web"]
    assert found["engines"] == {door.backends[0].id: ENGINE}
    assert KEY not in repr(door) and ENGINE not in repr(door)


def test_replicas_are_sent_the_first_key_that_all_of_them_take() -> None:
    door = good(
        host(instance(api_key=[ENGINE, NEXT])), host(instance(bind="10.0.0.2", api_key=NEXT), name="gpu-2", here=False)
    )
    assert maps.all_of(door)["engines"] == {door.backends[0].id: NEXT}


def test_a_host_learns_which_servers_its_own_instances_are() -> None:
    door = good(host(instance()), host(instance(bind="10.0.0.2"), name="gpu-2", here=False))
    assert files.instances(door).split() == f'{{ "a": [ [ "{door.backends[0].id}", "gpu-1:a" ] ] }}'.split()


def test_without_keys_tokenize_is_closed_and_the_loopback_is_all() -> None:
    text = configuration.text(good(host(instance()), api_keys=[]))
    assert "/tokenize" not in text and "http_auth_bearer" not in text
    assert "/tokenize" in configuration.text(good(host(instance())))


def test_a_path_more_is_open_and_asks_for_a_key() -> None:
    text = configuration.text(good(host(instance()), more_paths=["/v1/rerank"]))
    assert re.search(r"acl asks path -m str .* /v1/rerank\n", text)


@pytest.mark.parametrize(
    ("hosts", "stated", "told"),
    [
        ([], {}, r"Nothing is behind the door"),
        (
            [host(instance(), instance("b", model="org/other", served_model_name="a", port=8001))],
            {},
            r"The served name a stands for different models: org/m \(instance a of gpu-1\) and org/other",
        ),
        ([host(instance(revision="a" * 40), instance("b", served_model_name="a", port=8001))], {}, "different models"),
        ([host(instance(active=False))], {}, r"Nobody serves a: instance a of gpu-1 is not active"),
        ([host(instance())], {"left_out": ["gpu-1"]}, r"Nobody serves a"),
        ([host(instance())], {"left_out": ["gpu-9"]}, r"vllm_gateway_left_out has 'gpu-9'"),
        ([host(instance(), name="gpu-2", here=False)], {}, r"listens on 127\.0\.0\.1, which this door on another host"),
        ([host(instance(bind="0.0.0.0"), here=False, address="no address")], {}, r"its address is 'no address'"),
        ([host(instance(port=8080))], {}, r"instance a of gpu-1 has the port 8080, as vllm_gateway_port has"),
        ([host(instance(served_model_name="a b"))], {}, r"the served name 'a b' cannot go through the door"),
        ([host(instance(served_model_name="#a"))], {}, r"cannot go through the door"),
        ([host(instance(engine_args={"ssl_certfile": "/x"}))], {}, r"its engine speaks TLS itself"),
        ([host(instance(), name="gpu 1")], {}, r"The host 'gpu 1' cannot be named to HAProxy"),
        (
            [host(instance(api_key=ENGINE), instance("b", served_model_name="a", port=8001, api_key=NEXT))],
            {},
            r"have no api_key in common",
        ),
        (
            [host(instance(api_key=ENGINE), instance("b", served_model_name="a", port=8001))],
            {},
            r"have no api_key in common",
        ),
        ([host({"name": "a"})], {}, r"gpu-1: instance a: model is missing"),
        ([host(instance())], {"bind": "0.0.0.0", "api_keys": []}, r"everybody who reaches it could ask"),
        ([host(instance())], {"bind": "localhost"}, r"vllm_gateway_bind is 'localhost'"),
        ([host(instance())], {"check_interval": 0}, r"check_interval is 0: write a whole number from 1 to 3600"),
        ([host(instance())], {"metrics_port": 8080}, r"are both 8080"),
        ([host(instance())], {"certificate": "cert.pem"}, r"write the absolute path of a PEM file"),
        *(
            ([host(instance())], {"certificate": path}, r"where the door's unit sees no files")
            for path in ("/root/a.pem", "/home/me/a.pem", "/tmp/a.pem", "/var/tmp/a.pem", "/run/user/0/a.pem",
                         "//root/a.pem", "/etc/../root/a.pem", "/root")
        ),
        ([host(instance())], {"prefix_header": "X Y"}, r"write the name of a header"),
        ([host(instance())], {"more_paths": ["/sleep"]}, r"'/sleep', which the door does not open"),
        ([host(instance())], {"more_paths": ["/metrics"]}, r"'/metrics', which the door does not open"),
        ([host(instance())], {"api_keys": ["x"]}, r"entry 1 is of type text"),
        ([host(instance())], {"api_keys": [{"name": "Web", "key": KEY}]}, r"write a name of small letters"),
        ([host(instance())], {"api_keys": [{"name": "web", "key": "short"}]}, r"entry 1 \(web\): its key is missing"),
        ([host(instance())], {"api_keys": [{"name": "web"}]}, r"its key is missing"),
        ([host(instance())], {"api_keys": [{"name": "web", "key": KEY, "rpm": 1}]}, r"entry 1 has something else"),
        (
            [host(instance())],
            {"api_keys": [{"name": "web", "key": KEY}, {"name": "cli", "key": KEY}]},
            r"entry 2 \(cli\): it has a key of web",
        ),
        (
            [host(instance())],
            {"api_keys": [{"name": "web", "key": KEY}, {"name": "web", "key": NEXT}]},
            r"the name web is there twice",
        ),
        (
            [host(instance())],
            {"api_keys": [{"name": "web", "key": KEY, "requests_per_minute": -1}]},
            r"entry 1 \(web\): requests_per_minute is not right \(it is not shown\)",
        ),
        (
            [host(instance(), instance("b", served_model_name="a"))],
            {},
            r"gpu-1: Instances a and b both have port 8000",
        ),
        ([host(instance())], {"bind": "fe80::1%eth0"}, r"vllm_gateway_bind is 'fe80::1%eth0', on which HAProxy cannot"),
        ([host(instance())], {"bind": "ff02::1"}, r"vllm_gateway_bind is 'ff02::1', on which HAProxy cannot"),
        ([host(instance(bind="fe80::1%eth0"))], {}, r"listens on fe80::1%eth0, and HAProxy takes no zone"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(hosts: list[plan.Host], stated: Json, told: str) -> None:
    _door, errors = planned(*hosts, **stated)
    assert len([text for text in errors if re.search(told, text)]) == 1, errors
    assert KEY not in repr(errors) and "short" not in repr(errors)


def test_all_that_is_wrong_is_told_at_once() -> None:
    _door, errors = planned(host(instance(served_model_name="a b")), bind="x", check_interval=0, left_out=["y"])
    assert len(errors) >= 4


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        *((text, "each host reaches itself") for text in (
            "127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "localhost", "LOCALHOST",
            "gpu.localhost", "ip6-localhost",
        )),
        *((text, "neither an address nor the name") for text in (
            "10.0.0.300", "10.0.0", "127.1", "0", "0x7f000001", "2130706433", "a b", "", "gpu_2", "10.0.0.2:8000",
        )),
        ("fe80::1%eth0", "HAProxy takes no zone"),
        ("239.1.1.1", "which is no host's"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_work_is_refused_where_it_is_used(address: str, wrong: str) -> None:
    _door, (error,) = planned(host(instance(bind="0.0.0.0"), name="gpu-2", here=False, address=address))
    assert error.startswith(f"gpu-2: its address is {address!r}, ") and wrong in error
    assert "set vllm_gateway_address" in error
    good(host(instance(bind="10.0.0.2"), name="gpu-2", here=False, address=address))
    good(host(instance(bind="0.0.0.0"), address=address))


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2", "gpu-2.example.com", "gpu-2", "2.gpu", "gpu2"])
def test_an_address_that_may_work_is_taken(address: str) -> None:
    (backend,) = good(host(instance(bind="0.0.0.0"), name="gpu-2", here=False, address=address)).backends
    assert backend.endpoints[0].address == address


@pytest.mark.parametrize("key", ["lora_modules", "lora-modules", "--lora-modules"])
@pytest.mark.parametrize(
    ("stated", "names"),
    [
        (["sql=/srv/sql"], ["sql"]),
        (['{"name": "sql", "path": "/srv/sql"}'], ["sql"]),
        ('{"name": "sql", "path": "/srv/sql"}', ["sql"]),
        ([{"name": "sql", "path": "/srv/sql"}, "py=/srv/py"], ["py", "sql"]),
        # Refused by the plan of its server: no name of it is one of the door's.
        (['{"name": "sql"}', "/srv/py"], []),
    ],
)
def test_an_adapter_is_read_as_its_server_reads_it(key: str, stated: t.Any, names: list[str]) -> None:
    (backend,) = good(host(instance(engine_args={key: stated}))).backends
    assert backend.names == tuple(sorted(["a", *names]))


@pytest.mark.parametrize(
    "entry",
    [
        {"WEBSECRET-0123456789": "web"},
        {"name": "web", "key": KEY, "WEBSECRET-0123456789": "x"},
        {"name": "web", "key": KEY, "requests_per_minute": "WEBSECRET-0123456789"},
        {"name": "web", "key": KEY, "requests_per_minute": 123456789012345678},
        {"name": "WEBSECRET-0123456789", "key": KEY},
        {"name": "web", "key": ["WEBSECRET-0123456789", ""]},
        ["WEBSECRET-0123456789"],
    ],
)
def test_nothing_of_an_entry_is_shown_but_its_known_names(entry: t.Any) -> None:
    _door, errors = planned(host(instance()), api_keys=[entry])
    assert errors and not re.search("WEBSECRET|12345678", repr(errors))


def test_what_leaves_nothing_behind_the_door_is_told_alone() -> None:
    _door, errors = planned(host(instance(prot=1)), left_out=["gpu-1:a"])
    assert len(errors) == 1 and "prot" in errors[0]


def test_a_certificate_may_lie_beside_what_is_hidden() -> None:
    for path in ("/etc/ssl/private/a.pem", "/rootless/a.pem", "/srv/home/a.pem", "/run/a.pem"):
        good(host(instance()), certificate=path)


@pytest.mark.parametrize(
    ("stated", "most"),
    [
        ({"wait_requests": 20, "max_connections": 81}, None),
        ({"wait_requests": 20, "max_connections": 80}, 80),
        ({"wait_requests": 100_000, "max_connections": 1000}, 400_000),
        ({"wait_requests": 100_000, "wait_seconds": 0}, None),
        ({"wait_requests": 0}, None),
    ],
)
def test_as_many_as_may_wait_must_leave_connections_for_others(stated: Json, most: int | None) -> None:
    door = good(host(instance(), instance("b", port=8001)), **stated)
    found = plan.doubts(door)
    assert len(found) == (most is not None)
    assert all(f"set vllm_gateway_max_connections above {most}," in text for text in found)
