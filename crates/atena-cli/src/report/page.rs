//! The page that every report is written on.

use std::path::Path;
use std::process::{Command, Stdio};

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
@page { size: A4; margin: 18mm 15mm; }
body { font-family: 'Noto Sans CJK JP', 'Noto Sans JP', 'Hiragino Sans', 'Yu Gothic', 'Meiryo', sans-serif; font-size: 10.5pt; \
line-height: 1.6; color: #1a1a1a; max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 18pt; border-bottom: 2px solid #1a1a1a; padding-bottom: .2em; }
h2 { font-size: 13pt; margin-top: 2em; border-left: .4em solid #2c5f8a; padding-left: .5em; break-after: avoid; }
table { border-collapse: collapse; width: 100%; margin: .8em 0; font-size: 9.5pt; }
th, td { border: 1px solid #999; padding: .3em .5em; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #eef2f6; } td.number { text-align: right; white-space: nowrap; } td.day { white-space: nowrap; } tr { break-inside: avoid; }
.unusual { color: #a40000; font-weight: bold; } .quiet { color: #555; } code { font-size: 8.5pt; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 11em 1fr; gap: .2em 1em; } dt { font-weight: bold; } dd { margin: 0; }
svg { width: 100%; height: auto; }
";

/// A whole page.
pub(super) fn page(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="ja" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { h1 { (title) } (content) }
        }
    }
    .into_string()
}

/// Prints a page to PDF with Chromium, where one is installed: whether there is a PDF now.
pub(crate) fn write_pdf(page: &Path, pdf: &Path) -> bool {
    let (Ok(page), Some(folder)) = (page.canonicalize(), pdf.parent()) else { return false };
    let Ok(folder) = folder.canonicalize() else { return false };
    let Some(name) = pdf.file_name() else { return false };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().any(|browser| {
        let printed = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"])
            .arg(format!("--print-to-pdf={}", folder.join(name).display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        printed.is_ok_and(|status| status.success()) && folder.join(name).exists()
    })
}
