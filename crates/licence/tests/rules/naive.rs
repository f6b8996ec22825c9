//! The rules once more, read straight from the prose and written without the crate under test: lists, days and texts, slowly.

use crate::world::{Asked, Given, Left, Status, World};

/// Whether it stands in metadata, and whether its dist answers.
pub(crate) fn answer(world: &World, asked: &Asked) -> (bool, bool) {
    const NOTHING: (bool, bool) = (false, false);
    // The token: revoked, over, not for reading, or narrowed to other packages.
    if world.webhook
        || world.token_revoked.is_some_and(|day| day <= world.now)
        || world.token_expires.is_some_and(|day| day <= world.now)
        || !(world.token_scopes.is_empty() || world.token_scopes.iter().any(|glob| under(glob, asked.package)))
    {
        return NOTHING;
    }
    // A version is visible if some grant shows it.
    let (mut metadata, mut dist) = NOTHING;
    for grant in &world.grants {
        let (this_metadata, this_dist) = shown_by(world, grant, asked);
        metadata |= this_metadata;
        dist |= this_dist;
    }
    // Frozen: the listed pairs, nothing newer.
    if let Some(frozen) = &world.frozen {
        let listed = frozen.pairs.iter().any(|(package, version, reference)| {
            *package == asked.package
                && *version == asked.version
                && (reference.is_none() || *reference == Some(asked.reference))
        });
        if !listed || asked.published > frozen.since {
            return NOTHING;
        }
    }
    // Expired, by hand or by itself: as at the earlier of the two.
    let by_itself = world.expires_at.filter(|day| *day <= world.now);
    if world.status == Status::Expired || by_itself.is_some() {
        let by_hand = if world.status == Status::Expired { world.lapsed_at } else { None };
        let day = match (by_hand, by_itself) {
            (Some(a), Some(b)) => Some(if a < b { a } else { b }),
            (a, b) => a.or(b),
        };
        (metadata, dist) = after_lapse(world.left_expired, day, asked, (metadata, dist));
    }
    if world.status == Status::Suspended {
        (metadata, dist) = after_lapse(world.left_suspended, world.lapsed_at, asked, (metadata, dist));
    }
    // Taken down: gone. Yanked: only its dist is left.
    if asked.taken_down {
        return NOTHING;
    }
    (metadata && !asked.yanked, dist)
}

fn shown_by(world: &World, grant: &Given, asked: &Asked) -> (bool, bool) {
    let nothing = (false, false);
    if grant.package.is_some_and(|package| package != asked.package) {
        return nothing;
    }
    if let Some(id) = grant.collection {
        let Some(collection) = world.collections.iter().find(|collection| collection.id == id) else { return nothing };
        if !collection.packages.iter().any(|glob| under(glob, asked.package)) {
            return nothing;
        }
        if collection.constraint.is_some_and(|constraint| !satisfies(constraint, asked)) {
            return nothing;
        }
        if collection.stability.is_some_and(|least| how_unstable(asked.version) > rank(least)) {
            return nothing;
        }
    }
    let least = match (grant.stability, world.customer_stability, world.tenant_stability) {
        (Some(least), _, _) | (None, Some(least), _) | (None, None, Some(least)) => least,
        (None, None, None) => "stable",
    };
    let shows = satisfies(grant.constraint, asked)
        && how_unstable(asked.version) <= rank(least)
        && grant.until.is_none_or(|until| asked.published <= until);
    if grant.suspended {
        after_lapse(world.left_suspended, grant.suspended_at, asked, (shows, shows))
    } else {
        (shows, shows)
    }
}

fn after_lapse(left: Left, lapsed: Option<i64>, asked: &Asked, before: (bool, bool)) -> (bool, bool) {
    let Some(lapsed) = lapsed else { return (false, false) };
    let was_there = asked.published <= lapsed;
    match left {
        Left::Forbid => (false, false),
        Left::KeepMetadata => (before.0 && was_there, false),
        Left::Keep => (before.0 && was_there, before.1 && was_there),
    }
}

/// The patterns of these worlds hold one star at most.
fn under(glob: &str, package: &str) -> bool {
    match glob.split_once('*') {
        None => glob == package,
        Some((start, end)) => package.starts_with(start) && package.ends_with(end),
    }
}

fn rank(stability: &str) -> usize {
    ["stable", "RC", "beta", "alpha", "dev"].iter().position(|known| *known == stability).unwrap()
}

fn how_unstable(version: &str) -> usize {
    let is_branch = version.starts_with("dev-") || version.ends_with("-dev");
    let part = ["beta", "alpha", "RC"].into_iter().find(|part| version.contains(part));
    if is_branch { rank("dev") } else { rank(part.unwrap_or("stable")) }
}

/// By its own name, or a branch by its alias.
fn satisfies(constraint: &str, asked: &Asked) -> bool {
    by_name(constraint, asked.version) || asked.alias.is_some_and(|alias| by_name(constraint, alias))
}

/// What each constraint of these worlds means, by hand.
fn by_name(constraint: &str, version: &str) -> bool {
    let major = |number: &str| version.starts_with(&format!("{number}."));
    match constraint {
        "*" => true,
        "^1.0" => major("1"),
        "^2.0" | "^2.0@dev" => major("2"),
        "^1.0 || ^3.0" => major("1") || major("3"),
        ">=1.1 <2.1" => ["1.1.0", "1.x-dev", "2.0.0-RC1", "2.0.0-alpha1", "2.0.0"].contains(&version),
        "!=1.0.0" => version != "1.0.0",
        exactly @ ("2.0.0" | "dev-main" | "1.x-dev") => version == exactly,
        unknown => panic!("{unknown} is no constraint of these worlds"),
    }
}
