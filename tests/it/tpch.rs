//! The queries of TPC-H as live views: each is what DataFusion computes in batch, at every commit, over rows whose keys meet often.

use super::oracle::{Random, check_cases, subject};

/// A record that is a row of every table at once: each source takes the columns it declares.
fn record(random: &mut Random, _at: i64) -> String {
    let mut fields = Vec::new();
    let mut put = |name: &str, value: String| fields.push(format!("\"{name}\":{value}"));
    for (name, below) in [
        ("r_regionkey", 2),
        ("n_nationkey", 4),
        ("n_regionkey", 2),
        ("s_suppkey", 4),
        ("s_nationkey", 4),
        ("p_partkey", 4),
        ("ps_partkey", 4),
        ("ps_suppkey", 4),
        ("ps_availqty", 40),
        ("c_custkey", 5),
        ("c_nationkey", 4),
        ("o_orderkey", 6),
        ("o_custkey", 5),
        ("o_shippriority", 2),
        ("l_orderkey", 6),
        ("l_partkey", 4),
        ("l_suppkey", 4),
        ("l_linenumber", 4),
    ] {
        let value = match random.below(25) {
            0 => "null".to_owned(),
            _ => random.below(below).to_string(),
        };
        put(name, value);
    }
    for (name, below) in [
        ("s_acctbal", 9000),
        ("p_retailprice", 90),
        ("ps_supplycost", 5),
        ("c_acctbal", 90),
        ("o_totalprice", 9000),
        ("l_quantity", 210),
        ("l_extendedprice", 9000),
        ("l_tax", 1),
    ] {
        put(
            name,
            format!("{}.{}5", random.below(below), random.below(10)),
        );
    }
    put("l_discount", format!("0.0{}", random.below(10)));
    put("p_size", random.of(&["15", "3", "9", "45"]).to_string());
    for (name, values) in [
        ("r_name", &["EUROPE", "ASIA", "AMERICA"][..]),
        (
            "n_name",
            &["FRANCE", "GERMANY", "BRAZIL", "CANADA", "SAUDI ARABIA"],
        ),
        ("s_name", &["s1", "s2"]),
        ("s_comment", &["", "a Customer with Complaints"]),
        ("s_address", &["x"]),
        ("s_phone", &["1"]),
        ("p_name", &["forest green", "green", "red"]),
        ("p_mfgr", &["m1", "m2"]),
        ("p_brand", &["Brand#12", "Brand#23", "Brand#45"]),
        (
            "p_type",
            &["PROMO BRASS", "ECONOMY ANODIZED STEEL", "SMALL BRASS"],
        ),
        ("p_container", &["MED BOX", "SM CASE", "MED BAG"]),
        ("c_name", &["c1", "c2"]),
        ("c_address", &["y"]),
        ("c_phone", &["13-1", "31-2", "99-3"]),
        ("c_mktsegment", &["BUILDING", "OTHER"]),
        ("c_comment", &["c"]),
        ("o_orderstatus", &["F", "O"]),
        (
            "o_orderdate",
            &[
                "1993-07-15",
                "1993-10-20",
                "1994-02-01",
                "1995-03-01",
                "1996-06-01",
            ],
        ),
        ("o_orderpriority", &["1-URGENT", "2-HIGH", "5-LOW"]),
        ("o_comment", &["some special packed requests", "none"]),
        ("l_returnflag", &["R", "N"]),
        ("l_linestatus", &["O", "F"]),
        (
            "l_shipdate",
            &[
                "1994-03-01",
                "1995-03-20",
                "1995-09-10",
                "1996-02-01",
                "1998-11-01",
            ],
        ),
        ("l_commitdate", &["1994-03-10", "1995-03-25"]),
        ("l_receiptdate", &["1994-03-12", "1994-03-05", "1995-04-01"]),
        ("l_shipinstruct", &["DELIVER IN PERSON", "NONE"]),
        ("l_shipmode", &["AIR", "MAIL", "SHIP"]),
    ] {
        put(name, format!("\"{}\"", random.of(values)));
    }
    format!("{{{}}}", fields.join(","))
}

#[test]
fn tpch_equals_a_batch() {
    check_cases(&subject("tests/dataflows/tpch", record), 4, 120);
}
