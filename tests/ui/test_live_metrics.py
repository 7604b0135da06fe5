"""The live metrics page: five questions, each answered by a number against the period before."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.metrics import Figures, Point, Quantiles, Report
from coach_core.ui import figures, shared
from tests.ui import fake_admin
from tests.ui.fake_admin import NOON, FakeCoach, draft, open_alone, open_page, shown

HOUR = timedelta(hours=1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        fake.report = report()
        yield fake


def one(scale: int, *, failed: int = 0, cost: int = 0) -> Figures:
    errors = {"timed_out": failed} if failed else {}
    return Figures(
        turns=10 * scale,
        completed=10 * scale - failed,
        failed=failed,
        input_tokens=1000 * scale,
        output_tokens=200 * scale,
        cost=cost,
        up=3,
        down=1,
        first_token=Quantiles(100.0 * scale, 150.0 * scale, 200.0 * scale, 400.0 * scale),
        total=Quantiles(1000.0, 1500.0, 2000.0, 4000.0),
        errors=errors,
    )


def points(*values: Figures) -> tuple[Point, ...]:
    return tuple(Point(NOON + i * HOUR, f) for i, f in enumerate(values))


def report() -> Report:
    total = Figures(
        turns=50, completed=48, failed=2, input_tokens=5000, output_tokens=1000, cost=1_500_000, up=9, down=3,
        first_token=Quantiles(200.0, 300.0, 400.0, 800.0), total=Quantiles(1000.0, 1500.0, 2000.0, 4000.0),
        errors={"timed_out": 2}, active_threads=7,
    )  # fmt: skip
    before = Figures(
        turns=40, completed=40, cost=3_000_000, up=2, down=2, first_token=Quantiles(None, None, 200.0, None)
    )
    return Report(
        since=NOON,
        until=NOON + 2 * HOUR,
        step=HOUR,
        total=total,
        backends={"extractive": one(1), "openai_responses": one(2, failed=2, cost=1_500_000)},
        series={
            "": points(one(3, failed=2), one(2)),
            "extractive": points(one(1), one(1)),
            "openai_responses": points(one(2, failed=2, cost=1_000_000), one(2, cost=500_000)),
        },
        previous=before,
        previous_backends={},
    )


def plots(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def test_five_questions_in_order_each_a_number_against_the_period_before(fake: FakeCoach) -> None:
    at = open_page("live_metrics")
    asked = [s.value for s in at.subheader]
    assert asked[:5] == ["Is it well?", "Is it fast?", "Is it used?", "Is it liked?", "What does it cost?"]
    told = [(m.value.replace("\\", ""), m.delta) for m in at.metric]
    assert told == [
        ("96.0%", "-4.0 points"),
        ("400 ms", "+100 %"),
        ("50", "+25 %"),
        ("75.0%", "+25.0 points"),
        ("$1.50", "-50 %"),
    ]
    assert "7 active threads" in shown(at) and "5,000 tokens in, 1,000 out" in shown(at)
    assert "2 turns of 50 failed" in shown(at) and "9 up, 3 down" in shown(at) and "$0.030 a turn" in shown(at)


def test_citations_that_hold_are_a_share_of_those_checked(fake: FakeCoach) -> None:
    total = replace(fake.report.total, counts={"citations_checked": 1240, "citations_wrong": 31})
    before = replace(fake.report.previous, counts={"citations_checked": 100, "citations_wrong": 5})
    one = replace(next(iter(fake.report.backends.values())), counts=total.counts)
    backends = {**fake.report.backends, next(iter(fake.report.backends)): one}
    fake.report = replace(fake.report, total=total, previous=before, backends=backends)
    at = open_page("live_metrics")
    (metric,) = [m for m in at.metric if m.label == "Citations that hold"]
    assert (metric.value, metric.delta) == ("97.5%", "+2.5 points")
    assert "of 1,240 checked, 31 may go beyond their passage" in shown(at)
    table = at.dataframe[0].value
    assert table["Citations that hold"][0] == 97.5 and table["Citations checked"][0] == 1240


def test_memories_that_were_right_are_a_share_of_those_judged(fake: FakeCoach) -> None:
    assert "Memories that were right" not in [m.label for m in open_page("live_metrics").metric]
    counts = {"memories_recalled": 1500, "memories_judged_right": 45, "memories_judged_wrong": 5}
    before = replace(fake.report.previous, counts={"memories_recalled": 9, "memories_judged_right": 8})
    fake.report = replace(fake.report, total=replace(fake.report.total, counts=counts), previous=before)
    at = open_page("live_metrics")
    (metric,) = [m for m in at.metric if m.label == "Memories that were right"]
    assert (metric.value, metric.delta) == ("90.0%", "-10.0 points")
    assert "of 50 judged; 1,500 came to mind in answers" in shown(at)


def test_a_slower_or_dearer_period_is_not_shown_as_good(fake: FakeCoach) -> None:
    colours = {m.label: m.proto.color for m in open_page("live_metrics").metric}
    assert colours["First word, p95"] == colours["Answers that arrived"], "both got worse"
    assert colours["US dollars"] == colours["Turns"], "both got better"
    assert colours["Turns"] != colours["First word, p95"]


def test_the_table_has_each_backend_with_its_percentiles(fake: FakeCoach) -> None:
    table = open_page("live_metrics").dataframe[0].value
    assert list(table["Backend"]) == ["Quotes from the documents (no model)", "Responses API"]
    assert list(table["First word p95"]) == [0.2, 0.4] and list(table["Whole answer p99"]) == [4.0, 4.0]
    assert list(table["Cost"]) == [0.0, 1.5]


def test_a_colour_means_the_same_backend_in_every_chart_and_range(fake: FakeCoach) -> None:
    def of(at: AppTest, name: str) -> set[str]:
        traces = [t for plot in plots(at) for t in plot["data"] if t["name"].startswith(name)]
        return {t.get("marker", {}).get("color") or t["line"]["color"] for t in traces}

    at = open_page("live_metrics")
    quotes, responses = of(at, "Quotes"), of(at, "Responses API")
    assert len(quotes) == len(responses) == 1 and quotes != responses
    assert (quotes | responses) <= set(shared.colours())
    assert fake.report is not None
    alone = {"openai_responses": fake.report.backends["openai_responses"]}
    fake.report = Report(**{f: getattr(fake.report, f) for f in Report.__dataclass_fields__} | {"backends": alone})
    assert of(open_page("live_metrics"), "Responses API") == responses


def test_a_zoom_holds_for_all_charts_and_stands_in_the_link_until_the_range_changes(fake: FakeCoach) -> None:
    def ranges(at: AppTest) -> set[str]:
        return {str(plot["layout"]["xaxis"].get("range")) for plot in plots(at)}

    at = open_page("live_metrics")
    assert ranges(at) == {"None"}
    at = open_page("live_metrics", zoom="2026-11-20T12:05~2026-11-20T12:30")
    assert ranges(at) == {"['2026-11-20T12:05:00', '2026-11-20T12:30:00']"}
    at.run()
    assert len(ranges(at)) == 1 and "None" not in ranges(at), "a refresh keeps it"
    at.segmented_control(key="range").set_value("7 days").run()
    assert ranges(at) == {"None"} and "zoom" not in at.query_params
    assert ranges(open_page("live_metrics", zoom="nonsense")) == {"None"}


def test_the_view_is_in_the_link_and_asked_of_the_store(fake: FakeCoach) -> None:
    persona = fake.save_persona(fake.owner(), draft("Career coach"))
    open_page("live_metrics", range="30 days", persona_is="Career coach", backend_is="Responses API")
    asked = {"since": timedelta(days=30), "backend": "openai_responses", "persona_id": persona.id}
    assert asked in fake.asked


def test_speed_is_shown_for_the_first_word_and_the_whole_answer(fake: FakeCoach) -> None:
    def top(at: AppTest) -> float:
        lines = [t for plot in plots(at) for t in plot["data"] if t["type"] == "scatter"]
        speeds = [t for t in lines if t["name"] != "span"]
        assert len(speeds) == 6, "three percentiles for each of two backends"
        return max(max(t["y"]) for t in speeds)

    at = open_page("live_metrics")
    assert top(at) == 0.8
    at.segmented_control(key="speed").set_value("Whole answer").run()
    assert top(at) == 4.0


def test_errors_are_charted_by_kind_and_their_absence_is_good_news(fake: FakeCoach) -> None:
    at = open_page("live_metrics")
    assert "timed out" in [t["name"] for t in plots(at)[0]["data"]]
    assert fake.report is not None
    well = Report(**{f: getattr(fake.report, f) for f in Report.__dataclass_fields__} | {"total": one(3)})
    fake.report = well
    assert "No errors in this time" in shown(open_page("live_metrics"))


def test_nothing_to_compare_with_shows_no_change(fake: FakeCoach) -> None:
    assert fake.report is not None
    fake.report = Report(**{f: getattr(fake.report, f) for f in Report.__dataclass_fields__} | {"previous": Figures()})
    assert {m.delta for m in open_page("live_metrics").metric} == {""}


def test_nothing_yet_says_what_to_do(fake: FakeCoach) -> None:
    fake.report = Report(NOON, NOON + HOUR, HOUR, Figures(), {}, {"": ()}, Figures(), {})
    at = open_page("live_metrics")
    assert "Nothing to count yet" in shown(at) and not at.metric


def test_csv_has_every_point_of_every_backend() -> None:
    rows: Sequence[dict[str, str]] = list(csv.DictReader(io.StringIO(figures.as_csv(report()))))
    assert len(rows) == 4 and rows[0]["at"] == "2026-11-20T12:00:00+00:00"
    last = rows[2]
    assert (last["backend"], last["turns"], last["cost_usd"]) == ("openai_responses", "20", "1.0")
    assert (last["first_token_p95_ms"], last["errors"]) == ("400.0", "timed_out=2")


def test_a_backend_that_is_gone_keeps_a_colour_of_its_own() -> None:
    colours = figures.colours_of(["a", "b"], ["b", "gone"], ["1", "2", "3"])
    assert colours == {"a": "1", "b": "2", "gone": "3"}


def test_a_stakeholder_sees_numbers_and_is_offered_no_chat(fake: FakeCoach) -> None:
    fake.save_persona(fake.owner(), draft("Career coach"))
    at = open_alone("live_metrics", fake.users["stakeholder"])
    assert len(at.metric) == 5 and "Career coach" in at.selectbox(key="persona_is").options
    fake.report = Report(NOON, NOON + HOUR, HOUR, Figures(), {}, {"": ()}, Figures(), {})
    assert not open_alone("live_metrics", fake.users["stakeholder"]).get("page_link")


def test_a_client_is_told_that_numbers_are_not_for_them(fake: FakeCoach) -> None:
    at = open_alone("live_metrics", fake.users["client"])
    assert "Your role cannot see the numbers" in at.error[0].value and not at.metric
