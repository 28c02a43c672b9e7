//! `match` and `except`: fields and what their values must be → conditions.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::reader::{Key, Node, Reader, suggestion};
use crate::matching::{
    Condition,
    condition::{Contains, Equal, Test, Wanted, folded},
    pattern::{Pattern, Patterns},
};

const OPERATORS: [&str; 10] =
    ["contains", "startswith", "endswith", "re", "cidr", "gt", "gte", "lt", "lte", "exists"];
const MODIFIERS: [&str; 2] = ["cased", "decode"];

/// Keys of a rule that no log has as a field.
const RULE_ONLY: [&str; 5] = ["cooldown", "group_by", "ipv6_prefix", "except", "correlation"];

impl Reader<'_, '_> {
    /// All conditions of a table; each must hold. Those that cost most come last.
    pub(super) fn conditions(
        &mut self,
        owner: &str,
        node: &Node<'_>,
        table: &DeTable<'_>,
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (key, value) in table {
            if self.is_rules_own(key, node) {
                continue;
            }
            if let Some(condition) = self.condition(owner, key, value) {
                conditions.push(condition);
            }
        }
        if table.is_empty() {
            let help = "`line = { exists = true }` matches every line";
            self.missing(node.span(), format!("no condition in {owner}"), help);
        }
        conditions.sort_by_key(cost);
        conditions
    }

    /// A key after a header belongs to that header's table, whatever was meant.
    fn is_rules_own(&mut self, key: &Key<'_>, table: &Node<'_>) -> bool {
        let name = key.get_ref().as_ref();
        let line = self.line(table.span().start);
        if !self.has_header(table) || !super::RULE_KEYS.contains(&name) {
            return false;
        }
        let certain = RULE_ONLY.contains(&name);
        if certain {
            let message = format!("`{name}` belongs to the rule: move it above line {line}");
            self.error(key.span(), message, "below a header, keys belong to that header");
        } else if !self.written(key.span()).starts_with(['"', '\'']) {
            let message = format!("`{name}` is taken for a field of the log here");
            let help =
                format!("the rule's own belongs above line {line}; write \"{name}\" for the field");
            self.warn(key.span(), message, help);
        }
        certain
    }

