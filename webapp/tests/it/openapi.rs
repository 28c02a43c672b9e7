//! docs/openapi.yaml held against the program, both ways: what it describes there is, and what there
//! is it describes. The answers that need a slow body, a block or a token are asked for here.

use std::{collections::BTreeSet, time::Duration};

use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use shared::{
    Alert,
    alert::{Level, Status},
};
use webapp::{
    guard::csrf,
    refusal::{Kind, Limit, Refusal},
    routes::ENDPOINTS,
};
use yaml_rust2::{Yaml, YamlLoader};

use crate::{
    http::Answer,
    sandbox::{Sandbox, Webapp},
};

/// Of HTTP itself; no description names them.
const OF_HTTP: [&str; 4] = ["content-type", "content-length", "connection", "date"];

struct Description(Value);

impl Description {
    fn read() -> Self {
        let text = include_str!("../../../docs/openapi.yaml");
        Self(json(&YamlLoader::load_from_str(text).unwrap()[0]))
    }

    fn at(&self, pointer: &str) -> &Value {
        self.resolved(self.0.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")))
    }

    fn map(&self, pointer: &str) -> &Map<String, Value> {
        self.at(pointer).as_object().unwrap()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(to) => self.at(to.strip_prefix('#').unwrap()),
            None => value,
        }
    }

    /// Every operation, as a pointer.
    fn operations(&self) -> Vec<String> {
        let escaped = |path: &str| path.replace('/', "~1");
        let of = |(path, item): (&String, &Value)| {
            let path = escaped(path);
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(|method| format!("/paths/{path}/{method}")).collect::<Vec<_>>()
        };
        self.map("/paths").iter().flat_map(of).collect()
    }

    /// Its problems by name, and the statuses of the responses that each stands in.
    fn problems(&self) -> Vec<(&str, &Value)> {
        let is_problem = |schema: &Value| schema.get("allOf").is_some();
        let all = self.map("/components/schemas").iter();
        all.filter(|(_, schema)| is_problem(schema)).map(|(name, s)| (name.as_str(), s)).collect()
    }

    /// Names of the problems that a response may hold.
    fn held(&self, response: &Value) -> BTreeSet<String> {
        let Some(schema) = response.pointer("/content/application~1problem+json/schema") else {
            return BTreeSet::new();
        };
        let one = [schema.clone()];
        let all = schema["oneOf"].as_array().map_or(one.as_slice(), Vec::as_slice);
        let name =
            |schema: &Value| schema["$ref"].as_str().unwrap().rsplit('/').next().map(str::to_owned);
        all.iter().filter_map(name).collect()
    }
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        // Numbers that an i64 does not hold come so.
        Yaml::Real(number) => number.parse::<u64>().unwrap().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Boolean(truth) => (*truth).into(),
        Yaml::Array(items) => items.iter().map(json).collect(),
        Yaml::Hash(pairs) => pairs
            .iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value)))
            .collect(),
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
    }
}

