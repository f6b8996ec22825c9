//! The crate and the naive reading of the same prose must agree on everything, in many random worlds.

use crate::random::Random;
use crate::{build, count, naive, seed, world};

#[test]
fn agrees_with_the_prose() {
    let seed = seed();
    let worlds = count(10_000);
    let (mut shown, mut metadata_only, mut dist_only, mut nothing) = (0, 0, 0, 0);
    for number in 0..worlds {
        let mut random = Random::new(seed.wrapping_add(u64::from(number).wrapping_mul(0xA076_1D64_78BD_642F)));
        let world = world::world(&mut random);
        let built = build::build(&world);
        for asked in world::asked(&mut random) {
            let known = build::known(&asked);
            let expected = naive::answer(&world, &asked);
            let sight = built.sight(&known);
            let found = (sight.visible, sight.installable);
            assert_eq!(found, expected, "seed {seed}, world {number}: {world:#?}\n{asked:#?}");
            match expected {
                (true, true) => shown += 1,
                (true, false) => metadata_only += 1,
                (false, true) => dist_only += 1,
                (false, false) => nothing += 1,
            }
        }
    }
    println!(
        "{worlds} worlds: {shown} shown, {metadata_only} in metadata alone, {dist_only} dists alone, {nothing} hidden"
    );
    // The worlds are worth something only if every kind of answer is common in them.
    for (kind, found) in [("shown", shown), ("metadata", metadata_only), ("dist", dist_only), ("hidden", nothing)] {
        assert!(found > worlds / 20, "only {found} answers of kind {kind}");
    }
}
