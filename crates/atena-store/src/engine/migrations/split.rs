//! The statements of a script, as PostgreSQL itself separates them.

/// The statements of `script`, each without its semicolon. Comments stay with the statement after
/// them.
pub(super) fn statements(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut has_text = false;
    while let Some(rest) = script.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(comment) = comment(rest) {
            at += comment;
            continue;
        }
        if rest.starts_with(';') {
            if has_text {
                statements.push(script[start..at].trim());
            }
            at += 1;
            (start, has_text) = (at, false);
            continue;
        }
        has_text |= !rest.starts_with(char::is_whitespace);
        at += quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    if has_text {
        statements.push(script[start..].trim());
    }
    statements
}

/// How long the comment is with which a text begins.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inside = text.strip_prefix("/*")?;
    Some(inside.find("*/").map_or(text.len(), |end| end + 4))
}

/// How long the quoted text is with which a text begins: `'…'`, `"…"`, `$tag$…$tag$`. A doubled
/// quote is two of them.
fn quoted(text: &str) -> Option<usize> {
    let quote = match text.chars().next()? {
        '\'' => "'",
        '"' => "\"",
        '$' => &text[..text[1..].find('$')? + 2],
        _ => return None,
    };
    let tag = quote.trim_matches('$');
    if quote.starts_with('$') && !tag.chars().all(|letter| letter == '_' || letter.is_alphanumeric()) {
        return None;
    }
    let inside = &text[quote.len()..];
    Some(inside.find(quote).map_or(text.len(), |end| end + 2 * quote.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_not_quoted() {
        let script = "-- one; still a comment\nCREATE TABLE a (b text DEFAULT ';', \"c;\" text);\n\n\
            DO $$ BEGIN; END; $$; /* three; */ CREATE FUNCTION f() AS $body$ SELECT '$$'; $body$;\n\
            SELECT 'it''s; 宛名' -- last\n";
        let parts = statements(script);
        assert_eq!(parts.len(), 4, "{parts:?}");
        assert!(parts[0].ends_with("\"c;\" text)") && parts[1] == "DO $$ BEGIN; END; $$", "{parts:?}");
        assert!(parts[2].ends_with("$body$") && parts[3].starts_with("SELECT 'it''s; 宛名'"), "{parts:?}");
        assert_eq!(statements(" ;; -- nothing\n;"), [""; 0]);
        assert_eq!(statements("SELECT $1, $2; SELECT 1"), ["SELECT $1, $2", "SELECT 1"]);
    }
}
