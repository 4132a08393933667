"""Boards as Grafana reads them, made with Grafana's own builders."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from scripts.boards.panel import Board, Kind, Panel, Unit

_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT = 8
_STAT_HEIGHT = 4
_TAG = "cadencia"
#: What a variable's values are read from.
_VARIABLES = {
    "campaign": "label_values(cadencia_campaign_state, campaign)",
    "instance": "label_values(cadencia_node_info, instance)",
}


def text_of(board: Board) -> str:
    """The JSON document, the same for the same board."""
    return json.dumps(_dashboard(board), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(board: Board) -> model.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"cadencia-{board.name}")
        .description(board.says)
        .tags([_TAG])
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Cadencia").type(model.DashboardLinkType.DASHBOARDS).tags([_TAG]).as_dropdown(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name in board.by:
        built = built.with_variable(
            dashboard.QueryVariable(name)
            .label(name.capitalize())
            .query(_VARIABLES[name])
            .datasource(_SOURCE)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    for title, panels in board.rows:
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(_panel(panel))
    return built.build()


def _panel(panel: Panel) -> Any:
    built: Any
    match panel.kind:
        case Kind.STAT:
            built = (
                stat.Panel()
                .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
                .color_mode(models.BigValueColorMode.VALUE if panel.red is not None else models.BigValueColorMode.NONE)
                .graph_mode(models.BigValueGraphMode.AREA)
                .thresholds(_thresholds(panel))
            )
        case Kind.TABLE:
            built = table.Panel()
        case Kind.HEATMAP:
            built = (
                heatmap.Panel()
                .calculate(False)
                .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
            )
        case Kind.LINES | Kind.STACK:
            built = (
                timeseries.Panel()
                .line_width(1)
                .show_points(models.VisibilityMode.NEVER)
                .legend(
                    common.VizLegendOptions()
                    .show_legend(True)
                    .display_mode(models.LegendDisplayMode.LIST)
                    .placement(models.LegendPlacement.BOTTOM)
                )
                .tooltip(
                    common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING)
                )
            )
            if panel.kind is Kind.STACK:
                built = built.fill_opacity(35).stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
            if panel.unit is not Unit.MOMENT:
                built = built.axis_soft_min(0)
    built = (
        built.title(panel.title)
        .description(panel.says)
        .datasource(_SOURCE)
        .span(panel.width)
        .height(_STAT_HEIGHT if panel.kind is Kind.STAT else _HEIGHT)
    )
    if panel.kind is not Kind.HEATMAP:
        built = built.unit(panel.unit.value)
    for place, query in enumerate(panel.queries):
        built = built.with_target(_target(panel, query.expr, query.legend, "ABCDEFGH"[place]))
    return built


def _target(panel: Panel, expr: str, legend: str, ref: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(expr).ref_id(ref).datasource(_SOURCE)
    if legend:
        target = target.legend_format(legend)
    if panel.kind is Kind.TABLE:
        return target.instant().format(PromQueryFormat.TABLE)
    if panel.kind is Kind.HEATMAP:
        return target.range().format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    return target.range()


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if panel.red is not None:
        first, then = ("red", "green") if panel.good_above else ("green", "red")
        steps = [model.Threshold(value=None, color=first), model.Threshold(value=panel.red, color=then)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
