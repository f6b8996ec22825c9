//! Random texts from a small grammar of what people write, and of what they should not write.
//!
//! Numbers come from a small set so that versions often meet the bounds of constraints exactly.

/// SplitMix64: the same seed gives the same texts on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

const SMALL: &[&str] = &["0", "1", "2", "3", "4"];
const ODD: &[&str] = &[
    "10",
    "00",
    "01",
    "007",
    "99",
    "999",
    "2010",
    "2023",
    "20100102",
    "201903",
    "99999",
    "100000",
    "9999999",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "123456789012345678901234",
];
const WORDS: &[&str] = &[
    "stable", "STABLE", "beta", "b", "Beta", "RC", "rc", "alpha", "a", "ALPHA", "patch", "pl", "p", "PL", "dev",
    "gamma", "SNAPSHOT",
];
const BRANCHES: &[&str] = &[
    "main",
    "master",
    "feature/x",
    "foo",
    "canvas",
    "1",
    "1.x",
    "2.0",
    "v1.2",
    "3.next",
    "alias",
    "a as b",
    "x",
    "1.2.3.4.5",
    "foo-dev",
    "Main",
    "default",
    "trunk",
    "bug#12",
    "éclair",
    "foo@dev",
    "a,b",
    "a|b",
    "1.99999999",
    "dev",
    "release-1.0",
    "*",
    "1.*",
    "V2",
];
const FLAGS: &[&str] = &["@stable", "@dev", "@beta", "@RC", "@rc", "@Alpha", "@foo", "@"];

fn number(random: &mut Random) -> &'static str {
    if random.chance(92) { random.pick(SMALL) } else { random.pick(ODD) }
}

fn numbers(random: &mut Random) -> String {
    let count = 1 + random.pick(&[0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4]);
    let parts: Vec<&str> = (0..count).map(|_| number(random)).collect();
    let prefix = if random.chance(12) { random.pick(&["v", "V"]) } else { "" };
    format!("{prefix}{}", parts.join("."))
}

fn date(random: &mut Random) -> String {
    let mut text = random.pick(&["2010", "2023", "201903", "20100102", "1999"]).to_string();
    for _ in 0..random.below(5) {
        text.push_str(random.pick(&[".", "-", ":", "", "."]));
        text.push_str(random.pick(&["01", "12", "1", "003", "0102", "5", "31"]));
    }
    text
}

fn suffix(random: &mut Random) -> String {
    let mut text = String::new();
    if random.chance(35) {
        text.push_str(random.pick(&["-", "-", "-", ".", "_", "", "", "-."]));
        text.push_str(random.pick(WORDS));
        for _ in 0..random.below(3) {
            text.push_str(random.pick(&["", ".", "-"]));
            text.push_str(number(random));
        }
        if random.chance(20) {
            text.push_str(random.pick(&["-dev", ".dev", "dev", "-DEV"]));
        }
    }
    if random.chance(8) {
        text.push_str(random.pick(&["+build", "+build", "+1.2", "+1.2", "+a,b", "+", "+a b", "+x-dev"]));
    }
    text
}

/// A version as people write it, sometimes wrongly.
pub(crate) fn version(random: &mut Random) -> String {
    let mut text = match random.below(20) {
        0..=11 => numbers(random) + &suffix(random),
        12 | 13 => date(random) + &suffix(random),
        14 | 15 => format!("{}{}", random.pick(&["dev-", "dev-", "DEV-", ""]), random.pick(BRANCHES)),
        16 | 17 => format!(
            "{}{}{}",
            numbers(random),
            random.pick(&[".x", ".X", ".*", ".x.x", ""]),
            random.pick(&["-dev", ".dev", "dev", ""])
        ),
        18 => format!("{}{}", random.pick(BRANCHES), random.pick(&["-dev", "dev"])),
        _ => random.pick(&["master", "trunk", "default", "", "*", "x", "self.version", "9999999-dev"]).to_string(),
    };
    if random.chance(6) {
        text.push_str(random.pick(FLAGS));
    }
    if random.chance(4) {
        text.push_str(random.pick(&["#abc", "#", " as 1.0", "  as  1.x-dev", " as a b", "\n", " "]));
    }
    if random.chance(8) { mutated(random, &text) } else { text }
}

