//! The answer to a disclosure request (開示請求): who received what about one person, in plain words.

use std::collections::BTreeMap;

use atena_proto::v1::{Transfer, TransferDirection, TransferOutcome};
use maud::{Markup, html};

use super::page::page;
use crate::contract::Contract;
use crate::terms;

/// What the report is made of.
pub(crate) struct Disclosure<'a> {
    /// The person, as the request names them: SYSTEM/NUMBER.
    pub(crate) person: &'a str,
    /// When the report was made, in Japan.
    pub(crate) made_at: String,
    /// Every transfer about the person, newest first.
    pub(crate) transfers: &'a [Transfer],
    /// Names of systems, by id.
    pub(crate) systems: &'a BTreeMap<String, String>,
    /// The signed head under which the receipts stand.
    pub(crate) checkpoint: &'a str,
    /// The log's public key.
    pub(crate) verifier_key: &'a str,
}

/// Transfers that went to one place for one purpose.
struct Group<'a> {
    newest: &'a Transfer,
    oldest: &'a Transfer,
    times: usize,
}

// === impl Disclosure ===

impl Disclosure<'_> {
    /// The page.
    pub(crate) fn to_html(&self, contract: &Contract) -> String {
        let released: Vec<_> = self.of(|transfer| {
            transfer.direction() == TransferDirection::Outbound && transfer.outcome() == TransferOutcome::Released
        });
        let received: Vec<_> = self.of(|transfer| {
            transfer.direction() == TransferDirection::Inbound && transfer.outcome() == TransferOutcome::Received
        });
        let refused: Vec<_> =
            self.of(|transfer| !matches!(transfer.outcome(), TransferOutcome::Released | TransferOutcome::Received));
        let audits = self.transfers.iter().filter(|transfer| is_audit(transfer)).count();
        let content = html! {
            dl {
                dt { "対象者" } dd { (self.person) " (システムの識別子 / 宛名番号)" }
                dt { "作成日時" } dd { (self.made_at) }
                dt { "記録の件数" } dd { (self.transfers.len()) " 件 (うち監査・開示のための閲覧 " (audits) " 件)" }
            }
            p { "宛名システム兼連携システムを通じて、あなたの情報をどの部署がいつ、どの法令に基づいて受け取ったかをお知らせします。" }
            h2 { "1. あなたの情報を受け取った部署" }
            (self.groups(&released, contract))
            h2 { "2. 受渡しの明細" }
            (self.details(&released))
            h2 { "3. 照会があったが、提供しなかったもの" }
            (self.details(&refused))
            h2 { "4. あなたの情報を登録した部署" }
            (self.groups(&received, contract))
            h2 { "5. この回答が正しいことの確かめ方" }
            p {
                "記録は 1 件ごとに改ざんを検知できる形で保存されています。添付の receipts フォルダにある受領証 (.leaf と .tlog-proof) は、次の公開鍵で"
                "だれでも確かめられます。"
            }
            dl {
                dt { "公開鍵" } dd { code { (self.verifier_key) } }
                dt { "署名された記録の先頭" } dd { @for line in self.checkpoint.lines().take(3) { code { (line) } br; } }
            }
            p { code { "atena verify receipt --key log.vkey --leaf receipts/<番号>.leaf --receipt receipts/<番号>.tlog-proof" } }
        };
        page("自己情報の移転に関する開示", &content)
    }

    fn of(&self, wanted: impl Fn(&Transfer) -> bool) -> Vec<&Transfer> {
        self.transfers.iter().filter(|transfer| !is_audit(transfer) && wanted(transfer)).collect()
    }

    fn name(&self, transfer: &Transfer) -> String {
        let system = self.systems.get(&transfer.system_id).unwrap_or(&transfer.system_id);
        if transfer.division.is_empty() { system.clone() } else { format!("{} ({system})", transfer.division) }
    }

    fn groups(&self, transfers: &[&Transfer], contract: &Contract) -> Markup {
        let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
        for transfer in transfers {
            let place =
                (&transfer.system_id, transfer.dataset, &transfer.affair, &transfer.legal_basis, &transfer.fields);
            let group = groups.entry(place).or_insert(Group { newest: transfer, oldest: transfer, times: 0 });
            group.times += 1;
            group.oldest = transfer;
        }
        if groups.is_empty() {
            return html! { p { "ありません。" } };
        }
        html! {
            table {
                tr { th { "部署" } th { "事務" } th { "情報と項目" } th { "法令上の根拠" } th { "回数" } th { "期間" } }
                @for group in groups.values() {
                    @let transfer = group.newest;
                    tr {
                        td { (self.name(transfer)) }
                        td { (transfer.affair) }
                        td {
                            (terms::dataset_japanese(transfer.dataset()))
                            @if !transfer.fields.is_empty() {
                                br; span .quiet { (fields(transfer, contract)) }
                            }
                        }
                        td { (transfer.legal_basis) }
                        td .number { (group.times) }
                        td .day {
                            (day(transfer))
                            @if day(group.oldest) != day(transfer) { br; "〜 " (day(group.oldest)) }
                        }
                    }
                }
            }
        }
    }

    fn details(&self, transfers: &[&Transfer]) -> Markup {
        if transfers.is_empty() {
            return html! { p { "ありません。" } };
        }
        html! {
            table {
                tr { th { "日時" } th { "部署" } th { "事務" } th { "情報" } th { "件数" } th { "結果" } th { "受領証の番号" } }
                @for transfer in transfers {
                    tr {
                        td .day { (terms::japanese_time(transfer)) }
                        td { (self.name(transfer)) }
                        td { (transfer.affair) }
                        td { (terms::dataset_japanese(transfer.dataset())) }
                        td .number { (transfer.record_count) }
                        td {
                            (terms::outcome_japanese(terms::transfer_outcome(transfer.outcome())))
                            @if !transfer.reason.is_empty() { br; span .quiet { (transfer.reason) } }
                        }
                        td { code { (transfer.transfer_id) } }
                    }
                }
            }
        }
    }
}

