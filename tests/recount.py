"""What the views and tables of web_logs must be, counted again by DuckDB from the input records.

Records are lines of JSON, one per record, with `_partition` and `_offset` before the event's own members:
`lines_of_files` and `lines_of_topic` write them, each by means of its own. `check_live` holds the live views of a
running pipeline against the recount; `check_lake` the tables of a stopped one, where the archive must hold each
record once, value by value, and every view's table must be the view.

A record may be late: then the archive says which watermark it came after, and a window counts it only if it ended
after that. The recount takes this mark from the archive, and nothing else.

Percentiles are compared with the exact value at the nearest rank: 0.4 % is the stated error. Floats otherwise
agree to one part in a billion.
"""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

READERS = Path(__file__).resolve().parent / "readers"
sys.path.insert(0, str(READERS))
from replay import connect, create_view, replay  # noqa: E402

FLOAT_ERROR = 1e-9
PERCENTILE_ERROR = 0.004
# As dataflows/web_logs has them.
SPIKE_REQUESTS, ERROR_RATE, SLOW_MS, MINIMUM_REQUESTS = 1500, 0.2, 2000, 30

FIELDS = {
    "timestamp": "VARCHAR",
    "ip": "VARCHAR",
    "method": "VARCHAR",
    "endpoint": "VARCHAR",
    "status_code": "INTEGER",
    "response_time": "DOUBLE",
    "user_agent": "VARCHAR",
    "user_id": "VARCHAR",
    "session_id": "VARCHAR",
    "bytes_sent": "BIGINT",
    "referer": "VARCHAR",
    "request_size": "BIGINT",
    "query_params": "VARCHAR",
}


# --- the input ----------------------------------------------------------------------


def lines_of_files(folder, target):
    """Lines of partition files; an offset is where in its file a line begins. Returns how many are records."""
    count = 0
    with open(target, "wb") as out:
        for path in sorted(folder.glob("events-*.jsonl")):
            partition, offset = int(path.stem.rpartition("-")[2]), 0
            with open(path, "rb") as lines:
                for line in lines:
                    if line.startswith((b'{"timestamp": "2', b'{"timestamp":"2')):
                        write_line(out, partition, offset, line.rstrip(b"\n"))
                        count += 1
                    offset += len(line)
    return count


