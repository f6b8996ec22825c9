//! Step 3: path to route. It knows paths only; whether anything is there, and for whom, comes later.

use cargoman_composer::name::PackageName;
use http::Method;

use super::target::{Space, Target};
use crate::observe::counters::Resource;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/packages.json`
    Root,
    /// `/p2/{name}.json` and `/p2/{name}~dev.json`
    Package { name: PackageName, file: File },
    /// `/dist/{name}/{version}/{reference}.zip`
    Dist { name: PackageName, version: String, reference: String },
    /// `/list.json`
    List,
    /// `/search.json`
    Search,
    /// `/providers/{name}.json`; the name may be one of the platform's.
    Providers { name: String },
    /// `/downloads`
    Installs,
    /// A path of the edge where nothing is.
    Nowhere,
    /// Anything else: the control plane answers.
    PassThrough,
}

/// Which of the two files of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum File {
    /// Numbered versions.
    Stable,
    /// Branches.
    Dev,
}

impl Route {
    /// Reads a path.
    pub(crate) fn of(target: &Target) -> Self {
        match target.space() {
            Space::Other => Self::PassThrough,
            Space::Nowhere => Self::Nowhere,
            Space::Composer => composer(target.path()).unwrap_or(Self::Nowhere),
        }
    }

    /// As it is counted.
    pub(crate) const fn resource(&self) -> Resource {
        match self {
            Self::Root => Resource::Root,
            Self::Package { .. } => Resource::Package,
            Self::Dist { .. } => Resource::Dist,
            Self::List => Resource::List,
            Self::Search => Resource::Search,
            Self::Providers { .. } => Resource::Providers,
            Self::Installs => Resource::Installs,
            Self::Nowhere => Resource::Nowhere,
            Self::PassThrough => Resource::PassedOn,
        }
    }

    /// The methods it takes, as in `Allow`; none where the control plane decides.
    pub(crate) const fn allow(&self) -> Option<&'static str> {
        match self {
            Self::PassThrough => None,
            Self::Installs => Some("POST"),
            _ => Some("GET, HEAD"),
        }
    }

    /// Whether it takes `method`.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.allow().is_none_or(|allow| allow.split(", ").any(|one| one == method.as_str()))
    }
}

fn composer(path: &str) -> Option<Route> {
    let mut segments = path.split('/').skip(1);
    let route = match (segments.next()?, segments.next(), segments.next(), segments.next(), segments.next()) {
        ("packages.json", None, ..) => Route::Root,
        ("list.json", None, ..) => Route::List,
        ("search.json", None, ..) => Route::Search,
        ("downloads", None, ..) => Route::Installs,
        ("p2", Some(vendor), Some(file), None, _) => {
            let stem = file.strip_suffix(".json")?;
            let (stem, file) = stem.strip_suffix("~dev").map_or((stem, File::Stable), |stem| (stem, File::Dev));
            Route::Package { name: name(vendor, stem)?, file }
        }
        ("dist", Some(vendor), Some(short), Some(version), Some(file)) if segments.next().is_none() => {
            let reference = file.strip_suffix(".zip").filter(|text| is_reference(text))?;
            let name = name(vendor, short)?;
            (!version.is_empty()).then(|| Route::Dist {
                name,
                version: version.to_owned(),
                reference: reference.to_owned(),
            })?
        }
        ("providers", Some(platform), None, ..) => {
            Route::Providers { name: platform.strip_suffix(".json")?.to_owned() }
        }
        ("providers", Some(vendor), Some(short), None, _) => {
            Route::Providers { name: name(vendor, short.strip_suffix(".json")?)?.as_str().to_owned() }
        }
        _ => return None,
    };
    Some(route)
}

/// Only names in their one form: an upper-case letter is no second way to write one.
fn name(vendor: &str, short: &str) -> Option<PackageName> {
    let mut text = String::with_capacity(vendor.len() + 1 + short.len());
    text.push_str(vendor);
    text.push('/');
    text.push_str(short);
    PackageName::parse(&text).ok().filter(|name| name.vendor() == vendor && name.short_name() == short)
}

fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> Route {
        Route::of(&Target::parse(raw.as_bytes()).unwrap())
    }

    fn pay() -> PackageName {
        PackageName::parse("acme/pay").unwrap()
    }

    #[test]
    fn table() {
        let dist =
            |version: &str| Route::Dist { name: pay(), version: version.to_owned(), reference: "0af".to_owned() };
        for (raw, expected) in [
            ("/packages.json", Route::Root),
            ("/packages.json?x", Route::Root),
            ("/p2/acme/pay.json", Route::Package { name: pay(), file: File::Stable }),
            ("/p2/acme/pay~dev.json", Route::Package { name: pay(), file: File::Dev }),
            ("/p2/acme/pay%7Edev.json", Route::Package { name: pay(), file: File::Dev }),
            ("/dist/acme/pay/1.0.0.0/0af.zip", dist("1.0.0.0")),
            ("/dist/acme/pay/dev-main/0af.zip", dist("dev-main")),
            ("/list.json?filter=a", Route::List),
            ("/search.json", Route::Search),
            ("/providers/ext-foo.json", Route::Providers { name: "ext-foo".to_owned() }),
            ("/providers/acme/pay.json", Route::Providers { name: "acme/pay".to_owned() }),
            ("/downloads", Route::Installs),
            ("/", Route::PassThrough),
            ("/api/v1/packages", Route::PassThrough),
            ("/graphql", Route::PassThrough),
        ] {
            assert_eq!(of(raw), expected, "{raw}");
        }
    }

    /// E-P1, E-P7.
    #[test]
    fn nowhere() {
        for raw in [
            "/p2/acme/pay",
            "/p2/acme/pay.json/",
            "/p2//acme/pay.json",
            "/p2/../x",
            "/p2/Acme/Pay.json",
            "/p2/acme/.json",
            "/p2/acme.json",
            "/p2/acme/pay~dev~dev.json",
            "/dist/acme/pay/1.0.0.0/0AF.zip",
            "/dist/acme/pay/1.0.0.0/.zip",
            "/dist/acme/pay//0af.zip",
            "/dist/acme/pay/1.0.0.0/0af.tar",
            "/dist/acme/pay/1.0.0.0/0af.zip/x",
            "/packages.json/",
            "/list.json/x",
            "/changes.json",
            "/p2",
            "//x/p2/acme/pay.json",
            "/./p2/acme/pay.json",
            "/p2/acme/con.json",
        ] {
            assert_eq!(of(raw), Route::Nowhere, "{raw}");
        }
    }

    #[test]
    fn methods() {
        for (raw, method, expected) in [
            ("/packages.json", Method::GET, true),
            ("/packages.json", Method::HEAD, true),
            ("/packages.json", Method::POST, false),
            ("/packages.json", Method::OPTIONS, false),
            ("/downloads", Method::POST, true),
            ("/downloads", Method::GET, false),
            ("/api/v1/x", Method::DELETE, true),
        ] {
            assert_eq!(of(raw).takes(&method), expected, "{method} {raw}");
        }
    }
}