/// Whether somebody looked into the log, for an audit or for such a report.
fn is_audit(transfer: &Transfer) -> bool {
    atena_gateway::is_audit(&transfer.method)
}

fn fields(transfer: &Transfer, contract: &Contract) -> String {
    transfer.fields.iter().map(|path| contract.term_of(transfer.dataset(), path)).collect::<Vec<_>>().join("、")
}

fn day(transfer: &Transfer) -> String {
    terms::japanese_time(transfer).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(id: &str, direction: TransferDirection, outcome: TransferOutcome) -> Transfer {
        Transfer {
            transfer_id: id.to_owned(),
            direction: direction.into(),
            outcome: outcome.into(),
            system_id: "resident-tax".into(),
            division: "財務部市民税課".into(),
            affair: "市都民税賦課業務".into(),
            legal_basis: "条例<第1条>".into(),
            dataset: atena_proto::v1::Dataset::Payment.into(),
            fields: vec!["months.status".into()],
            method: "LinkageService/PullRecords".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_report_says_in_japanese_who_received_what_and_escapes_what_it_quotes() {
        let transfers = [
            transfer("id-1", TransferDirection::Outbound, TransferOutcome::Released),
            transfer("id-2", TransferDirection::Outbound, TransferOutcome::Released),
            transfer("id-3", TransferDirection::Outbound, TransferOutcome::Refused),
            Transfer {
                method: "TransferLogService/ListTransfers".into(),
                ..transfer("id-4", TransferDirection::Outbound, TransferOutcome::Released)
            },
        ];
        let systems = BTreeMap::from([("resident-tax".to_owned(), "市民税システム".to_owned())]);
        let report = Disclosure {
            person: "pension/1",
            made_at: "2026-11-01 09:00:00".into(),
            transfers: &transfers,
            systems: &systems,
            checkpoint: "log\n3\nroot\n",
            verifier_key: "log+00000000+key",
        };
        let html = report.to_html(&Contract::load().unwrap());
        for text in [
            "財務部市民税課 (市民税システム)",
            "月別納付記号",
            "納付",
            "条例&lt;第1条&gt;",
            "<td class=\"number\">2</td>",
            "id-3",
            "拒否",
        ] {
            assert!(html.contains(text), "{text} is missing");
        }
        assert!(!html.contains("id-4") && !html.contains("<第1条>"));
    }
}
