//! The auction site of the Nexmark benchmark: persons, auctions and bids.
//!
//! The model is that of the benchmark's reference generator (Apache Beam's, which nexmark-bench and others follow), with its default figures:
//! of 50 events one is a person, three are auctions and 46 are bids; an event's number decides what it is and which id it has, so that any bid
//! can name an auction that is open without a list of them. Half of all bids go to a *hot* auction, three quarters of them come from a hot bidder, and
//! three quarters of the auctions are of a hot seller; hot ones change with every hundredth id. Prices are even in their logarithm. An auction
//! is open for as long as about a hundred of them are at once, whatever the rate.
//!
//! Ids are drawn with a lead of ten: some bids and auctions name an auction or person that comes a little later.

use super::event::Clock;
use crate::model::Random;
use std::io::Write;
use twox_hash::XxHash3_64;

const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
/// Events after which the proportions repeat: a person, three auctions, 46 bids.
const ROUND: u64 = 50;

const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u32 = 10;
const CATEGORIES: u32 = 5;

/// One in so many is not hot.
const HOT_AUCTION_RATIO: u32 = 2;
const HOT_BIDDER_RATIO: u32 = 4;
const HOT_SELLER_RATIO: u32 = 4;
const HOT_CHANNEL_RATIO: u32 = 2;
/// One id in so many is a hot one.
const HOT_EVERY: u64 = 100;

const AUCTIONS_IN_FLIGHT: u64 = 100;
const PERSONS_ACTIVE: u64 = 1000;
/// Ids may run ahead of what there is by so many.
const ID_LEAD: u64 = 10;

/// What an event's text is filled up to, on average.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;
/// What the numbers of an event count for there.
const NUMBER_BYTES: usize = 8;

const CHANNELS: u32 = 10_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] = [
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris",
];

/// What the events are made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Events per second of event time.
    pub rate: f64,
    /// The event time of the first event, in microseconds since the epoch.
    pub start_us: i64,
}

/// The stream an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Person,
    Auction,
    Bid,
}

impl Stream {
    /// The names of all, by their numbers.
    pub const NAMES: [&str; 3] = ["person", "auction", "bid"];

    /// Of the event of this number.
    fn of(number: u64) -> Self {
        match number % ROUND {
            0..PERSONS => Self::Person,
            at if at < PERSONS + AUCTIONS => Self::Auction,
            _ => Self::Bid,
        }
    }
}

/// The name of the table that q13 looks bids up in: it is whole from the start.
pub const SIDE_INPUT: &str = "side_input";
const SIDE_INPUT_ROWS: u64 = 10_000;

/// The rows of the side input, by key.
pub fn side_input() -> impl Iterator<Item = (u64, String)> {
    (0..SIDE_INPUT_ROWS).map(|key| (key, format!("{{\"key\":{key},\"value\":\"{key}\"}}")))
}

/// What is known about the event just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    pub stream: Stream,
    /// The xxh3 hash of the key: the person's id, or that of the auction, also for bids.
    pub key_hash: u64,
    pub time_us: i64,
}

/// Makes one event after another.
pub struct Nexmark {
    rate: f64,
    start_us: i64,
    random: Random,
    clock: Clock,
    /// Events so far.
    number: u64,
    key: String,
}

impl Nexmark {
    pub fn new(settings: Settings) -> Self {
        let Settings {
            seed,
            rate,
            start_us,
        } = settings;
        assert!(
            rate.is_finite() && 0.0 < rate,
            "a rate of {rate} events per second makes no schedule"
        );
        Nexmark {
            rate,
            start_us,
            random: Random::new(seed),
            clock: Clock::default(),
            number: 0,
            key: String::new(),
        }
    }

    /// The event time of the event that `next_into` makes next.
    pub fn next_time_us(&self) -> i64 {
        self.time_us(self.number)
    }