    fn condition(&mut self, owner: &str, key: &Key<'_>, node: &Node<'_>) -> Option<Condition> {
        let name = key.get_ref().as_ref();
        let (wanted, cased, url) = match node.get_ref() {
            DeValue::Table(table) => {
                let known = |key: &Key<'_>| {
                    let key = key.get_ref().as_ref();
                    OPERATORS.contains(&key) || MODIFIERS.contains(&key)
                };
                let nested = self.has_dot(key) || self.has_header(node);
                if nested && table.keys().any(|key| !known(key)) {
                    let name = dotted(name, table);
                    let message = format!("`{name}` without quotes is a table in a table in TOML");
                    self.error(key.span(), message, format!("write \"{name}\""));
                    return None;
                }
                self.operators(owner, node, table)?
            }
            _ => (Wanted::Tests(vec![self.equal(name, node)?]), false, false),
        };
        let field = self.intern(name, key.span())?;
        Some(Condition { name: name.to_owned(), field, wanted, cased, url })
    }

    /// A value without an operator: one of these.
    fn equal(&mut self, name: &str, node: &Node<'_>) -> Option<Test> {
        let errors = self.errors();
        let mut equal = Equal::default();
        for element in self.operands(name, node) {
            match element.get_ref() {
                DeValue::String(text) => equal.texts.push(folded(text).into_owned()),
                DeValue::Boolean(boolean) => equal.texts.push(boolean.to_string()),
                DeValue::Integer(integer) => {
                    // By digits: an id beyond 2^53 is no floating-point number.
                    match i64::from_str_radix(integer.as_str(), integer.radix()) {
                        Ok(integer) => equal.numbers.push(integer.to_string()),
                        Err(_) => self.wrong_type(name, element, "a number of 64 bits"),
                    }
                }
                DeValue::Float(_) => {
                    equal.numbers.extend(self.number(name, element).map(|float| float.to_string()));
                }
                _ => {
                    self.wrong_type(name, element, "text, a number, true, false or a list of them")
                }
            }
        }
        (self.errors() == errors).then_some(Test::Equal(equal))
    }

    /// The elements of a list, which must not be empty; what is none, by itself.
    fn operands<'a, 'v>(&mut self, what: &str, node: &'a Node<'v>) -> Vec<&'a Node<'v>> {
        let elements = self.one_or_many(node);
        if elements.is_empty() {
            self.error(node.span(), format!("`{what}`: nothing is in an empty list"), "");
        }
        elements
    }

    fn operators(
        &mut self,
        owner: &str,
        node: &Node<'_>,
        table: &DeTable<'_>,
    ) -> Option<(Wanted, bool, bool)> {
        let errors = self.errors();
        let cased = table.get("cased").and_then(|node| self.boolean("cased", node));
        let cased = cased.unwrap_or(false);
        let url = table.get("decode").is_some_and(|node| {
            let url = self.text("decode", node) == Some("url");
            if !url && node.get_ref().is_str() {
                self.error(node.span(), "unknown decoding", "the only one is \"url\"");
            }
            url
        });
        let mut tests = Vec::new();
        let mut exists = None;
        for (key, node) in table {
            match key.get_ref().as_ref() {
                "contains" => {
                    if let Some(texts) = self.operand_texts("contains", node, cased) {
                        match Contains::new(texts) {
                            Ok(contains) => tests.push(Test::Contains(contains)),
                            Err(error) => self.error(node.span(), error.to_string(), ""),
                        }
                    }
                }
                "startswith" => {
                    let texts = self.operand_texts("startswith", node, cased);
                    tests.extend(texts.map(Test::StartsWith));
                }
                "endswith" => {
                    let texts = self.operand_texts("endswith", node, cased);
                    tests.extend(texts.map(Test::EndsWith));
                }
                "re" => tests.extend(self.patterns(node, cased).map(Test::Re)),
                "cidr" => tests.extend(self.nets(node).map(Test::Cidr)),
                "gt" => tests.extend(self.number("gt", node).map(Test::Gt)),
                "gte" => tests.extend(self.number("gte", node).map(Test::Gte)),
                "lt" => tests.extend(self.number("lt", node).map(Test::Lt)),
                "lte" => tests.extend(self.number("lte", node).map(Test::Lte)),
                "exists" => exists = self.boolean("exists", node),
                modifier if MODIFIERS.contains(&modifier) => {}
                other => {
                    let known: Vec<_> = OPERATORS.into_iter().chain(MODIFIERS).collect();
                    let help = match other {
                        "eq" | "equals" | "is" => "for equality write the value itself".to_owned(),
                        _ => suggestion(other, &known),
                    };
                    let message = format!("unknown operator `{other}` in {owner}");
                    self.error(key.span(), message, help);
                }
            }
        }
        if self.errors() > errors {
            return None;
        }
        match exists {
            Some(false) if !tests.is_empty() => {
                let help = "a field that is absent passes no other operator";
                self.error(node.span(), "this never matches", help);
                None
            }
            Some(exists) if tests.is_empty() => Some((Wanted::Exists(exists), cased, url)),
            None if tests.is_empty() => {
                let help = format!("one of {}", OPERATORS.join(", "));
                self.error(node.span(), format!("no operator in this condition of {owner}"), help);
                None
            }
            _ => Some((Wanted::Tests(tests), cased, url)),
        }
    }

    fn operand_texts(&mut self, what: &str, node: &Node<'_>, cased: bool) -> Option<Vec<String>> {
        let errors = self.errors();
        self.operands(what, node);
        let mut wanted = Vec::new();
        for (text, node) in self.texts(what, node)? {
            if text.is_empty() {
                let help = "`exists = true` asks for any value";
                self.error(node.span(), format!("every text {what} the empty text"), help);
            }
            wanted.push(if cased { text.to_owned() } else { folded(text).into_owned() });
        }
        (self.errors() == errors).then_some(wanted)
    }

    fn patterns(&mut self, node: &Node<'_>, cased: bool) -> Option<Patterns> {
        let errors = self.errors();
        self.operands("re", node);
        let mut patterns = Vec::new();
        for (expression, node) in self.texts("re", node)? {
            match Pattern::new(expression, cased) {
                Ok(mut pattern) => match pattern.name_captures(self.names) {
                    Ok(()) => patterns.push(pattern),
                    Err(error) => self.error(node.span(), error.to_string(), ""),
                },
                Err(bad) => {
                    let place = self.part(node, bad.span);
                    self.error(place, format!("regular expression: {}", bad.message), "");
                }
            }
        }
        if self.errors() > errors {
            return None;
        }
        match Patterns::new(patterns) {
            Ok(patterns) => Some(patterns),
            Err(error) => {
                self.error(node.span(), error.to_string(), "");
                None
            }
        }
    }

    fn nets(&mut self, node: &Node<'_>) -> Option<Vec<IpNet>> {
        let errors = self.errors();
        self.operands("cidr", node);
        let mut nets = Vec::new();
        for (text, node) in self.texts("cidr", node)? {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            match text.parse::<IpNet>().or_else(|_| address()) {
                Ok(net) => nets.push(net.trunc()),
                Err(_) => {
                    let help = "like \"10.0.0.0/8\", \"2001:db8::/32\" or one address";
                    self.error(node.span(), "this is no network", help);
                }
            }
        }
        (self.errors() == errors).then_some(nets)
    }
}

/// The name that was meant by tables in tables.
fn dotted(name: &str, table: &DeTable<'_>) -> String {
    let mut name = name.to_owned();
    let mut table = table;
    while let Some((key, value)) = table.iter().next() {
        if OPERATORS.contains(&key.get_ref().as_ref()) {
            break;
        }
        name = format!("{name}.{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    name
}

/// How dear a condition is: expressions, and expressions over decoded text, come after the rest.
fn cost(condition: &Condition) -> (bool, bool) {
    (condition.patterns().next().is_some(), condition.url)
}
