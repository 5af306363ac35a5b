//! Who sends the requests: visitors, most of them in sessions that can be followed.
//!
//! Eight in ten events belong to a session of three to nine requests, about ten seconds apart. A session keeps
//! its address, its user (or is anonymous) and its browser; the rest are single requests of strangers. Each
//! share of the mix therefore holds for events as well as for sessions.
//!
//! As many sessions are open as the rate needs for that distance, within a bound: at very high rates the
//! requests of a session lie closer together.

use crate::model::Random;

const IN_SESSION_PERCENT: u32 = 80;
const ANONYMOUS_PERCENT: u32 = 30;
const INTERNAL_PERCENT: u32 = 30;
/// Requests of the shortest and of the longest session.
const REQUESTS: (u32, u32) = (3, 9);
const SECONDS_BETWEEN_REQUESTS: f64 = 10.0;
/// Sessions open at a time, at least and at most.
const OPEN: (f64, f64) = (4.0, 20_000.0);
/// Session numbers are `FIRST_NUMBER` and the `NUMBERS - 1` behind it. They are taken in steps of `STRIDE`, which has no
/// divisor in common with `NUMBERS`: a number comes again only after all others.
const FIRST_NUMBER: u32 = 10_000;
const NUMBERS: u32 = 90_000;
const STRIDE: u32 = 55_621;

/// What stays the same from request to request of one visitor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    pub address: [u8; 4],
    pub user: Option<u32>,
    pub session: Option<u32>,
    /// Which of the browsers, as a random number to choose by.
    pub browser: u32,
}

impl Visitor {
    fn draw(random: &mut Random, session: Option<u32>) -> Self {
        let address = address(random);
        let user = (random.percent() >= ANONYMOUS_PERCENT).then(|| random.between(1_000, 9_999));
        Self {
            address,
            user,
            session,
            browser: random.below(u32::MAX),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Session {
    visitor: Visitor,
    requests_left: u32,
}

/// The open sessions.
pub(super) struct Visitors {
    open: Vec<Option<Session>>,
    next_number: u32,
}

impl Visitors {
    pub(super) fn new(rate: f64, random: &mut Random) -> Self {
        let wanted = rate * f64::from(IN_SESSION_PERCENT) / 100.0 * SECONDS_BETWEEN_REQUESTS;
        Self {
            open: vec![None; wanted.clamp(OPEN.0, OPEN.1) as usize],
            next_number: random.below(NUMBERS),
        }
    }

    /// Who sends the next request.
    pub(super) fn next(&mut self, random: &mut Random) -> Visitor {
        if IN_SESSION_PERCENT <= random.percent() {
            return Visitor::draw(random, None);
        }
        let place = random.below(self.open.len() as u32) as usize;
        let session = self.open[place].unwrap_or_else(|| Session {
            visitor: Visitor::draw(random, Some(self.number())),
            requests_left: random.between(REQUESTS.0, REQUESTS.1),
        });
        let requests_left = session.requests_left - 1;
        self.open[place] = (0 < requests_left).then_some(Session {
            requests_left,
            ..session
        });
        session.visitor
    }

    fn number(&mut self) -> u32 {
        let number = FIRST_NUMBER + self.next_number;
        self.next_number = (self.next_number + STRIDE) % NUMBERS;
        number
    }
}

/// An address of the network that the injected attackers come from.
pub(super) fn suspicious_address(random: &mut Random) -> [u8; 4] {
    [185, 220, 101, 1 + random.below(255) as u8]
}

/// 30 % of addresses are internal, the rest external, each from three networks alike.
fn address(random: &mut Random) -> [u8; 4] {
    let internal = random.percent() < INTERNAL_PERCENT;
    let network = random.below(3);
    let host = random.below(254 * 254);
    // Both are 1 to 254.
    let (low, high) = (1 + (host % 254) as u8, 1 + (host / 254) as u8);
    match (internal, network) {
        (true, 0) => [192, 168, 1, low],
        (true, 1) => [10, 0, 0, low],
        (true, _) => [172, 16, 0, low],
        (false, 0) => [203, 0, 113, 1 + (host % 255) as u8],
        (false, 1) => [198, 51, 100, 1 + (host % 255) as u8],
        (false, _) => [45, 79, high, low],
    }
}