fn names<'a>(
    keys: impl IntoIterator<Item = &'a (impl AsRef<str> + 'a + ?Sized)>,
) -> BTreeSet<String> {
    keys.into_iter().map(|key| key.as_ref().to_owned()).collect()
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn its_paths_are_the_endpoints() {
    let description = Description::read();
    assert_eq!(description.at("/info/version"), env!("CARGO_PKG_VERSION"));
    let paths = description.map("/paths");
    assert_eq!(names(paths.keys()), names(ENDPOINTS.map(|endpoint| endpoint.path)));
    for item in paths.values() {
        let mut keys = names(item.as_object().unwrap().keys());
        keys.remove("parameters");
        assert_eq!(keys, names(["get", "head", "options"]));
    }
    let header = description.at("/components/securitySchemes/csrfHeader/name").as_str().unwrap();
    assert_eq!(header.to_ascii_lowercase(), csrf::HEADER);
}

/// Every kind of refusal: one that is added stops this from compiling until it has its place here.
fn kinds() -> Vec<Kind> {
    let retry_after = Duration::from_secs(30);
    let after = |kind: &Kind| match kind {
        Kind::BadRequest => Some(Kind::Unreadable),
        Kind::Unreadable => Some(Kind::HeadTooLarge),
        Kind::HeadTooLarge => Some(Kind::RateLimited { retry_after }),
        Kind::RateLimited { .. } => Some(Kind::Blocked { retry_after }),
        Kind::Blocked { .. } => Some(Kind::CorsRejected),
        Kind::CorsRejected => Some(Kind::OriginRejected),
        Kind::OriginRejected => Some(Kind::CsrfRejected),
        Kind::CsrfRejected => Some(Kind::QueryRejected { parameter: Some("q".to_owned()) }),
        Kind::QueryRejected { .. } => Some(Kind::BodyTooLarge),
        Kind::BodyTooLarge => Some(Kind::BodyTimeout),
        Kind::BodyTimeout => Some(Kind::Aborted),
        Kind::Aborted => Some(Kind::NotFound),
        Kind::NotFound => Some(Kind::MethodNotAllowed),
        Kind::MethodNotAllowed => Some(Kind::Unauthorized),
        Kind::Unauthorized => Some(Kind::TooManyStreams),
        Kind::TooManyStreams => Some(Kind::HandlerTimeout),
        Kind::HandlerTimeout => Some(Kind::UpstreamUnavailable),
        Kind::UpstreamUnavailable => Some(Kind::Panicked),
        Kind::Panicked => None,
    };
    let mut kinds = vec![Kind::BadRequest];
    while let Some(next) = kinds.last().and_then(after) {
        kinds.push(next);
    }
    kinds
}

/// A refusal as it is sent.
fn sent(kind: Kind) -> (u16, Value) {
    let limit = Limit { requests: 30, window_seconds: 60 };
    let answer = Refusal::new(kind, "for a reason").respond("an-id-of-a-request", "/", limit);
    let (head, body) = answer.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(body.collect()).unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
}

/// Whether a value may stand where a schema has `const` or `enum`, or neither.
fn fits(schema: &Value, value: &Value) -> bool {
    match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => only == value,
        (_, Some(these)) => these.as_array().unwrap().contains(value),
        _ => true,
    }
}

#[test]
fn its_problems_are_the_refusals() {
    let description = Description::read();
    let members = description.map("/components/schemas/Problem/properties");
    let required = texts(description.at("/components/schemas/Problem/required"));
    let mut described = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for kind in kinds() {
        let (status, problem) = sent(kind);
        let problem = problem.as_object().unwrap();
        assert_eq!(problem["status"], status);
        let consts = |schema: &Value| {
            schema["properties"].as_object().unwrap().iter().all(|(k, s)| fits(s, &problem[k]))
        };
        let matching: Vec<_> =
            description.problems().into_iter().filter(|(_, schema)| consts(schema)).collect();
        let [(name, schema)] = matching.as_slice() else {
            panic!("{problem:?} is described by {matching:?}")
        };
        assert!(problem.iter().all(|(key, value)| fits(&members[key], value)), "{problem:?}");
        let mut wanted = required.clone();
        wanted.extend(schema.get("required").map(texts).unwrap_or_default());
        wanted.insert("instance".to_owned());
        let mut found = names(problem.keys());
        seen.extend(found.clone());
        // Only where its name is harmless.
        found.remove("parameter");
        assert_eq!(found, wanted, "{name}");
        described.insert((*name).to_owned());
    }
    assert_eq!(seen, names(members.keys()));
    assert_eq!(
        described,
        description.problems().iter().map(|(name, _)| (*name).to_owned()).collect()
    );
}

#[test]
fn a_problem_stands_under_its_status() {
    let description = Description::read();
    for operation in description.operations() {
        for (status, response) in description.map(&format!("{operation}/responses")) {
            for problem in description.held(description.resolved(response)) {
                let of =
                    description.at(&format!("/components/schemas/{problem}/properties/status"));
                assert_eq!(of["const"].to_string(), *status, "{operation}: {problem}");
            }
        }
    }
    let responses = description.map("/components/responses").values();
    let held: BTreeSet<_> = responses.flat_map(|response| description.held(response)).collect();
    assert_eq!(held, description.problems().iter().map(|(name, _)| (*name).to_owned()).collect());
}

/// An answer, and the response that describes it.
fn check(
    description: &Description,
    answer: &Answer,
    status: u16,
    response: &str,
) -> BTreeSet<String> {
    assert_eq!(answer.status, status, "{response}");
    let described = description.at(response);
    let headers = described["headers"].as_object().unwrap();
    let mut seen = BTreeSet::new();
    for (name, header) in headers {
        let header = description.resolved(header);
        let values: Vec<_> = answer.headers(name).collect();
        assert!(values.len() <= 1, "{response}: {name}: {values:?}");
        match values.first() {
            Some(value) => {
                assert!(fits(&header["schema"], &json!(value)), "{response}: {name}: {value}");
                seen.insert(name.to_ascii_lowercase());
            }
            None => assert_ne!(header["required"], true, "{response}: no {name}"),
        }
    }
    let expected: BTreeSet<_> = headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    for name in answer.names().filter(|name| !OF_HTTP.contains(&name.as_str())) {
        assert!(expected.contains(&name), "{response} does not describe {name}");
    }
    let held = description.held(described);
    if status >= 400 {
        let code = answer.json()["code"].clone();
        let codes = held.iter().map(|problem| {
            description.at(&format!("/components/schemas/{problem}/properties/code"))["const"]
                .clone()
        });
        assert!(codes.into_iter().any(|known| known == code), "{response}: {code}");
    }
    seen
}