def lines_of_topic(bootstrap, topic, target):
    """Every committed record of a topic, by a client that is not ours. Returns how many there are."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": "recount",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    unread, count = set(partitions), 0
    with open(target, "wb") as out:
        while unread:
            for message in consumer.consume(10_000, timeout=1):
                if message.error() is None:
                    write_line(out, message.partition(), message.offset(), message.value())
                    count += 1
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise AssertionError(message.error())
    consumer.close()
    return count


def write_line(out, partition, offset, event):
    assert event.startswith(b"{"), event[:80]
    out.write(b'{"_partition":%d,"_offset":%d,%s\n' % (partition, offset, event[1:]))


def load(connection, lines):
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in {"_partition": "INTEGER", "_offset": "BIGINT", **FIELDS}.items())
    connection.execute(
        f"CREATE TABLE records AS SELECT * REPLACE (CAST(timestamp AS TIMESTAMPTZ) AS timestamp)"
        f" FROM read_json('{lines}', format = 'newline_delimited', columns = {{{columns}}})"
    )


# --- the recount --------------------------------------------------------------------


def enrich(connection, late):
    """`logs`: the records with what the dataflow adds to them; `late` is a relation of partition, offset and watermark."""
    connection.execute(
        f"""
        CREATE TABLE logs AS
        SELECT records.*, late.watermark AS late_watermark,
               date_trunc('minute', timestamp) AS minute, date_trunc('hour', timestamp) AS hour,
               status_code >= 400 AS is_error, status_code >= 500 AS is_critical_error,
               coalesce(status_code >= 500 OR response_time > 1000, false) AS is_anomaly,
               CASE WHEN status_code >= 500 THEN 'ERROR' WHEN status_code >= 400 THEN 'WARN' ELSE 'INFO' END AS level,
               CASE WHEN regexp_matches(ip, '^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)') THEN 'internal'
                    ELSE 'external' END AS ip_class,
               CASE WHEN status_code >= 500 THEN 0.9 WHEN response_time > 2000 THEN 0.8 WHEN response_time > 1000 THEN 0.6
                    WHEN status_code >= 400 THEN 0.5 WHEN response_time > 500 THEN 0.3 ELSE 0.1 END AS anomaly_score,
               CASE WHEN status_code >= 500 THEN 'CRITICAL_ERROR' WHEN response_time > 2000 THEN 'VERY_SLOW_RESPONSE'
                    WHEN response_time > 1000 THEN 'SLOW_RESPONSE' WHEN status_code >= 400 THEN 'ERROR'
                    WHEN response_time > 500 THEN 'MEDIUM_RESPONSE' ELSE 'NORMAL' END AS anomaly_type
        FROM records LEFT JOIN ({late}) late USING (_partition, _offset)
        """
    )


def in_time(window_start, size):
    return f"(late_watermark IS NULL OR late_watermark < {window_start} + INTERVAL {size})"


def percentile(rank):
    """The exact value at the nearest rank."""
    return (
        "list_sort(list(response_time))"
        f"[greatest(1, CAST(ceil(CAST({rank} AS DOUBLE) * count(response_time)) AS BIGINT))]"
    )


BY_CLASS = f"""
    SELECT minute AS window_start, minute + INTERVAL 1 MINUTE AS window_end, endpoint, ip_class,
           count(*) AS request_count, avg(response_time) AS avg_response_time,
           count(*) FILTER (is_error) AS error_count, count(DISTINCT ip) AS unique_ips,
           count(*) FILTER (is_error) / count(*) AS error_rate
    FROM logs WHERE {in_time("minute", "1 MINUTE")} GROUP BY ALL"""

# View: the columns that tell its rows apart, and its rows.
EXPECTED = {
    "traffic_1m": (
        ["window_start", "endpoint"],
        f"""
        SELECT minute AS window_start, endpoint, count(*) AS requests, count(*) FILTER (is_error) AS errors,
               count(*) FILTER (is_critical_error) AS server_errors, avg(response_time) AS response_time_mean,
               {percentile(0.5)} AS response_time_p50, {percentile(0.95)} AS response_time_p95,
               {percentile(0.99)} AS response_time_p99
        FROM logs WHERE {in_time("minute", "1 MINUTE")} GROUP BY minute, endpoint""",
    ),
    "traffic_by_class_1m": (["window_start", "endpoint", "ip_class"], BY_CLASS),
    "status_1m": (
        ["window_start", "status_class"],
        f"""
        SELECT minute AS window_start, status_code // 100 AS status_class, count(*) AS requests
        FROM logs WHERE {in_time("minute", "1 MINUTE")} GROUP BY ALL""",
    ),
    "hourly": (
        ["window_start"],
        f"""
        SELECT hour AS window_start, count(*) AS requests, count(*) FILTER (is_error) AS errors,
               avg(response_time) AS response_time_mean, max(response_time) AS response_time_max,
               stddev_samp(response_time) AS response_time_stddev,
               count(DISTINCT user_id) AS users, count(DISTINCT session_id) AS sessions
        FROM logs WHERE {in_time("hour", "1 HOUR")} GROUP BY ALL""",
    ),
    "endpoints": (
        ["endpoint"],
        f"""
        SELECT endpoint, count(*) AS requests, count(*) FILTER (is_error) AS errors,
               avg(response_time) AS response_time_mean, {percentile(0.95)} AS response_time_p95,
               max(response_time) AS response_time_max
        FROM logs GROUP BY endpoint""",
    ),
    # There are fewer endpoints than ten, so that who comes last cannot be a matter of taste.
    "top_endpoints": (
        ["endpoint"],
        f"""
        SELECT endpoint, count(*) AS requests, count(*) FILTER (is_error) AS errors,
               avg(response_time) AS response_time_mean, {percentile(0.95)} AS response_time_p95
        FROM logs GROUP BY endpoint ORDER BY requests DESC LIMIT 10""",
    ),
    "totals": (
        [],
        """
        SELECT count(*) AS requests, count(*) FILTER (is_error) AS errors,
               count(*) FILTER (is_critical_error) AS server_errors,
               min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp
        FROM logs""",
    ),
    "anomalies": (
        ["window_start", "endpoint", "ip_class", "anomaly_type"],
        f"""
        WITH by_class AS ({BY_CLASS}),
             judged AS (SELECT *, request_count > {SPIKE_REQUESTS} AS is_traffic_spike,
                               error_rate > {ERROR_RATE} + 3 * sqrt({ERROR_RATE} * (1 - {ERROR_RATE}) / request_count)
                                 AND request_count >= {MINIMUM_REQUESTS} AS is_high_error_rate,
                               coalesce(avg_response_time > {SLOW_MS}, false) AND request_count >= {MINIMUM_REQUESTS} AS is_slow_response
                        FROM by_class),
             ruled AS (SELECT window_start, window_end, endpoint, ip_class, request_count AS records, request_count, avg_response_time, error_count,
                              unique_ips, error_rate, is_traffic_spike, is_high_error_rate, is_slow_response FROM judged)
        SELECT *, 'TRAFFIC_SPIKE' AS anomaly_type, 0.8 AS score, request_count AS observed, {SPIKE_REQUESTS} AS threshold, 1 AS priority
        FROM ruled WHERE is_traffic_spike
        UNION ALL
        SELECT *, 'HIGH_ERROR_RATE', 0.7, error_rate, {ERROR_RATE}, 2 FROM ruled WHERE is_high_error_rate
        UNION ALL
        SELECT *, 'SLOW_RESPONSE', 0.6, avg_response_time, {SLOW_MS}, 3 FROM ruled WHERE is_slow_response
        UNION ALL
        SELECT minute, minute + INTERVAL 1 MINUTE, endpoint, NULL, count(*), NULL, NULL, NULL, NULL, NULL, false, false, false,
               anomaly_type, max(anomaly_score), max(response_time), NULL, 4
        FROM logs WHERE is_anomaly AND {in_time("minute", "1 MINUTE")} GROUP BY minute, endpoint, anomaly_type""",
    ),
}


def rows_of(connection, query):
    """Rows as dictionaries, times as microseconds since 1970."""
    cursor = connection.execute(query)
    names = [it[0] for it in cursor.description]
    return [dict(zip(names, map(plain, row), strict=True)) for row in cursor.fetchall()]


def plain(value):
    """One value, comparable whether it came from DuckDB or as JSON."""
    match value:
        case datetime():
            return micros(value)
        case str() if len(value) >= 20 and value[10] == "T" and value[-1] == "Z":
            return micros(datetime.fromisoformat(value))
        case None | str() | int() | float():
            return value
        case _:
            return float(value)


def micros(time):
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def compare_rows(name, found, expected, key):
    """Every row is there once and every value is right."""
    of = lambda row: tuple(row[it] for it in key)
    by_key = {of(row): row for row in found}
    assert len(by_key) == len(found), f"{name}: {len(found)} rows, {len(by_key)} of them different in {key}"
    wanted = {of(row): row for row in expected}
    missing, surplus = wanted.keys() - by_key.keys(), by_key.keys() - wanted.keys()
    assert not missing and not surplus, f"{name}: missing {sorted(missing, key=str)[:5]}, surplus {sorted(surplus, key=str)[:5]}"
    for at, row in wanted.items():
        for column, value in row.items():
            seen = by_key[at][column]
            assert same(column, seen, value), f"{name} {at}: {column} is {seen}, the recount says {value}"
    assert wanted or name == "anomalies", f"{name} has no rows to compare"


def same(column, seen, value):
    if seen is None or value is None or isinstance(value, str):
        return seen == value
    if column.startswith("response_time_p"):
        return abs(seen - value) <= PERCENTILE_ERROR * abs(value)
    return math.isclose(seen, value, rel_tol=FLOAT_ERROR, abs_tol=1e-12)


def compare_views(connection, ask):
    """Each view, as `ask` gives its rows, against the recount. Returns the numbers of rows."""
    counts = {}
    for name, (key, query) in EXPECTED.items():
        found = [{column: plain(value) for column, value in row.items()} for row in ask(name)]
        compare_rows(name, found, rows_of(connection, query), key)
        counts[name] = len(found)
    return counts


# --- what is checked ----------------------------------------------------------------


def check_live(pipeline, lines):
    """The live views of a pipeline that has read everything and counts nothing as late."""
    with connect() as connection:
        load(connection, lines)
        marks = "SELECT _partition, _offset, _late_watermark AS watermark FROM lake.logs WHERE _late_watermark IS NOT NULL"
        late = pipeline.sql(marks)
        connection.execute("CREATE TABLE marks (_partition INTEGER, _offset BIGINT, watermark TIMESTAMPTZ)")
        if late:
            connection.executemany("INSERT INTO marks VALUES (?, ?, ?)", [list(row.values()) for row in late])
        enrich(connection, "FROM marks")
        return compare_views(connection, lambda name: pipeline.sql(f"SELECT * FROM {name}"))


def check_lake(lake, lines, readers):
    """The tables of a pipeline that has stopped; with `readers` also that all independent readers see the same in them.

    Returns what it saw, for people.
    """
    with connect() as connection:
        load(connection, lines)
        create_view(connection, replay(lake / "logs"), "archive")
        check_archive(connection)
        enrich(
            connection,
            "SELECT _partition, _offset, _late_watermark AS watermark FROM archive WHERE _late_watermark IS NOT NULL",
        )
        for name in EXPECTED:
            create_view(connection, replay(lake / name), f"lake_{name}")
        counts = compare_views(connection, lambda name: rows_of(connection, f"SELECT * FROM lake_{name}"))
        total = connection.execute("SELECT count(*) FROM records").fetchone()[0]
        late = connection.execute("SELECT count(*) FROM logs WHERE late_watermark IS NOT NULL").fetchone()[0]
    if readers:
        compare_readers(lake / "logs", "--distinct", "_partition,_offset", "--expect-rows", total, "--expect-distinct", total)
        for name, rows in counts.items():
            compare_readers(lake / name, "--expect-rows", rows, "--query", "SELECT * FROM t")
    snapshot = replay(lake / "logs")
    generation = max(version for name, version in snapshot.txns.items() if name.endswith("#generation"))
    return f"{len(snapshot.files)} files, generation {generation}, {late} late, rows of views {json.dumps(counts)}"


def check_archive(connection):
    """Each record is archived once, with every value it came with."""
    columns = ", ".join(["_partition", "_offset", *FIELDS])
    rows, distinct = connection.execute(
        "SELECT count(*), count(DISTINCT (_partition, _offset)) FROM archive"
    ).fetchone()
    total = connection.execute("SELECT count(*) FROM records").fetchone()[0]
    assert rows == distinct == total, f"the archive has {rows} rows, {distinct} different offsets, of {total} records"
    for left, right in [("archive", "records"), ("records", "archive")]:
        query = f"SELECT {columns} FROM {left} EXCEPT ALL SELECT {columns} FROM {right} LIMIT 3"
        differing = connection.execute(query).fetchall()
        assert not differing, f"in {left} and not in {right}: {differing}"


def compare_readers(table, *arguments):
    command = [sys.executable, str(READERS / "compare.py"), str(table), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"readers disagree about {table}:\n{done.stdout}{done.stderr}"


# --- the sample queries of older pages ------------------------------------------------

HOUR, HALF_AN_HOUR, DAY = "INTERVAL 1 HOUR", "INTERVAL 30 MINUTES", "INTERVAL 1 DAY"

# As they came with the older page; what DuckDB is asked instead; the columns that tell rows apart; what orders them; how many.
SAMPLES = {
    "per minute": (
        """SELECT date_trunc('minute', timestamp) as minute, count(*) as total_requests,
       sum(case when status >= 400 then 1 else 0 end) as errors, avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE timestamp >= current_timestamp() - interval 1 day