fn item(random: &mut Random) -> String {
    let text = match random.below(20) {
        0..=3 => format!("{}{}{}", random.pick(OPERATORS), random.pick(&["", "", "", " ", "  "]), version(random)),
        4..=6 => format!("^{}{}", numbers(random), suffix(random)),
        7..=9 => format!("~{}{}", numbers(random), suffix(random)),
        10 | 11 => format!("{}{}", numbers(random), random.pick(&[".*", ".*", ".*", ".x", ".X", ".*.*", ".x.1", "*"])),
        12 | 13 => format!(
            "{}{}{}",
            half_range(random),
            random.pick(&[" - ", " - ", " - ", " - ", "  -  ", "  -  ", "-", " -", "- "]),
            half_range(random)
        ),
        14 => random.pick(&["*", "x", "X", "v*", "*.*", "V*.x", "@dev", "@stable", ""]).to_string(),
        15 => format!(
            "{}{}{}",
            random.pick(&["^", "~"]),
            numbers(random),
            random.pick(&[".x-dev", ".*-dev", ".x.dev", ".xdev", ".x"])
        ),
        16 => format!("{}{}", random.pick(&["^", "~", "~>", "=>", ">=", "<>"]), date(random)),
        _ => version(random),
    };
    if random.chance(6) { text + random.pick(FLAGS) } else { text }
}

const OPERATORS: &[&str] = &["=", "==", "!=", "<>", "<", "<=", ">", ">=", ">=", "<", ""];

fn half_range(random: &mut Random) -> String {
    numbers(random) + &suffix(random)
}

/// A constraint as people write it, sometimes wrongly.
pub(crate) fn constraint(random: &mut Random) -> String {
    let mut text = String::new();
    for alternative in 0..1 + random.pick(&[0, 0, 0, 0, 0, 1, 1, 2]) {
        if alternative > 0 {
            text.push_str(random.pick(&["||", " || ", " || ", " || ", "|", " | ", " | ", "||", " ||", "||| "]));
        }
        if random.chance(15) {
            // Ranges that touch, which Composer merges.
            let (low, middle, high) = (numbers(random), version(random), numbers(random));
            text.push_str(&format!(">={low} <{middle} || >={middle} <{high}"));
            continue;
        }
        for part in 0..1 + random.pick(&[0, 0, 0, 0, 1, 1, 2]) {
            if part > 0 {
                text.push_str(random.pick(&[",", " ", ", ", " ", ",", " ", "  ", " , ", " ,", ",  ", ",,"]));
            }
            text.push_str(&item(random));
        }
    }
    if random.chance(12) { mutated(random, &text) } else { text }
}

/// The same text with a few characters put in, taken out or doubled.
pub(crate) fn mutated(random: &mut Random, text: &str) -> String {
    const STRAY: &[&str] = &[
        " ", "  ", ",", "|", "<", ">", "=", "!", "~", "^", "*", "x", ".", "-", "_", "+", "@", "#", "as", " as ", "dev",
        "-dev", "v", "\n", "\t", "\u{b}", "\u{c}", "\0", "é", "0", "1", "/", "RC", "a", "p", ":", " - ", "\r\n",
    ];
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(3) {
        let place = random.below(characters.len() + 1);
        match random.below(4) {
            0 if place < characters.len() => drop(characters.remove(place)),
            1 if place < characters.len() => {
                let end = (place + 1 + random.below(3)).min(characters.len());
                let copy: Vec<char> = characters[place..end].to_vec();
                characters.splice(place..place, copy);
            }
            _ => drop(characters.splice(place..place, random.pick(STRAY).chars()).count()),
        }
    }
    characters.into_iter().collect()
}

/// The pieces of a constraint that may be versions: good candidates for its bounds.
pub(crate) fn bounds_of(constraint: &str) -> Vec<String> {
    let parts = constraint.split([' ', ',', '|', '<', '>', '=', '!', '~', '^', '\n', '*']);
    parts.map(|part| part.trim_end_matches(['.', '-']).to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Does the text hold a date that ends in two short groups, which libraries before composer/semver 3.4 cannot read?
pub(crate) fn has_two_short_date_groups(text: &str) -> bool {
    let mut tokens = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':' | '-')));
    tokens.any(|token| {
        let starts = (0..token.len()).filter(|start| token.len() - start >= 4);
        let mut parts = starts.flat_map(|start| (start + 4..=token.len()).map(move |end| &token[start..end]));
        parts.any(|part| date_groups(part, 2) && !date_groups(part, 1))
    })
}

fn date_groups(text: &str, short: usize) -> bool {
    fn digits(text: &str, count: usize) -> Option<&str> {
        let head = text.get(..count)?;
        head.bytes().all(|byte| byte.is_ascii_digit()).then(|| &text[count..])
    }
    fn step(text: &str, pairs: usize, short: usize) -> bool {
        if text.is_empty() {
            return pairs < 6;
        }
        let bare = text.strip_prefix(['.', ':', '-']).unwrap_or(text);
        let pair = pairs > 0 && digits(bare, 2).is_some_and(|rest| step(rest, pairs - 1, short));
        let group =
            pairs < 6 && short > 0 && (1..=3).any(|n| digits(bare, n).is_some_and(|rest| step(rest, 0, short - 1)));
        pair || group
    }
    digits(text, 4).is_some_and(|rest| step(rest, 6, short))
}