    /// The key of the event made last; empty before the first.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Appends the next event to `out`, as one JSON object without a line end.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Generated {
        let (number, time_us) = (self.number, self.next_time_us());
        let stream = Stream::of(number);
        let key = match stream {
            Stream::Person => self.person(out, time_us),
            Stream::Auction => self.auction(out, time_us),
            Stream::Bid => self.bid(out, time_us),
        };
        self.number += 1;
        self.key = key.to_string();
        Generated {
            stream,
            key_hash: XxHash3_64::oneshot(self.key.as_bytes()),
            time_us,
        }
    }

    fn time_us(&self, number: u64) -> i64 {
        self.start_us + (number as f64 * 1e6 / self.rate) as i64
    }

    fn person(&mut self, out: &mut Vec<u8>, time_us: i64) -> u64 {
        let id = FIRST_ID + self.last_person();
        let random = &mut self.random;
        let name = format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        let email = format!("{}@{}.com", text(random, 7), text(random, 5));
        let card: Vec<String> = (0..4)
            .map(|_| format!("{:04}", random.below(10_000)))
            .collect();
        let (card, city, state) = (card.join(" "), random.pick(&CITIES), random.pick(&STATES));
        let bytes = NUMBER_BYTES + name.len() + email.len() + card.len() + city.len() + state.len();
        let extra = extra(random, bytes, PERSON_BYTES);
        put(
            out,
            format_args!(
                "{{\"id\":{id},\"name\":\"{name}\",\"email_address\":\"{email}\",\"credit_card\":\"{card}\",\"city\":\"{city}\",\"state\":\"{state}\",\"date_time\":\""
            ),
        );
        self.clock.append(out, time_us);
        put(out, format_args!("\",\"extra\":\"{extra}\"}}"));
        id
    }

    fn auction(&mut self, out: &mut Vec<u8>, time_us: i64) -> u64 {
        let id = FIRST_ID + self.last_auction();
        let seller = self.person_id(HOT_SELLER_RATIO, 0);
        let expires_us = time_us + self.auction_length_us(time_us);
        let random = &mut self.random;
        let (name, description) = (text(random, 20), text(random, 100));
        let initial = price(random);
        let reserve = initial + price(random);
        let category = FIRST_CATEGORY + random.below(CATEGORIES);
        let bytes = NUMBER_BYTES + name.len() + description.len() + 5 * NUMBER_BYTES;
        let extra = extra(random, bytes, AUCTION_BYTES);
        put(
            out,
            format_args!(
                "{{\"id\":{id},\"item_name\":\"{name}\",\"description\":\"{description}\",\"initial_bid\":{initial},\"reserve\":{reserve},\"date_time\":\""
            ),
        );
        self.clock.append(out, time_us);
        put(out, format_args!("\",\"expires\":\""));
        self.clock.append(out, expires_us);
        put(
            out,
            format_args!("\",\"seller\":{seller},\"category\":{category},\"extra\":\"{extra}\"}}"),
        );
        id
    }

    fn bid(&mut self, out: &mut Vec<u8>, time_us: i64) -> u64 {
        let auction = self.auction_id();
        let bidder = self.person_id(HOT_BIDDER_RATIO, 1);
        let random = &mut self.random;
        let price = price(random);
        let (channel, url) = match random.below(HOT_CHANNEL_RATIO) {
            0 => channel(random.below(CHANNELS)),
            _ => {
                let number = random.below(HOT_CHANNELS.len() as u32);
                let mut of_channel = Random::new(u64::from(CHANNELS + number));
                let channel = HOT_CHANNELS[number as usize].to_owned();
                (channel, url(&mut of_channel))
            }
        };
        let extra = extra(random, 4 * NUMBER_BYTES, BID_BYTES);
        put(
            out,
            format_args!(
                "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"{channel}\",\"url\":\"{url}\",\"date_time\":\""
            ),
        );
        self.clock.append(out, time_us);
        put(out, format_args!("\",\"extra\":\"{extra}\"}}"));
        auction
    }

    /// The number of the newest person, from 0, when the next event is made.
    fn last_person(&self) -> u64 {
        self.number / ROUND * PERSONS
    }

    /// The number of the newest auction, from 0; 0 also before the first one.
    fn last_auction(&self) -> u64 {
        let (round, at) = (self.number / ROUND, self.number % ROUND);
        let in_round = (at + 1).saturating_sub(PERSONS).min(AUCTIONS);
        (round * AUCTIONS + in_round).saturating_sub(1)
    }

    /// Somebody for an auction or a bid. Hot are those whose numbers end with `hot`.
    fn person_id(&mut self, hot_ratio: u32, hot: u64) -> u64 {
        let last = self.last_person();
        let number = match self.random.below(hot_ratio) {
            0 => {
                let there = last + 1;
                let active = there.min(PERSONS_ACTIVE);
                there - active + self.random.below_u64(active + ID_LEAD)
            }
            _ => last / HOT_EVERY * HOT_EVERY + hot,
        };
        FIRST_ID + number
    }

    /// An auction for a bid.
    fn auction_id(&mut self) -> u64 {
        let last = self.last_auction();
        let number = match self.random.below(HOT_AUCTION_RATIO) {
            0 => {
                let oldest = last.saturating_sub(AUCTIONS_IN_FLIGHT);
                oldest + self.random.below_u64(last - oldest + 1 + ID_LEAD)
            }
            _ => last / HOT_EVERY * HOT_EVERY,
        };
        FIRST_ID + number
    }

    /// Up to twice the time in which as many auctions begin as are in flight.
    fn auction_length_us(&mut self, time_us: i64) -> i64 {
        let ahead = AUCTIONS_IN_FLIGHT * ROUND / AUCTIONS;
        let horizon_ms = (self.time_us(self.number + ahead) - time_us) / 1000;
        let length_ms = 1 + self
            .random
            .below_u64((2 * horizon_ms.unsigned_abs()).max(1));
        length_ms as i64 * 1000
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("memory takes all that is written");
}

