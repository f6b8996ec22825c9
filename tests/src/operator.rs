//! The operator of a tenant: the REST API on the control plane's own listener.

use std::time::Duration;

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Registry};
use cargoman_testkit::deadline::poll_until;
use serde_json::{Value, json};

/// How long one sync may take.
const SYNC_LIMIT: Duration = Duration::from_secs(120);

/// The operator of one tenant, with the root token.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    registry: &'a Registry,
    tenant: Option<&'a str>,
}

/// A customer as made: his id, his first token and its id.
#[derive(Debug, Clone)]
pub struct Customer {
    /// `cust_…`
    pub id: String,
    /// The plain token.
    pub token: String,
}

impl<'a> Operator<'a> {
    /// For the tenant `tenant`, or the only one.
    pub fn new(registry: &'a Registry, tenant: Option<&'a str>) -> Self {
        Self { registry, tenant }
    }

    /// Calls `/api/v1{path}`; gives the status and the whole answer.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        if let Some(tenant) = self.tenant {
            headers.push(("X-Cargoman-Tenant", tenant));
        }
        let response = self.registry.api_with(&headers, method, &format!("/api/v1{path}"), body);
        (response.status, response.json())
    }

    /// Calls and expects success; gives `data`.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { None } else { Some(body) };
        let (status, mut answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path} {body:?}: {status} {answer:#}");
        answer["data"].take()
    }

    /// GET, the `data`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    /// POST, the `data`.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, body)
    }

    /// Adds a package and waits for its first sync, which must succeed; gives what it did.
    #[track_caller]
    pub fn add(&self, name: &str, url: &str) -> Value {
        let task = self.try_add(name, url);
        assert_eq!(task["state"], "succeeded", "{name}: {task:#}");
        task["result"].clone()
    }

    /// Adds a package and waits for its first sync; gives the task.
    #[track_caller]
    pub fn try_add(&self, name: &str, url: &str) -> Value {
        let package = self.post("/packages", &json!({"repository_url": url, "name": name}));
        self.finished(package["task"].as_str().expect("the task of the first sync"))
    }

    /// The task once it is over.
    #[track_caller]
    pub fn finished(&self, task: &str) -> Value {
        poll_until(&format!("the end of {task}"), SYNC_LIMIT, || {
            let task = self.get(&format!("/tasks/{task}"));
            (task["state"] != "queued" && task["state"] != "running").then_some(task)
        })
    }

    /// Syncs and waits; gives `state`, and either `error` or what was done.
    #[track_caller]
    pub fn try_sync(&self, name: &str) -> Value {
        self.post(&format!("/packages/{name}/sync?wait=true"), &Value::Null)
    }

    /// Syncs, which must succeed.
    #[track_caller]
    pub fn sync(&self, name: &str) -> Value {
        let result = self.try_sync(name);
        assert_eq!(result["state"], "succeeded", "{name}: {result:#}");
        result
    }

    /// A new customer.
    #[track_caller]
    pub fn customer(&self, name: &str) -> Customer {
        let made = self.post("/customers", &json!({"name": name}));
        Customer { id: text(&made["id"]), token: text(&made["token"]) }
    }

    /// A new customer who sees all of `packages`, branches included.
    #[track_caller]
    pub fn customer_of(&self, packages: &[&str]) -> Customer {
        let customer = self.customer("Customer");
        for package in packages {
            self.grant(&customer, &json!({"package": package, "minimum_stability": "dev"}));
        }
        customer
    }

    /// Adds a grant; gives it.
    #[track_caller]
    pub fn grant(&self, customer: &Customer, grant: &Value) -> Value {
        self.post(&format!("/customers/{}/packages", customer.id), grant)
    }

    /// The id of a customer's first token.
    #[track_caller]
    pub fn first_token(&self, customer: &Customer) -> String {
        text(&self.get(&format!("/customers/{}/tokens", customer.id))[0]["id"])
    }

    /// Every version of a package as the API shows it, newest first.
    #[track_caller]
    pub fn versions(&self, name: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let (status, answer) =
                self.call("GET", &format!("/packages/{name}/versions?per_page=200&page={page}"), None);
            assert_eq!(status, 200, "{name}: {answer:#}");
            all.extend(answer["data"].as_array().cloned().unwrap_or_default());
            if page >= answer["pagination"]["total_pages"].as_u64().unwrap_or(1) {
                break;
            }
        }
        all
    }
}

/// A JSON string as text; panics if it is none.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// The strings of a JSON list.
#[track_caller]
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(text).collect()
}
