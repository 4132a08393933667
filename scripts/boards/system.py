"""The nodes and what they stand on."""

from __future__ import annotations

from scripts.boards.panel import AT, Board, Kind, Panel, Unit, one, several

BOARD = Board(
    name="system",
    title="Cadencia / System",
    says="Processes, queues, workers and deliveries.",
    by=("instance",),
    rows=(
        (
            "Nodes",
            (
                Panel(
                    title="Up, and free to dial",
                    says="1 where the node answers, and where its gate is open.",
                    queries=several(
                        up=f'min by (instance) (up{{job="cadencia", {AT}}})',
                        gate_open=f"min by (instance) (cadencia_gate_open{{{AT}}})",
                    ),
                ),
                Panel(
                    title="Up since",
                    says="When each process began.",
                    queries=one(f"cadencia_process_start_time_seconds{{{AT}}} * 1000", "{{instance}}"),
                    unit=Unit.MOMENT,
                    kind=Kind.STAT,
                ),
                Panel(
                    title="Event loop lag",
                    says="How late the loop wakes up; 99 of 100 times less. Above 20 ms calls are answered late.",
                    queries=one(f"instance:cadencia_event_loop_lag_seconds:p99_5m{{{AT}}}", "{{instance}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="CPU",
                    says="Cores that the process uses. A node uses one at most.",
                    queries=one(f"instance:cadencia_process_cpu:rate5m{{{AT}}}", "{{instance}}"),
                ),
                Panel(
                    title="Memory",
                    says="In RAM.",
                    queries=one(f"cadencia_process_resident_memory_bytes{{{AT}}}", "{{instance}}"),
                    unit=Unit.BYTES,
                ),
                Panel(
                    title="Files and connections",
                    says="Share of those that the process may have open.",
                    queries=one(
                        f"cadencia_process_open_fds{{{AT}}} / cadencia_process_max_fds{{{AT}}}", "{{instance}}"
                    ),
                    unit=Unit.RATIO,
                ),
            ),
        ),
        (
            "Several nodes",
            (
                Panel(
                    title="Other nodes",
                    says="That live, as each node sees it; unseen: what goes on there is not known to it.",
                    queries=one(f"cadencia_neighbours{{{AT}}}", "{{instance}} {{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Handed on to other nodes",
                    says="Requests a second, by what came of it. All but the answered ones are told to whoever asked.",
                    queries=one(
                        f"sum by (outcome) (rate(cadencia_requests_handed_on_total{{{AT}}}[5m]))", "{{outcome}}"
                    ),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Answer of other nodes",
                    says="From handing a request on until its answer begins; 95 of 100 times less.",
                    queries=one(
                        "histogram_quantile(0.95, sum by (le, instance) "
                        f"(rate(cadencia_handed_on_answer_seconds_bucket{{{AT}}}[5m])))",
                        "{{instance}}",
                    ),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Taken from other nodes",
                    says="Requests a second that say that they were handed on. Refused ones come from no node of ours.",
                    queries=one(f"sum by (outcome) (rate(cadencia_requests_taken_total{{{AT}}}[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
            ),
        ),
        (
            "Queues and the record",
            (
                Panel(
                    title="Queues of the nodes",
                    says="What waits in each bounded queue, the longest of all nodes.",
                    queries=one(
                        f'max by (queue) (label_replace({{__name__=~"cadencia_.+_queue_depth", {AT}}}, '
                        '"queue", "$1", "__name__", "cadencia_(.+)_queue_depth"))',
                        "{{queue}}",
                    ),
                ),
                Panel(
                    title="Database is behind",
                    says="For how long what happens cannot be written.",
                    queries=one(f"cadencia_record_behind_seconds{{{AT}}}", "{{instance}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Rows of the pacing journal given up",
                    says="Within an hour: the database was away for too long.",
                    queries=one(f"increase(cadencia_pacing_journal_dropped_rows_total{{{AT}}}[1h])", "{{instance}}"),
                ),
                Panel(
                    title="Steps of traces",
                    says="A second: sent to the collector, or lost, since too many waited or it did not take them.",
                    queries=(
                        *one(f"sum by (outcome) (rate(cadencia_trace_spans_total{{{AT}}}[5m]))", "{{outcome}}"),
                        *one(
                            f"max by (outcome) (rate(cadencia_worker_trace_spans_total{{{AT}}}[5m]))",
                            "{{outcome}} (workers)",
                        ),
                    ),
                    unit=Unit.PER_SECOND,
                ),
            ),
        ),
        (
            "Recordings",
            (
                Panel(
                    title="Begun",
                    says="Recordings a second, by whether they began.",
                    queries=one(f"sum by (outcome) (rate(cadencia_recordings_total{{{AT}}}[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="To be moved",
                    says="Over, and not in the store yet; those that could not be moved so far are among them.",
                    queries=several(
                        waiting=f"max(cadencia_recordings_waiting{{{AT}}})",
                        put_off=f"max(cadencia_recordings_put_off{{{AT}}})",
                    ),
                ),
                Panel(
                    title="Waits to be moved",
                    says="The first of these. It lies in Asterisk's folder, in the clear.",
                    queries=one(f"max(cadencia_recordings_wait_seconds{{{AT}}})", "oldest"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Moved",
                    says="Recordings a second, by what became of them.",
                    queries=one(
                        f"max by (outcome) (rate(cadencia_recordings_settled_total{{{AT}}}[5m]))", "{{outcome}}"
                    ),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Sound kept",
                    says="Within an hour.",
                    queries=one(f"max(increase(cadencia_recordings_stored_bytes_total{{{AT}}}[1h]))", "stored"),
                    unit=Unit.BYTES,
                ),
            ),
        ),
        (
            "Workers and deliveries",
            (
                Panel(
                    title="Workers",
                    says="Signed in with Redis.",
                    queries=one(f"max(cadencia_workers{{{AT}}})", "workers"),
                ),
                Panel(
                    title="Jobs",
                    says="By state; failed ones are kept for a while, then forgotten.",
                    queries=one(f"max by (state) (cadencia_worker_jobs{{{AT}}})", "{{state}}"),
                ),
                Panel(
                    title="Webhooks",
                    says="Deliveries a second, by outcome.",
                    queries=one(
                        f"max by (outcome) (rate(cadencia_webhook_deliveries_total{{{AT}}}[5m]))", "{{outcome}}"
                    ),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="CRMs",
                    says="Failures in a row, by campaign.",
                    queries=one(f"max by (campaign) (cadencia_crm_failures_in_a_row{{{AT}}})", "{{campaign}}"),
                ),
                Panel(
                    title="Updates for CRMs",
                    says="A second, by what became of them.",
                    queries=one(f"max by (outcome) (rate(cadencia_crm_updates_total{{{AT}}}[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Events that made no sense",
                    says="A second, by event: what met a state that it does not fit. A few are races, many trouble.",
                    queries=one(
                        f"sum by (reason) (rate(cadencia_events_ignored_total{{{AT}}}[5m])) or vector(0)", "{{reason}}"
                    ),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                ),
            ),
        ),
    ),
)