/// Cents, even in their logarithm, from a dollar to a million.
fn price(random: &mut Random) -> u64 {
    let share = f64::from(random.below(1 << 24)) / f64::from(1 << 24);
    (10f64.powf(6.0 * share) * 100.0).round() as u64
}

/// Letters, of which one in thirteen is a space: from three to one fewer than `limit`, less the spaces at the ends.
fn text(random: &mut Random, limit: u32) -> String {
    let length = random.between(3, limit - 1);
    let text: String = (0..length)
        .map(|_| match random.below(13) {
            0 => ' ',
            _ => letter(random),
        })
        .collect();
    text.trim().to_owned()
}

fn letter(random: &mut Random) -> char {
    char::from(b'a' + random.below(26) as u8)
}

/// What fills an event up to about its average size, a fifth more or less.
fn extra(random: &mut Random, bytes: usize, bytes_mean: usize) -> String {
    let Some(missing) = bytes_mean.checked_sub(bytes) else {
        return String::new();
    };
    let delta = (missing as f64 * 0.2).round() as u32;
    let length = missing as u32 - delta + random.below((2 * delta).max(1));
    (0..length).map(|_| letter(random)).collect()
}

/// Name and address of a channel that is not hot, always the same ones.
fn channel(number: u32) -> (String, String) {
    let mut of_channel = Random::new(u64::from(number));
    let mut url = url(&mut of_channel);
    if 0 < of_channel.below(10) {
        let id = (number.reverse_bits() as i32).unsigned_abs();
        url += &format!("&channel_id={id}");
    }
    (format!("channel-{number}"), url)
}