#[test]
fn its_headers_are_those_of_the_answers() {
    let description = Description::read();
    let sandbox = Sandbox::new();
    let token = sandbox.path("token");
    std::fs::write(&token, "a-token-for-this-test-alone").unwrap();
    let webapp = sandbox
        .env("ALERTS_TOKEN_FILE", token)
        .env("ALLOWED_CORS_ORIGINS", "https://app.example")
        .env("CORS_ALLOW_CREDENTIALS", "1")
        .env("BODY_TIMEOUT_SECONDS", "1")
        .env("RATE_LIMIT_REQUESTS", "19")
        .start();
    let csrf = webapp.token();
    let cookie = description.at("/components/securitySchemes/csrfCookie/name").as_str().unwrap();
    let cookie = format!("{cookie}={csrf}");
    let pair = [("Cookie", cookie.as_str()), ("X-CSRF-Token", csrf.as_str())];
    let ours = ("Origin", "https://app.example");
    let theirs = ("Origin", "https://elsewhere.example");
    let asks = ("Access-Control-Request-Method", "POST");
    let bearer = ("Authorization", "Bearer a-token-for-this-test-alone");
    let long = "x".repeat(40_000);
    let component = |name: &str| format!("/components/responses/{name}");
    let of = |path: &str, method: &str, status: u16| {
        format!("/paths/{}/{method}/responses/{status}", path.replace('/', "~1"))
    };
    let mut seen = BTreeSet::new();
    // Described under its path, or where no path takes it as a component.
    for (method, target, headers, status, response) in [
        ("GET", "/", vec![], 200, of("/", "get", 200)),
        ("GET", "/", vec![ours], 200, of("/", "get", 200)),
        ("HEAD", "/", vec![theirs], 200, of("/", "head", 200)),
        ("GET", "/health", vec![], 200, of("/health", "get", 200)),
        ("GET", "/csrf-token", vec![], 200, of("/csrf-token", "get", 200)),
        ("GET", "/alerts", vec![], 401, of("/alerts", "get", 401)),
        ("GET", "/alerts", vec![bearer], 503, of("/alerts", "get", 503)),
        ("HEAD", "/alerts/stream", vec![bearer], 200, of("/alerts/stream", "head", 200)),
        ("GET", "/alerts/stream", vec![bearer], 503, of("/alerts/stream", "get", 503)),
        ("GET", "/alerts?page=2", vec![bearer], 400, of("/alerts", "get", 400)),
        ("OPTIONS", "/", vec![], 204, of("/", "options", 204)),
        ("OPTIONS", "/", vec![ours, asks], 204, of("/", "options", 204)),
        ("OPTIONS", "/", vec![theirs, asks], 403, of("/", "options", 403)),
        ("GET", "/?q=%zz", vec![], 400, of("/", "get", 400)),
        ("GET", "/?q=<b>", vec![], 400, of("/", "get", 400)),
        ("GET", "/", vec![("X-Long", long.as_str())], 431, of("/", "get", 431)),
        ("GET", "/nothing", vec![], 404, component("NotFound")),
        ("POST", "/", vec![theirs], 403, component("Forbidden")),
        ("POST", "/", pair.to_vec(), 405, component("MethodNotAllowed")),
        ("GET", "/", vec![("Content-Length", "1048577")], 413, of("/", "get", 413)),
        ("GET", "/", vec![("Content-Length", "1")], 408, of("/", "get", 408)),
        ("GET", "/", vec![], 429, of("/", "get", 429)),
        ("GET", "/", vec![], 429, of("/", "get", 429)),
    ] {
        let answer = webapp.request(method, target, &headers);
        seen.extend(check(&description, &answer, status, &response));
    }
    // The answer to OPTIONS has a description of its own for one header.
    let described =
        description.map("/components/headers").keys().filter(|name| *name != "Allow-Options");
    assert_eq!(seen, described.map(|name| name.to_ascii_lowercase()).collect());
}

