//! What the commands on grants take.

use clap::{Args, Subcommand};

use crate::admin::consent::Consent;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lets a customer see a package or a collection.
    Add {
        /// Id of the customer, `cust_…`.
        customer: String,
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        words: Words,
    },
    /// Shows what a grant would add to what a customer sees, and gives none.
    Preview {
        /// Id of the customer, `cust_…`.
        customer: String,
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        words: Words,
    },
    /// Lists a customer's grants.
    List {
        /// Id of the customer, `cust_…`.
        customer: String,
    },
    /// Changes what is given of a grant; `null` clears.
    Update {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the grant, `grant_…`.
        grant: String,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        consent: Consent,
    },
    /// Puts a grant out of force; the customer's others stay.
    Suspend {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the grant, `grant_…`.
        grant: String,
        /// What his developers read.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Puts a grant in force again.
    Reactivate {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the grant, `grant_…`.
        grant: String,
        /// Its new limit (RFC 3339); `null` for none.
        #[arg(long)]
        updates_until: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Takes a grant away, or all on a package or a collection.
    Remove {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the grant, `grant_…`.
        #[arg(required_unless_present_any = ["package", "collection"])]
        grant: Option<String>,
        /// All his grants on this package, `vendor/name`.
        #[arg(long, conflicts_with_all = ["grant", "collection"])]
        package: Option<String>,
        /// All his grants on this collection, by its slug.
        #[arg(long, conflicts_with = "grant")]
        collection: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
}

/// What a grant is on: a package, plainly or as a flag, or a collection.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct On {
    /// `vendor/name`.
    #[arg(value_name = "PACKAGE")]
    plain: Option<String>,
    /// The same as a flag.
    #[arg(long)]
    package: Option<String>,
    /// Or all of a collection, by its slug.
    #[arg(long)]
    collection: Option<String>,
}

/// What a grant says besides.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// Which versions, as in a composer.json.
    #[arg(long)]
    constraint: Option<String>,
    /// The least stable versions shown.
    #[arg(long)]
    minimum_stability: Option<String>,
    /// Versions published up to this instant (RFC 3339).
    #[arg(long)]
    updates_until: Option<String>,
    /// Its id in your shop: the subscription it stands for.
    #[arg(long)]
    external_id: Option<String>,
}

impl On {
    /// The field of the API and its value.
    pub(super) fn named(&self) -> (&'static str, Option<&str>) {
        match &self.collection {
            Some(slug) => ("collection", Some(slug)),
            None => ("package", self.plain.as_deref().or(self.package.as_deref())),
        }
    }
}

impl Words {
    /// As the API names them.
    pub(super) fn named(&self) -> [(&'static str, &Option<String>); 4] {
        [
            ("constraint", &self.constraint),
            ("minimum_stability", &self.minimum_stability),
            ("updates_until", &self.updates_until),
            ("external_id", &self.external_id),
        ]
    }
}