fn url(random: &mut Random) -> String {
    let folder = |random: &mut Random| -> String { (0..4).map(|_| letter(random)).collect() };
    let (a, b, c) = (folder(random), folder(random), folder(random));
    format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    const START_US: i64 = 1_767_225_600_000_000;

    fn events(seed: u64, count: usize) -> Vec<(Generated, Value)> {
        let settings = Settings {
            seed,
            rate: 1000.0,
            start_us: START_US,
        };
        let mut generator = Nexmark::new(settings);
        let next = |_| {
            let mut out = Vec::new();
            let made = generator.next_into(&mut out);
            (
                made,
                serde_json::from_slice(&out).expect("an event is JSON"),
            )
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn every_fifty_events_are_a_person_three_auctions_and_46_bids() {
        for round in events(1, 5_000).chunks(50) {
            let of = |stream| round.iter().filter(|it| it.0.stream == stream).count();
            let counts = [Stream::Person, Stream::Auction, Stream::Bid].map(of);
            assert_eq!(counts, [1, 3, 46]);
        }
    }

    #[test]
    fn ids_count_up_and_what_is_named_is_about_to_be_there() {
        let (mut persons, mut auctions) = (0, 0);
        for (made, event) in events(2, 20_000) {
            let id = |name: &str| event[name].as_u64().unwrap();
            match made.stream {
                Stream::Person => {
                    assert_eq!(id("id"), FIRST_ID + persons);
                    persons += 1;
                }
                Stream::Auction => {
                    assert_eq!(id("id"), FIRST_ID + auctions);
                    assert!(id("seller") < FIRST_ID + persons + ID_LEAD);
                    assert!(id("initial_bid") < id("reserve"));
                    auctions += 1;
                }
                Stream::Bid => {
                    assert!(id("bidder") < FIRST_ID + persons + ID_LEAD);
                    assert!((100..=100_000_000).contains(&id("price")));
                    let named = id("auction") - FIRST_ID;
                    assert!(named < auctions + ID_LEAD);
                    assert!(auctions <= named + AUCTIONS_IN_FLIGHT + HOT_EVERY);
                }
            }
        }
        assert_eq!((persons, auctions), (400, 1200));
    }

    #[test]
    fn half_of_the_bids_go_to_hot_auctions_and_three_quarters_come_from_hot_bidders() {
        let events = events(3, 100_000);
        let bids = events.iter().filter(|it| it.0.stream == Stream::Bid);
        let bids: Vec<&Value> = bids.map(|it| &it.1).collect();
        let share = |holds: &dyn Fn(&Value) -> bool| {
            bids.iter().filter(|it| holds(it)).count() as f64 / bids.len() as f64
        };
        let of = |event: &Value, name: &str| (event[name].as_u64().unwrap() - FIRST_ID) % HOT_EVERY;
        let auctions = share(&|it| of(it, "auction") == 0);
        let bidders = share(&|it| of(it, "bidder") == 1);
        let hot_channels = share(&|it| HOT_CHANNELS.contains(&it["channel"].as_str().unwrap()));
        let ids = share(&|it| it["url"].as_str().unwrap().contains("&channel_id="));
        assert!((0.49..0.52).contains(&auctions), "{auctions}");
        assert!((0.74..0.77).contains(&bidders), "{bidders}");
        assert!((0.49..0.51).contains(&hot_channels), "{hot_channels}");
        assert!((0.43..0.47).contains(&ids), "{ids}");
    }

    #[test]
    fn about_a_hundred_auctions_are_open_at_once() {
        let times = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        let events = events(4, 100_000);
        let auctions = events.iter().filter(|it| it.0.stream == Stream::Auction);
        let auctions: Vec<&Value> = auctions.map(|it| &it.1).collect();
        let now = times(&events[50_000].1, "date_time");
        let open = auctions
            .iter()
            .filter(|it| (times(it, "date_time")..times(it, "expires")).contains(&now));
        let open = open.count();
        assert!((75..125).contains(&open), "{open}");
    }

    #[test]
    fn events_are_about_as_large_as_they_should_be_on_average() {
        let mut sizes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (made, event) in events(5, 50_000) {
            let extra = event["extra"].as_str().unwrap().len();
            let size = sizes.entry(made.stream as usize).or_default();
            *size = (size.0 + extra, size.1 + 1);
        }
        let means: Vec<usize> = sizes.values().map(|it| it.0 / it.1).collect();
        assert!((110..150).contains(&means[0]), "{means:?}");
        assert!((370..430).contains(&means[1]), "{means:?}");
        assert!((64..71).contains(&means[2]), "{means:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_for_ever() {
        let all = |seed| -> Vec<u8> {
            let settings = Settings {
                seed,
                rate: 10_000.0,
                start_us: START_US,
            };
            let mut generator = Nexmark::new(settings);
            let mut out = Vec::new();
            for _ in 0..10_000 {
                generator.next_into(&mut out);
            }
            out
        };
        assert_ne!(all(1), all(2));
        assert_eq!(XxHash3_64::oneshot(&all(42)), 14_585_153_077_206_967_785);
    }
}
