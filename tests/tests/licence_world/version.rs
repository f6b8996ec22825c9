//! Versions and constraints of the kinds that this world makes, with an order of their own.
//!
//! Deliberately not the registry's code: it must be possible for the two to disagree. Only what is generated is understood:
//! `x.y.z[-alphaN|-betaN|-RCN]`, the branches `main` and `N.x`; constraints `*`, `^N.M`, `~N.M`, `~N.M.P`, `>=a <b`, one exact
//! version, a branch, and `||` between them.

use cargoman_testkit::random::Random;

/// The least stable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stability {
    Dev,
    Alpha,
    Beta,
    Rc,
    Stable,
}

/// A number with its stability; ordered as Composer orders versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    pub(crate) parts: [u32; 3],
    pub(crate) stability: Stability,
    /// The 1 of `beta1`; 0 without one.
    pub(crate) step: u32,
}

/// What stands for "anything" in the number of a branch such as `1.x`.
const ANY: u32 = 9_999_999;

/// Which versions a grant or collection takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constraint {
    Any,
    /// From the first, below the second.
    Range(String, Number, Number),
    Exact(Number),
    Main,
    Or(Vec<Constraint>),
}

impl Stability {
    pub(crate) const ALL: [Self; 5] = [Self::Dev, Self::Alpha, Self::Beta, Self::Rc, Self::Stable];

    /// As the API writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Rc => "RC",
            Self::Stable => "stable",
        }
    }
}

impl Number {
    pub(crate) fn release(parts: [u32; 3]) -> Self {
        Self { parts, stability: Stability::Stable, step: 0 }
    }

    /// The branch `{major}.x`.
    pub(crate) fn line(major: u32) -> Self {
        Self { parts: [major, ANY, ANY], stability: Stability::Dev, step: 0 }
    }

    /// The lowest version of these numbers.
    fn lowest(parts: [u32; 3]) -> Self {
        Self { parts, stability: Stability::Dev, step: 0 }
    }

    fn is_line(self) -> bool {
        self.parts[1] == ANY
    }

    /// As an author writes it.
    pub(crate) fn pretty(self) -> String {
        let [major, minor, patch] = self.parts;
        match self.stability {
            _ if self.is_line() => format!("{major}.x-dev"),
            Stability::Stable => format!("{major}.{minor}.{patch}"),
            other => format!("{major}.{minor}.{patch}-{}{}", other.word(), self.step),
        }
    }

    /// As Composer compares it.
    pub(crate) fn normalized(self) -> String {
        let [major, minor, patch] = self.parts;
        match self.stability {
            _ if self.is_line() => format!("{major}.{ANY}.{ANY}.{ANY}-dev"),
            Stability::Stable => format!("{major}.{minor}.{patch}.0"),
            other => format!("{major}.{minor}.{patch}.0-{}{}", other.word(), self.step),
        }
    }
}

impl Constraint {
    /// Whether it takes a version with this number; `main` says that it is the branch `main`, whose number is that of its alias.
    pub(crate) fn takes(&self, number: Option<Number>, main: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Range(_, from, below) => number.is_some_and(|number| *from <= number && number < *below),
            Self::Exact(wanted) => number == Some(*wanted),
            Self::Main => main,
            Self::Or(parts) => parts.iter().any(|part| part.takes(number, main)),
        }
    }

    /// As the API takes it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Range(text, ..) => text.clone(),
            Self::Exact(number) => number.pretty(),
            Self::Main => "dev-main".to_owned(),
            Self::Or(parts) => parts.iter().map(Self::text).collect::<Vec<_>>().join(" || "),
        }
    }

    /// One that has something to do with one of `numbers`.
    pub(crate) fn draw(random: &mut Random, numbers: &[Number]) -> Self {
        match random.below(10) {
            0..=2 => Self::Any,
            3 => Self::Main,
            4 | 5 => Self::Or(vec![Self::simple(random, numbers), Self::simple(random, numbers)]),
            _ => Self::simple(random, numbers),
        }
    }

    fn simple(random: &mut Random, numbers: &[Number]) -> Self {
        let number = *random.pick(numbers);
        let [major, minor, patch] = number.parts;
        if number.is_line() {
            return Self::Exact(number);
        }
        match random.below(7) {
            0 => Self::Exact(number),
            1 => Self::range(format!("^{major}.{minor}"), [major, minor, 0], [major + 1, 0, 0]),
            2 => Self::range(format!("~{major}.{minor}"), [major, minor, 0], [major + 1, 0, 0]),
            3 => Self::range(format!("~{major}.{minor}.{patch}"), [major, minor, patch], [major, minor + 1, 0]),
            4 => Self::range(
                format!(">={major}.{minor}.{patch} <{}.0", major + 1),
                [major, minor, patch],
                [major + 1, 0, 0],
            ),
            5 => Self::range(format!(">=1.0 <{major}.{minor}.{patch}"), [1, 0, 0], [major, minor, patch]),
            // With its suffix the lower end is that version itself.
            _ => {
                let text = format!(">={} <{}.0", number.pretty(), major + 2);
                let from = if number.stability == Stability::Stable { Number::lowest(number.parts) } else { number };
                Self::Range(text, from, Number::lowest([major + 2, 0, 0]))
            }
        }
    }

    fn range(text: String, from: [u32; 3], below: [u32; 3]) -> Self {
        Self::Range(text, Number::lowest(from), Number::lowest(below))
    }
}

/// Examples worked out by hand from Composer's documentation.
#[test]
fn this_worlds_constraints_are_composers() {
    let beta = Number { parts: [2, 0, 0], stability: Stability::Beta, step: 1 };
    let release = |major, minor, patch| Some(Number::release([major, minor, patch]));
    let caret = Constraint::range("^1.2".to_owned(), [1, 2, 0], [2, 0, 0]);
    for (number, taken) in [
        (release(1, 2, 0), true),
        (release(1, 1, 9), false),
        (release(2, 0, 0), false),
        // A beta of the next major is above its lowest version.
        (Some(beta), false),
        (Some(Number::line(1)), true),
        (Some(Number::line(2)), false),
        (None, false),
    ] {
        assert_eq!(caret.takes(number, false), taken, "{number:?}");
    }
    assert!(beta < Number::release([2, 0, 0]) && Number::lowest([2, 0, 0]) < beta);
    assert_eq!((beta.pretty().as_str(), beta.normalized().as_str()), ("2.0.0-beta1", "2.0.0.0-beta1"));
    assert_eq!(Number::line(1).normalized(), "1.9999999.9999999.9999999-dev");
    let either = Constraint::Or(vec![Constraint::Exact(beta), Constraint::Main]);
    assert_eq!(either.text(), "2.0.0-beta1 || dev-main");
    assert!(either.takes(Some(beta), false) && either.takes(None, true) && !either.takes(release(2, 0, 0), false));
}
