//! A regular expression → the same with its classes and boundaries of ASCII, as in RE2.
//!
//! On a line that is not ASCII, Unicode's `\b` would be sixty times slower, and whoever writes the
//! line chooses. `\p{L}` is there for whoever needs it.

use std::ops::Range;

use regex_syntax::ast::{self, Ast};

/// The same expression with its classes and boundaries of ASCII.
pub(super) fn rewritten(expression: &str) -> Result<String, Box<ast::Error>> {
    let parsed = ast::parse::Parser::new().parse(expression).map_err(Box::new)?;
    let Ok(edits) = ast::visit(&parsed, Edits(Vec::new()));
    let mut rewritten = String::with_capacity(expression.len());
    let mut at = 0;
    for (span, replacement) in edits {
        rewritten.push_str(expression.get(at..span.start).unwrap_or_default());
        rewritten.push_str(&replacement);
        at = span.end;
    }
    rewritten.push_str(expression.get(at..).unwrap_or_default());
    Ok(rewritten)
}

/// What is written differently, in its order.
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn class(&mut self, class: &ast::ClassPerl) {
        let members = match class.kind {
            ast::ClassPerlKind::Digit => "0-9",
            ast::ClassPerlKind::Space => r"\t-\r\x20",
            ast::ClassPerlKind::Word => "0-9A-Za-z_",
        };
        let negation = if class.negated { "^" } else { "" };
        self.0.push((range(&class.span), format!("[{negation}{members}]")));
    }
}

impl ast::Visitor for Edits {
    type Output = Vec<(Range<usize>, String)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) if assertion.kind == ast::AssertionKind::WordBoundary => {
                self.0.push((range(&assertion.span), r"(?-u:\b)".to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
        if let ast::ClassSetItem::Perl(class) = item {
            self.class(class);
        }
        Ok(())
    }
}

fn range(span: &ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(expression: &str, rewritten: &str) {
        assert_eq!(super::rewritten(expression).unwrap(), rewritten);
        assert!(regex::Regex::new(rewritten).is_ok(), "{expression}");
    }

    #[test]
    fn classes_and_boundaries_are_of_ascii() {
        check(r"a\d+b", "a[0-9]+b");
        check(r"\W\S\D", r"[^0-9A-Za-z_][^\t-\r\x20][^0-9]");
        check(r"[\w.]é[^\s,]", r"[[0-9A-Za-z_].]é[^[\t-\r\x20],]");
        check(r"[a[\D]]", "[a[[^0-9]]]");
        check(r"\bx\b", r"(?-u:\b)x(?-u:\b)");
        check(r"\Bx", r"\Bx");
        check(r"(?x) \s # \s", r"(?x) [\t-\r\x20] # \s");
        check(r"\\d\p{L}.", r"\\d\p{L}.");
    }
}
