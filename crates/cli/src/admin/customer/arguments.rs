//! What the commands on customers take.

use clap::{Args, Subcommand};

use crate::admin::consent::Consent;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a customer; shows his first token, once.
    Create {
        /// For people.
        name: String,
        /// Packages that his developer tokens may upload to, `acme/*`; may be given several times.
        #[arg(long)]
        may_publish: Vec<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Lists customers.
    List {
        /// Only those in this state: active, frozen, expired or suspended.
        #[arg(long)]
        status: Option<String>,
        /// Only those whose name, e-mail or external id holds this.
        #[arg(long)]
        q: Option<String>,
    },
    /// Shows one customer, his grants and what he is held at.
    Show {
        /// Id, `cust_…`.
        customer: String,
    },
    /// Changes what is given; `null` clears.
    Update {
        /// Id, `cust_…`.
        customer: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        /// Packages that his developer tokens may upload to, all of them from now on; may be given several times.
        #[arg(long)]
        may_publish: Vec<String>,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        consent: Consent,
    },
    /// Refuses a customer everything, or what the settings take from suspended ones.
    Suspend {
        /// Id, `cust_…`.
        customer: String,
        /// What his developers read.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Ends a suspension; else an expiry; else a freeze.
    Reactivate {
        /// Id, `cust_…`.
        customer: String,
        /// A new end (RFC 3339); `null` for none.
        #[arg(long)]
        expires_at: Option<String>,
        /// A new limit for all of his grants that have one (RFC 3339).
        #[arg(long)]
        updates_until: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Holds a customer at the versions he sees now.
    // Its own `--version` stands where every command has one that shows the program's.
    #[command(disable_version_flag = true)]
    Freeze {
        /// Id, `cust_…`.
        customer: String,
        /// Only at this one, `acme/pay:1.2.0`; may be given several times. Else at all he sees.
        #[arg(long = "version", id = "which", value_name = "PACKAGE:VERSION")]
        versions: Vec<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Lets a customer's time be over now.
    Expire {
        /// Id, `cust_…`.
        customer: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Deletes a customer with his tokens and grants.
    Delete {
        /// Id, `cust_…`.
        customer: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Brings a deleted customer back.
    Restore {
        /// Id that he had, `cust_…`.
        customer: String,
    },
}

/// What is said of a customer besides his name.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// Where to write.
    #[arg(long)]
    email: Option<String>,
    /// His id in your shop.
    #[arg(long)]
    external_id: Option<String>,
    /// He counts as expired from this instant on (RFC 3339).
    #[arg(long)]
    expires_at: Option<String>,
    /// The least stable versions he sees: stable, RC, beta, alpha or dev.
    #[arg(long)]
    minimum_stability: Option<String>,
    /// Whether his metadata names the repository: show or hide; else as the package or the settings say.
    #[arg(long)]
    source: Option<String>,
}

impl Fields {
    /// As the API names them.
    pub(super) fn named<'f>(&'f self, name: &'f Option<String>) -> [(&'static str, &'f Option<String>); 6] {
        [
            ("name", name),
            ("email", &self.email),
            ("external_id", &self.external_id),
            ("expires_at", &self.expires_at),
            ("minimum_stability", &self.minimum_stability),
            ("source", &self.source),
        ]
    }
}