GROUP BY date_trunc('minute', timestamp)
ORDER BY minute DESC
LIMIT 10""",
        f"""SELECT minute, count(*) AS total_requests, count(*) FILTER (is_error) AS errors, avg(response_time) AS avg_response_time
FROM logs WHERE timestamp >= now() - {DAY} GROUP BY minute""",
        ["minute"],
        "minute",
        10,
    ),
    "top error endpoints": (
        """SELECT endpoint, count(*) as error_count,
       avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE status >= 400 AND timestamp >= current_timestamp() - interval 1 hour
GROUP BY endpoint
ORDER BY error_count DESC
LIMIT 5""",
        f"""SELECT endpoint, count(*) AS error_count, avg(response_time) AS avg_response_time
FROM logs WHERE is_error AND timestamp >= now() - {HOUR} GROUP BY endpoint""",
        ["endpoint"],
        "error_count",
        5,
    ),
    "user sessions": (
        """SELECT
  user_id,
  count(distinct session_id) as sessions,
  count(*) as page_views,
  sum(response_time) / count(*) as avg_session_time
FROM delta_lake.logs
WHERE timestamp >= current_date()
GROUP BY user_id
ORDER BY page_views DESC
LIMIT 10""",
        """SELECT user_id, count(DISTINCT session_id) AS sessions, count(*) AS page_views, avg(response_time) AS avg_session_time
