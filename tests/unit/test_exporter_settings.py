"""Which VEs are exported and what of them, as people write it."""

from __future__ import annotations

import contextlib
import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.errors import UsageError
from rctl_exporter.settings import COLLECTORS, PROFILES, Rule, Selection, Settings, matches

CORE = frozenset({"identity", "cpu", "memory", "pressure", "io", "pids", "limits"})
FULL = frozenset(COLLECTORS) - {"numa"}


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "name", "expected"),
        [
            ("web1", "web1", True),
            ("web1", "web12", False),
            ("web*", "web12", True),
            ("web?", "web12", False),
            ("web[12]", "web2", True),
            ("web[!12]", "web2", False),
            ("WEB*", "web1", False),
            ("*", "web1", True),
            ("*", "/web1", False),
            ("/*", "web1", False),
            ("/**", "web1", False),
            ("/**", "/a/b/c", True),
            ("/**", "/a", True),
            ("/**", "/", True),
            ("/", "/", True),
            ("/", "/a", False),
            ("/*", "/a", True),
            ("/*", "/", False),
            ("/*", "/a/b", False),
            ("/a*", "/ab/c", False),
            ("/a/*", "/a", False),
            ("/a/**", "/a", True),
            ("/a/**", "/a/b/c", True),
            ("/a/**", "/ab", False),
            ("/a/**/z", "/a/z", True),
            ("/a/**/z", "/a/b/c/z", True),
            ("/a/**/z", "/a/b/c/z/y", False),
            ("/**/*.service", "/system.slice/nginx.service", True),
            ("/**/*.service", "/system.slice/nginx.service/child", False),
            ("/**/a/**", "/x/a/y/a", True),
            ("/a**z", "/abz", True),
            ("/a**z", "/a/z", False),
        ],
    )
    def test_a_name_is_matched_as_a_whole_and_a_path_by_component(
        self, pattern: str, name: str, expected: bool
    ) -> None:
        assert matches(pattern, name) is expected

    @given(st.text("ab*?[]!-", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=6))
    def test_names_are_matched_as_by_a_shell(self, pattern: str, name: str) -> None:
        assert matches(pattern, name) is fnmatch.fnmatchcase(name, pattern)

    @given(st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6), st.text("ab/", max_size=12))
    def test_two_stars_stand_for_any_number_of_components(self, parts: list[str], text: str) -> None:
        path = "/" + "/".join(filter(None, text.split("/")))
        assert matches("/" + "/".join(parts), path) is _slow(parts, [part for part in path.split("/") if part])

    def test_many_stars_take_no_time(self) -> None:
        assert not matches("/" + "**/" * 200 + "x", "/" + "a/" * 200 + "a")
        assert not matches("*a" * 100 + "b", "a" * 1000)


def _slow(parts: list[str], path: list[str]) -> bool:
    if not parts:
        return not path
    if parts[0] == "**":
        return any(_slow(parts[1:], path[number:]) for number in range(len(path) + 1))
    return bool(path) and parts[0] in ("*", path[0]) and _slow(parts[1:], path[1:])


class TestWhich:
    def test_everything_where_nothing_is_said(self) -> None:
        for name in ("web1", "/", "/system.slice", "/a/b/c"):
            assert Settings().matches(name)
            assert Settings.parse().matches(name)

    def test_what_is_included_and_not_excluded(self) -> None:
        settings = Settings.parse(include=["web*", "/system.slice/**"], exclude=["web9", "/**/*.mount"])
        found = [
            name
            for name in (
                "web1",
                "web9",
                "db1",
                "/system.slice",
                "/system.slice/a.service",
                "/system.slice/a.mount",
                "/a",
            )
            if settings.matches(name)
        ]
        assert found == ["web1", "/system.slice", "/system.slice/a.service"]

    @pytest.mark.parametrize("pattern", ["", "a/b", "//", "/a//b", "/a/", "/../a", "/a/./b", "a\0", "x" * 5000])
    def test_what_can_match_nothing_is_refused(self, pattern: str) -> None:
        for flag in ("include", "exclude"):
            with pytest.raises(UsageError, match=f"--{flag} "):
                Settings.parse(**{flag: [pattern]})

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_any_pattern_is_one_or_a_usage_error(self, pattern: str, name: str) -> None:
        with contextlib.suppress(UsageError):
            assert Settings.parse(include=[pattern]).matches(name) in (True, False)


class TestWhat:
    def test_the_core_profile_where_nothing_is_said(self) -> None:
        assert Settings().selection("web1") == Selection("core", CORE)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("core", Selection("core", CORE)),
            ("full", Selection("full", FULL)),
            ("full,numa", Selection("full", FULL | {"numa"})),
            ("full, -hugetlb, -rdma", Selection("full", FULL - {"hugetlb", "rdma"})),
            ("core,memory_stat,-io", Selection("core", CORE - {"io"} | {"memory_stat"})),
            ("cpu,memory", Selection("full", frozenset({"cpu", "memory"}))),
            ("-io", Selection("core", CORE - {"io"})),
        ],
    )
    def test_a_rule(self, words: str, expected: Selection) -> None:
        assert Settings.parse(collect=[words]).selection("web1") == expected

    def test_the_last_rule_that_holds_decides(self) -> None:
        settings = Settings.parse(
            profile="full", collect=["/system.slice/**=core", "web*=cpu", "/system.slice/a=-io", "web9=full"]
        )
        assert settings.selection("db1") == Selection("full", FULL)
        assert settings.selection("web1") == Selection("full", frozenset({"cpu"}))
        assert settings.selection("web9") == Selection("full", FULL)
        assert settings.selection("/system.slice/b") == Selection("core", CORE)
        assert settings.selection("/system.slice/a") == Selection("core", CORE - {"io"})

    def test_a_path_may_hold_an_equals_sign(self) -> None:
        assert Rule.parse("/a=b/**=cpu").pattern == "/a=b/**"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "'' is no profile"),
            ("cpus", "'cpus' is no profile (core, full) and no collector: identity, cpu, memory"),
            ("cpu,,io", "'' is no profile"),
            ("-", "'-' is no profile"),
            ("-full", "'-full' is no profile"),
            ("--io", "'--io' is no profile"),
            ("CPU", "'CPU' is no profile"),
            ("web*=", "'' is no profile"),
            ("=cpu", "--collect '=cpu': not a pattern"),
            ("a/b=cpu", "names hold no slash"),
            ("core,full", "core and full exclude one another"),
            ("cpu,cpu", "cpu given twice"),
            ("cpu,-cpu", "cpu given twice"),
        ],
    )
    def test_words_that_are_none_are_named_with_those_that_are(self, text: str, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            Settings.parse(collect=[text])
        assert words in str(caught.value)

    @given(
        st.one_of(
            st.text(max_size=60),
            st.lists(st.sampled_from([*COLLECTORS, *PROFILES, "-io", "*=", "/a=", ""])).map(",".join),
        )
    )
    def test_any_words_are_a_rule_or_a_usage_error(self, text: str) -> None:
        with contextlib.suppress(UsageError):
            chosen = Settings.parse(collect=[text]).selection("web1")
            assert chosen.collectors <= set(COLLECTORS)
            assert chosen.profile in PROFILES

    def test_other_flags_are_checked(self) -> None:
        with pytest.raises(UsageError, match=r"--profile 'some': no such profile. Use core or full"):
            Settings.parse(profile="some")
        with pytest.raises(UsageError, match="--kept-fds -1: must not be negative"):
            Settings.parse(kept_fds=-1)
        assert Settings.parse(kept_fds=0).kept_fds == 0