#[test]
fn its_limits_are_those_of_the_query() {
    let description = Description::read();
    let webapp = Sandbox::new().unlimited().start();
    let ignored = description.at("/components/parameters/ignored/schema");
    let params = ignored["maxProperties"].as_u64().unwrap() as usize;
    let name = ignored["propertyNames"]["pattern"].as_str().unwrap();
    let name: usize = name.split(['{', ',', '}']).nth(2).unwrap().parse().unwrap();
    let value = description.at("/components/schemas/Value/maxLength").as_u64().unwrap() as usize;
    for (longer, status) in [(0, 200), (1, 400)] {
        for query in [
            "a&".repeat(params + longer),
            "a".repeat(name + longer),
            format!("a={}", "b".repeat(value + longer)),
        ] {
            assert_eq!(webapp.get(&format!("/?{query}")).status, status, "{query}");
        }
    }
}

/// Asks for what each parameter allows and what it does not; the names of all.
fn parameters(description: &Description, webapp: &Webapp, path: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    // 503: it is passed on, and nobody is there.
    let check = |name: &str, value: &str, fine: bool| {
        let status = webapp.get(&format!("{path}?{name}={value}")).status;
        assert_eq!(status, if fine { 503 } else { 400 }, "{path}?{name}={value}");
    };
    let operation = format!("/paths/{}/get/parameters", path.replace('/', "~1"));
    for parameter in description.at(&operation).as_array().unwrap() {
        let parameter = description.resolved(parameter);
        if parameter["in"] != "query" {
            continue;
        }
        let name = parameter["name"].as_str().unwrap();
        let schema = description.resolved(&parameter["schema"]);
        named.insert(if name == "group" { "group.FIELD" } else { name }.to_owned());
        check(name, "%C3%A9", false);
        check(name, "", false);
        if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64())
        {
            check(name, &least.to_string(), true);
            check(name, &most.to_string(), true);
            check(name, &(i128::from(least) - 1).to_string(), false);
            check(name, &(u128::from(most) + 1).to_string(), false);
        } else if let Some(values) = schema["enum"].as_array() {
            values.iter().for_each(|value| check(name, value.as_str().unwrap(), true));
        } else if let Some(example) = parameter["example"].as_str() {
            check(name, example, true);
        } else {
            let pairs = parameter["examples"]["address"]["value"].as_object().unwrap();
            for (name, value) in pairs {
                check(name, value.as_str().unwrap(), true);
                check("group.", value.as_str().unwrap(), false);
            }
        }
    }
    named
}

#[test]
fn its_parameters_are_those_of_alerts() {
    let description = Description::read();
    let webapp = Sandbox::new().unlimited().start();
    let mut named = parameters(&description, &webapp, "/alerts");
    // The other document has a table of them.
    let text = include_str!("../../../docs/webapp.md");
    let table = text.split("| Parameter | Value |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    assert_eq!(named, names(rows.collect::<Vec<_>>()));

    // A stream goes on with what comes.
    for name in ["limit", "since"] {
        named.remove(name);
        assert_eq!(webapp.get(&format!("/alerts/stream?{name}=1")).status, 400);
    }
    assert_eq!(parameters(&description, &webapp, "/alerts/stream"), named);
}

#[test]
fn its_alerts_are_those_of_the_contract() {
    let description = Description::read();
    let golden = include_str!("../../../shared/tests/golden/alerts.jsonl").lines().next().unwrap();
    let alert: Alert = serde_json::from_str(golden).unwrap();
    let alert = serde_json::to_value(alert).unwrap();
    let schema = description.at("/components/schemas/Alert");
    let same = |schema: &Value, value: &Value, optional: &[&str]| {
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(names(properties.keys()), names(value.as_object().unwrap().keys()));
        let mut required = texts(&schema["required"]);
        required.extend(names(optional));
        assert_eq!(required, names(properties.keys()));
        for (key, property) in properties {
            assert!(fits(description.resolved(property), &value[key]), "{key}");
        }
    };
    same(schema, &alert, &["window"]);
    for part in ["rule", "window", "event", "observer"] {
        same(&schema["properties"][part], &alert[part], &[]);
    }
    same(&schema["properties"]["evidence"]["items"], &alert["evidence"][0], &[]);
    let levels = Level::ALL.map(|(name, _)| name);
    assert_eq!(description.at("/components/schemas/Level/enum"), &json!(levels));
    let statuses = [Status::Firing, Status::Repeat, Status::Resolved];
    assert_eq!(description.at("/components/schemas/Status/enum"), &json!(statuses));
}