FROM logs WHERE timestamp >= current_date GROUP BY user_id""",
        ["user_id"],
        "page_views",
        10,
    ),
    "real-time anomalies": (
        """SELECT
  endpoint, source, level,
  count(*) as anomaly_count,
  max(response_time) as max_response_time
FROM delta_lake.logs
WHERE (level = 'ERROR' OR response_time > 1000)
  AND timestamp >= current_timestamp() - interval 30 minutes
GROUP BY endpoint, source, level
ORDER BY anomaly_count DESC""",
        f"""SELECT endpoint, 'web-logs' AS source, level, count(*) AS anomaly_count, max(response_time) AS max_response_time
FROM logs WHERE (level = 'ERROR' OR response_time > 1000) AND timestamp >= now() - {HALF_AN_HOUR} GROUP BY ALL""",
        ["endpoint", "source", "level"],
        "anomaly_count",
        None,
    ),
}


def check_samples(pipeline, lines):
    """The four queries, unchanged and at their own endpoint, over records of the last minutes."""
    with connect() as connection:
        load(connection, lines)
        enrich(connection, "SELECT 0 AS _partition, 0 AS _offset, NULL::TIMESTAMPTZ AS watermark WHERE false")
        for name, (query, recount, key, order, limit) in SAMPLES.items():
            found = pipeline.post("/api/query", {"query": query})["results"]
            found = [{column: plain(value) for column, value in row.items()} for row in found]
            wanted = rows_of(connection, recount)
            top = sorted((row[order] for row in wanted), reverse=True)[:limit]
            assert [row[order] for row in found] == top, f"{name}: {order} {[row[order] for row in found]}, the recount says {top}"
            # Among equals any may come last, so a row is compared with its own.
            keys = {tuple(row[it] for it in key) for row in found}
            compare_rows(name, found, [row for row in wanted if tuple(row[it] for it in key) in keys], key)
