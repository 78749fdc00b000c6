"""Which CPUs a VE gets when it is given a number of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.planning import resolve
from rctl.cgroupfs.tree import Tree
from rctl.controllers.cpuset import pick
from rctl.errors import UsageError
from rctl.limits import decode
from rctl.ranges import Ranges
from tests.unit.fake_kernel import FakeKernel

Nodes = dict[int, tuple[int, ...]]

TWO_NODES: Nodes = {0: (0, 1, 2, 3), 1: (4, 5, 6, 7)}


def numbers(ranges: Ranges) -> set[int]:
    return set(ranges.numbers)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Nodes, dict[int, int], set[int], int]:
    """Nodes with online CPUs, promises to other VEs, CPUs held, and a count that the machine has."""
    online = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=12)))
    home = {cpu: draw(st.integers(0, 3)) for cpu in online}
    nodes = {node: tuple(cpu for cpu in online if home[cpu] == node) for node in range(4)}
    promised = draw(st.dictionaries(st.sampled_from(online), st.integers(0, 3)))
    held = draw(st.sets(st.integers(0, 30), max_size=8))
    return nodes, promised, held, draw(st.integers(1, len(online)))


def on_nodes(nodes: Nodes, cpus: set[int]) -> int:
    return sum(bool(cpus.intersection(members)) for members in nodes.values())


def fewest_nodes(nodes: Nodes, count: int) -> int:
    sizes = sorted((len(members) for members in nodes.values()), reverse=True)
    return next(n for n in range(len(sizes) + 1) if sum(sizes[:n]) >= count)


@given(machines())
def test_as_many_cpus_as_asked_for_and_all_of_them_online(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, held, count = machine
    chosen = pick(count, nodes, promised, held)
    assert len(chosen.numbers) == count
    assert numbers(chosen) <= {cpu for members in nodes.values() for cpu in members}


@given(machines(), st.randoms(use_true_random=False))
def test_the_same_question_has_the_same_answer_in_whatever_order_it_is_put(
    machine: tuple[Nodes, dict[int, int], set[int], int], random: object
) -> None:
    nodes, promised, held, count = machine
    shuffled = dict(sorted(nodes.items(), reverse=True))
    turned = {node: tuple(reversed(members)) for node, members in shuffled.items()}
    assert pick(count, turned, dict(reversed(promised.items())), sorted(held)) == pick(count, nodes, promised, held)


@given(machines())
def test_shrinking_keeps_what_is_held(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, held, _ = machine
    kept = held & {cpu for members in nodes.values() for cpu in members}
    for fewer in range(1, len(kept) + 1):
        assert numbers(pick(fewer, nodes, promised, held)) <= kept


@given(machines())
def test_growing_keeps_what_is_held(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, held, count = machine
    kept = held & {cpu for members in nodes.values() for cpu in members}
    if len(kept) <= count:
        assert kept <= numbers(pick(count, nodes, promised, held))


@given(machines())
def test_asking_again_for_what_is_held_changes_nothing(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, held, count = machine
    chosen = pick(count, nodes, promised, held)
    assert pick(count, nodes, promised, chosen.numbers) == chosen


@given(machines())
def test_a_new_ve_lies_on_as_few_nodes_as_can_be(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, _, count = machine
    assert on_nodes(nodes, numbers(pick(count, nodes, promised))) == fewest_nodes(nodes, count)


@given(machines())
def test_on_the_node_that_it_chose_a_new_ve_has_the_least_promised_cpus(
    machine: tuple[Nodes, dict[int, int], set[int], int],
) -> None:
    nodes, promised, _, count = machine
    chosen = numbers(pick(count, nodes, promised))
    for members in nodes.values():
        here, rest = chosen & set(members), set(members) - chosen
        if here and rest:
            assert max(promised.get(cpu, 0) for cpu in here) <= min(promised.get(cpu, 0) for cpu in rest)


@given(machines())
def test_no_single_node_would_have_promised_less(machine: tuple[Nodes, dict[int, int], set[int], int]) -> None:
    nodes, promised, _, count = machine
    cost = sum(promised.get(cpu, 0) for cpu in pick(count, nodes, promised).numbers)
    for members in nodes.values():
        assert all(cost <= sum(promised.get(cpu, 0) for cpu in others) for others in combinations(members, count))


def test_equal_choices_go_to_the_lowest_number() -> None:
    assert str(pick(2, TWO_NODES, {})) == "0-1"


def test_the_node_with_less_promised_comes_first() -> None:
    assert str(pick(2, TWO_NODES, {0: 1, 1: 1, 2: 1})) == "4-5"


def test_a_node_that_fits_comes_before_an_idle_one_that_does_not() -> None:
    assert str(pick(3, {0: (0, 1), 1: (2, 3, 4)}, {2: 5, 3: 5, 4: 5})) == "2-4"


def test_shrinking_leaves_the_node_where_the_ve_has_least() -> None:
    assert str(pick(2, TWO_NODES, {}, held=[3, 6, 7])) == "6-7"


def test_growing_stays_on_the_node_that_the_ve_is_on() -> None:
    assert str(pick(3, TWO_NODES, {6: 9, 7: 9}, held=[5])) == "4-6"


def test_a_held_cpu_that_went_offline_is_replaced() -> None:
    assert str(pick(2, {0: (0, 1, 2)}, {}, held=[2, 3])) == "0,2"


def test_more_cpus_than_are_online_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vcpus: 9 asked for, and this host has 8 CPUs online\. Ask for fewer"):
        pick(9, TWO_NODES, {})


# What the parent has


@dataclass
class Bench:
    """A machine of eight CPUs on which `/shop` and `/shop/web1` are; what `vcpus` would become there."""

    kernel: FakeKernel
    tree: Tree

    def expanded(self, count: int | str, path: str = "/shop/web1") -> tuple[str, str]:
        """The list and the cap."""
        host = self.kernel.host
        with self.tree.open_ve(path) as ve:
            limits = resolve.vcpus(decode({"vcpus": count}, host), ve, host, resolve.Promises(self.tree))
        return str(limits.cpuset.cpus), str(limits.cpu.max)


@pytest.fixture
def bench() -> Iterator[Bench]:
    kernel = FakeKernel(cpus=8)
    kernel.make("/shop/web1")
    kernel.put("/shop", "cpuset.cpus", "4-7")
    with kernel.installed() as tree:
        yield Bench(kernel, tree)


def test_only_cpus_that_the_parent_has_are_chosen(bench: Bench) -> None:
    assert bench.expanded(2) == ("4-5", "2")


def test_max_is_no_list_so_that_cpus_that_come_back_later_are_had(bench: Bench) -> None:
    assert bench.expanded("max") == ("", "max")


def test_more_than_the_parent_has_are_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"^vcpus: 5 asked for, and the parent of /shop/web1 has 4-7: 4 CPUs online"):
        bench.expanded(5)


def test_a_held_cpu_that_the_parent_has_no_more_is_replaced(bench: Bench) -> None:
    bench.kernel.put("/shop/web1", "cpuset.cpus", "3-4")
    assert bench.expanded(2) == ("4-5", "2")


def test_a_parent_without_a_cpuset_has_what_is_above_it(bench: Bench) -> None:
    bench.kernel.make("/shop/web1/a/b", enable=False)
    assert bench.expanded(2, "/shop/web1/a/b") == ("4-5", "2")


def test_directly_below_the_root_cpus_of_others_partitions_are_left_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = bench.kernel.text
    in_effect = {"/": "0-5", "/shop": "0-5"}
    monkeypatch.setattr(
        bench.kernel, "text", lambda node, file: in_effect[node.path] if file == resolve.EFFECTIVE else text(node, file)
    )
    bench.kernel.put("/shop", "cpuset.cpus", "")
    assert bench.expanded(6, "/shop") == ("0-5", "6")
    in_effect["/shop"] = "6-7"
    bench.kernel.put("/shop", "cpuset.cpus", "6-7")
    assert bench.expanded(2, "/shop") == ("6-7", "2"), "its own partition's stay"


def test_a_ve_that_is_yet_to_be_made_gets_what_its_parent_has(bench: Bench) -> None:
    host = bench.kernel.host
    limits = resolve.vcpus_of_new(decode({"vcpus": 1}, host), "/shop/new", host, resolve.Promises(bench.tree))
    assert str(limits.cpuset.cpus) == "4"
    limits = resolve.vcpus_of_new(decode({"vcpus": 1}, host), "/none/new", host, resolve.Promises(bench.tree))
    assert str(limits.cpuset.cpus) == "0"
