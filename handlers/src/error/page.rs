//! The table of error codes, printed: `docs/errors.md` (by `callboard openapi --errors` and its
//! snapshot) and the page `/api/docs/errors`, which every error links to.

use std::fmt::Write as _;

use callboard_protocol::ErrorCode;

use super::status;

/// `docs/errors.md`.
#[must_use]
pub fn error_codes_markdown() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         Generated from `crates/protocol/src/error.rs`. Every failed request, over REST and over\n\
         WebSocket, carries one of these codes; the codes are stable, the messages are not.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let status = status(code.class()).as_u16();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{code}` | {status} | {} |", code.summary());
    }
    page
}

/// `/api/docs/errors`: one anchor for each code.
#[must_use]
pub fn error_codes_html() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Callboard: error codes</title></head><body><main><h1>Error codes</h1>\
         <p>Every failed request, over REST and over WebSocket, carries one of these codes.</p>\
         <dl>\n",
    );
    for code in ErrorCode::ALL {
        let status = status(code.class());
        // The summaries are our own words; none holds a character that HTML gives a meaning.
        let _ = writeln!(
            page,
            "<dt id=\"{code}\"><code>{code}</code> ({status})</dt><dd>{}</dd>",
            code.summary().replace('`', "")
        );
    }
    page.push_str("</dl></main></body></html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_anchor() {
        let page = error_codes_html();
        for code in ErrorCode::ALL {
            assert!(page.contains(&format!("id=\"{code}\"")), "{code}");
            assert!(!code.summary().contains(['<', '>', '&', '|']), "{code} would need escaping");
        }
    }
}
