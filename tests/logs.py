#!/usr/bin/env python3
"""The log of a dataflow that knows no requests: its pages, fields, patterns and timelines are held against SQL over the lake.

    logs.py BINARY
"""

import argparse
import datetime
import json
import pathlib
import random
import tempfile
import urllib.error
import urllib.parse

from pipeline import Pipeline, wait

DATAFLOW = pathlib.Path(__file__).parent / "dataflows" / "orders"
ORDERS = 5_000
FILES = 3
END = datetime.datetime.now(datetime.UTC)
COUNTRIES = ["NL", "DE", "FR", "BE", None]


def order(number, chance):
    placed = END - datetime.timedelta(seconds=(ORDERS - number) * 2)
    return {
        "placedAt": placed.isoformat().replace("+00:00", "Z"),
        "id": f"order-{number}",
        "user": f"u{chance.randrange(200)}",
        "country": chance.choice(COUNTRIES),
        "level": chance.choice(["gold", "silver"]),
        "amount": round(chance.uniform(1, 500), 2),
        "express": chance.random() < 0.2,
        "note": chance.choice(["packed in {} min by 10.0.0.{}", "waits for item {} of shelf {}", "gift, no bill"]).format(
            number % 50, number % 7
        ),
    }


def asked(pipeline, path, **parameters):
    """What the server answers, over all of the time that there is."""
    times = {"from": (END - datetime.timedelta(days=1)).isoformat(), "to": (END + datetime.timedelta(days=1)).isoformat()}
    times = {name: value.replace("+00:00", "Z") for name, value in times.items()}
    known = {**(times if path in ("", "/summary", "/patterns") else {}), **parameters}
    return pipeline.get(f"/api/v1/logs{path}?{urllib.parse.urlencode(known)}")


def pages(pipeline, **parameters):
    """All rows, page by page."""
    rows, cursor = [], None
    while True:
        page = asked(pipeline, "", **parameters, **({"cursor": cursor} if cursor else {}))
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def check_pages(pipeline):
    for where in ["country = 'NL'", "user = 'u7'", "express AND NOT level = 'gold'", "* ~ 'SHELF 3'", "amount > 499.5 OR country IS NULL"]:
        sql = where.replace("user =", '"user" =').replace("* ~ 'SHELF 3'", "note LIKE '%shelf 3%'")
        expected = [it["id"] for it in pipeline.sql(f"SELECT id FROM lake.placed WHERE {sql} ORDER BY placed_at, id")]
        assert expected, where
        oldest = pages(pipeline, where=where, order="oldest", limit=97)
        newest = pages(pipeline, where=where, limit=1000)
        assert [it["values"]["id"] for it in oldest] == expected, where
        assert [it["values"]["id"] for it in newest] == expected[::-1], where
    row = asked(pipeline, "", limit=1, columns="amount,id")["rows"][0]
    assert set(row["values"]) == {"amount", "id"} and row["id"] != row["values"]["id"], row
    assert row["level"] in ("gold", "silver"), row


def check_refused(pipeline):
    try:
        asked(pipeline, "", where="contry = 'NL'")
    except urllib.error.HTTPError as error:
        body = json.load(error)
        assert (body["from"], body["to"], body["fix"]) == (0, 6, "country = 'NL'"), body
    else:
        raise AssertionError("a column that is not there was taken")


def check_fields(pipeline):
    summary = asked(pipeline, "/summary", where="amount > 100")
    assert summary["total"] == pipeline.value("SELECT count(*) FROM lake.placed WHERE amount > 100")
    assert sum(sum(it) for it in summary["by_level"].values()) == summary["total"], summary["by_level"]
    facets = {it["column"]: it for it in summary["facets"]}
    assert {"country", "level", "express"} <= set(facets), list(facets)
    assert not {"id", "user", "amount", "placed_at"} & set(facets), list(facets)
    told = {it["value"]: it["count"] for it in facets["country"]["values"]}
    rows = pipeline.sql("SELECT country, count(*) AS n FROM lake.placed WHERE amount > 100 GROUP BY 1")
    assert told == {it["country"]: it["n"] for it in rows if it["country"]}, told
    assert facets["country"]["nulls"] == next(it["n"] for it in rows if it["country"] is None)
    fields = {it["column"]: it for it in summary["fields"]}
    assert fields["user"]["present"] == summary["total"] and 150 < fields["user"]["distinct"] < 250, fields["user"]


def check_patterns(pipeline):
    found = asked(pipeline, "/patterns", column="note")
    told = {it["pattern"]: it["count"] for it in found["patterns"]}
    assert set(told) == {"packed in <n> min by <ip>", "waits for item <n> of shelf <n>", "gift, no bill"}, told
    assert sum(told.values()) == found["records"] == found["grouped"] == ORDERS
    for it in found["patterns"]:
        like = it["like"].replace("'", "''")
        assert pipeline.value(f"SELECT count(*) FROM lake.placed WHERE note LIKE '{like}'") == it["count"], it
        kept = asked(pipeline, "/summary", where=f"note LIKE '{like}'")
        assert kept["total"] == it["count"], it


def check_newest(pipeline):
    newest = asked(pipeline, "/newest", limit=300, columns="id", where="country = 'DE'")["rows"]
    rows = pipeline.sql("SELECT id FROM lake.placed WHERE country = 'DE' ORDER BY placed_at DESC LIMIT 300")
    assert [it["values"]["id"] for it in newest] == [it["id"] for it in rows]


def check_columns(pipeline):
    known = asked(pipeline, "/columns")
    assert known["table"] == "placed" and known["time"] == "placed_at" and known["has_level"], known
    roles = {it["name"]: (it["role"], it["unit"]) for it in known["columns"]}
    assert roles["amount"] == ("money", "EUR") and roles["user"] == ("id", None), roles
    assert {"country", "amount", "note"} <= set(known["shown"]) and "placed_at" not in known["shown"], known["shown"]
    values = pipeline.get("/api/v1/values/country")
    assert {it["value"] for it in values["values"]} == set(filter(None, COUNTRIES)), values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        files = root / "files"
        files.mkdir()
        chance = random.Random(7)
        for file in range(FILES):
            lines = [json.dumps(order(number, chance)) for number in range(file, ORDERS, FILES)]
            (files / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
        with Pipeline(options.binary, DATAFLOW, root / "run", files) as pipeline:
            pipeline.start()
            pipeline.wait_value("SELECT count(*) FROM lake.placed", ORDERS)
            wait("all is read", lambda: pipeline.get("/api/v1/logs/extent")["to"])
            for check in [check_pages, check_refused, check_fields, check_patterns, check_newest, check_columns]:
                check(pipeline)
                print(f"{check.__name__.removeprefix('check_')}: as SQL has it")
            pipeline.stop()
            # Without a record in memory, values are those of stored ones.
            pipeline.start()
            wait("it serves", lambda: pipeline.get("/api/v1/logs/columns"))
            check_columns(pipeline)
            check_newest(pipeline)
            pipeline.stop()
    print("the log of any dataflow is what its lake says")


if __name__ == "__main__":
    main()
