//! How long it takes to filter a package of 1,000 versions: `cargo bench -p cargoman-licence`. The goal is under 100 µs for the
//! first column, which makes the view and asks it for every version; the second also words every reason.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::Version;
use cargoman_licence::{
    Access, Collection, CollectionId, Customer, CustomerStatus, Freeze, Grant, Members, PackageGlob, TenantPolicy,
    Token, VersionFacts, View, no_collections,
};
use chrono::{DateTime, Duration, Utc};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A version, its aliases and when it was published.
type Published = (Version, Vec<Version>, DateTime<Utc>);

struct World {
    name: &'static str,
    access: Access,
    collections: HashMap<CollectionId, Collection>,
}

fn main() -> Fallible<()> {
    let package = PackageName::parse("acme/pay")?;
    let versions = versions()?;
    let now = day(2_000);
    println!("{:<44} {:>12} {:>12} {:>8}", "1,000 versions", "filter", "with reasons", "visible");
    for world in worlds(&package, &versions)? {
        let lookup = |id: &CollectionId| world.collections.get(id);
        let view = || View::new(&world.access, &lookup, &package, now);
        let filter = || {
            let view = view();
            versions.iter().filter(|version| view.sight(facts(version)).visible).count()
        };
        let reasons = || {
            let view = view();
            versions.iter().filter(|version| black_box(view.decide(facts(version))).visible).count()
        };
        println!("{:<44} {:>9.1} µs {:>9.1} µs {:>8}", world.name, median(filter), median(reasons), filter());
    }
    Ok(())
}

/// In microseconds, of 501 runs after 50 to warm up.
fn median(run: impl Fn() -> usize) -> f64 {
    for _ in 0..50 {
        black_box(run());
    }
    let mut times: Vec<f64> = (0..501)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Releases of ten majors, a tenth of them betas, one a day; the last ten are branches with an alias.
fn versions() -> Fallible<Vec<Published>> {
    (0..1_000)
        .map(|number| {
            let (major, minor, patch) = (number / 100, number / 10 % 10, number % 10);
            let aliases = if number < 990 { vec![] } else { vec![Version::parse(&format!("{patch}.x-dev"))?] };
            let text = match number {
                990.. => format!("dev-branch-{number}"),
                _ if number % 10 == 9 => format!("{major}.{minor}.{patch}-beta1"),
                _ => format!("{major}.{minor}.{patch}"),
            };
            Ok((Version::parse(&text)?, aliases, day(number)))
        })
        .collect()
}

fn facts((version, aliases, published_at): &Published) -> VersionFacts<'_> {
    let reference = "0123456789012345678901234567890123456789";
    VersionFacts { version, aliases, reference, published_at: *published_at, yanked: false, taken_down: None }
}

fn worlds(package: &PackageName, versions: &[Published]) -> Fallible<Vec<World>> {
    let simple = |name, grants| World { name, access: access(grants), collections: HashMap::new() };
    let mut frozen = simple("frozen at every version", vec![grant("*", package)?]);
    let mut freeze = Freeze::new(day(1_500));
    let view = View::new(&frozen.access, &no_collections, package, day(1_500));
    freeze.add_all(package, &view, versions.iter().map(facts));
    frozen.access.customer.frozen = Some(freeze);
    let windows = ["^1.0", "^2.0 || ^3.0", ">=4.0 <6.0"].map(|constraint| grant(constraint, package));
    let windows = windows.into_iter().map(|grant| Ok(Grant { updates_until: Some(day(450)), ..grant? }));
    let ten = (90..100).map(|major| Ok(dev(grant(&format!("^{major}.0"), package)?)));
    Ok(vec![
        simple("one grant, *", vec![grant("*", package)?]),
        simple("one grant, ^1.0 || ^2.0 || ^3.0, dev", vec![dev(grant("^1.0 || ^2.0 || ^3.0", package)?)]),
        simple("three grants with constraints and windows", windows.collect::<Fallible<_>>()?),
        simple("no grant shows anything: ten times ^99.0, dev", vec![dev(grant("^99.0", package)?); 10]),
        simple("no grant shows anything: ^90.0 to ^99.0, dev", ten.collect::<Fallible<_>>()?),
        many(package)?,
        frozen,
    ])
}

/// A customer of 100 packages and 20 collections of 500 names and ten patterns, half of them with the package in it.
fn many(package: &PackageName) -> Fallible<World> {
    let mut world =
        World { name: "100 packages, 20 collections of 510", access: access(vec![]), collections: HashMap::new() };
    for number in 0..100 {
        world.access.grants.push(grant("*", &PackageName::parse(&format!("acme/package-{number}"))?)?);
    }
    for number in 0..20 {
        let id = CollectionId(format!("coll_{number:026}"));
        let mut globs =
            (0..500).map(|name| PackageGlob::parse(&format!("acme/name-{name}"))).collect::<Result<Vec<_>, _>>()?;
        globs.extend(
            (0..10).map(|name| PackageGlob::parse(&format!("vendor-{name}/*"))).collect::<Result<Vec<_>, _>>()?,
        );
        if number % 2 == 0 {
            globs.push(PackageGlob::exactly(package));
        }
        let constraint = Some(Constraint::parse("^2.0 || ^3.0")?);
        let packages = Members::from(globs);
        world
            .collections
            .insert(id.clone(), Collection { id: id.clone(), packages, constraint, minimum_stability: None });
        world.access.grants.push(Grant { constraint: Constraint::parse("^3.0")?, ..Grant::on("grant", id) });
    }
    Ok(world)
}

fn grant(constraint: &str, package: &PackageName) -> Fallible<Grant> {
    Ok(Grant { constraint: Constraint::parse(constraint)?, ..Grant::on("grant_0123456789", package.clone()) })
}

fn dev(grant: Grant) -> Grant {
    Grant { minimum_stability: Some(Stability::Dev), ..grant }
}

fn access(grants: Vec<Grant>) -> Access {
    let customer = Customer {
        id: "cust_1".to_owned(),
        name: "Shop".to_owned(),
        status: CustomerStatus::Active,
        expires_at: None,
        minimum_stability: None,
        lapsed_at: None,
        frozen: None,
        source_shown: None,
    };
    Access { token: Token::of_no_one(), customer, grants, policy: TenantPolicy::default() }
}

fn day(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(number)
}
