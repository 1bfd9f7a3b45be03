//! What the enums of the contract are called: the name that filters and JSON use, and the Japanese term for tables.

use atena_proto::v1::{
    Dataset, OperatorProof, PushOutcome, RegistrationOutcome, Transfer, TransferDirection, TransferOutcome,
};
use jiff::{Timestamp, tz};

use crate::cli::DatasetArg;

impl DatasetArg {
    /// The dataset of the contract.
    pub(crate) fn wire(self) -> Dataset {
        match self {
            Self::Qualification => Dataset::Qualification,
            Self::Payment => Dataset::Payment,
            Self::Exemption => Dataset::Exemption,
            Self::Benefit => Dataset::Benefit,
            Self::WelfarePension => Dataset::WelfarePension,
        }
    }
}

/// `payment`, as rules and file names spell it; empty where none was named.
pub(crate) fn dataset_id(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::Unspecified => "",
        Dataset::Person => "person",
        Dataset::Qualification => "qualification",
        Dataset::Payment => "payment",
        Dataset::Exemption => "exemption",
        Dataset::Benefit => "benefit",
        Dataset::WelfarePension => "welfare_pension",
    }
}

/// 納付.
pub(crate) fn dataset_japanese(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::Unspecified => "",
        Dataset::Person => "宛名",
        Dataset::Qualification => "資格",
        Dataset::Payment => "納付",
        Dataset::Exemption => "免除",
        Dataset::Benefit => "給付",
        Dataset::WelfarePension => "福祉年金",
    }
}

/// `ISSUED`.
pub(crate) fn registration_outcome(outcome: RegistrationOutcome) -> &'static str {
    suffix(outcome.as_str_name(), "REGISTRATION_OUTCOME_")
}

/// `STORED`.
pub(crate) fn push_outcome(outcome: PushOutcome) -> &'static str {
    suffix(outcome.as_str_name(), "PUSH_OUTCOME_")
}

/// `RELEASED`.
pub(crate) fn transfer_outcome(outcome: TransferOutcome) -> &'static str {
    suffix(outcome.as_str_name(), "TRANSFER_OUTCOME_")
}

/// `OUTBOUND`.
pub(crate) fn direction(direction: TransferDirection) -> &'static str {
    suffix(direction.as_str_name(), "TRANSFER_DIRECTION_")
}

/// `CERTIFICATE`; empty where there is no operator.
pub(crate) fn operator_proof(proof: OperatorProof) -> &'static str {
    match proof {
        OperatorProof::Unspecified => "",
        proof => suffix(proof.as_str_name(), "OPERATOR_PROOF_"),
    }
}

/// The Japanese term of an outcome.
pub(crate) fn outcome_japanese(name: &str) -> &'static str {
    match name {
        "ISSUED" => "付番",
        "LINKED" => "紐付け",
        "UPDATED" => "更新",
        "UNCHANGED" => "変更なし",
        "REVIEW_REQUIRED" => "名寄せ確認",
        "STORED" => "登録",
        "DELETED" => "削除",
        "REJECTED" => "エラー",
        "RELEASED" => "提供",
        "RECEIVED" => "入手",
        "REFUSED" => "拒否",
        "CANCELLED" => "取消",
        "TIMED_OUT" => "時間切れ",
        "FAILED" => "失敗",
        "ERASED" => "消去",
        "DONE" => "実施",
        _ => "",
    }
}

/// The Japanese term of a reason of an item; empty where there is none.
pub(crate) fn reason_japanese(reason: &str) -> &'static str {
    match reason {
        "UNREADABLE_ROW" => "読めない行",
        "UNREADABLE_HEADER" => "読めない見出し",
        "INVALID_FIELD" => "項目の誤り",
        "INVALID_PERSONAL_NUMBER" => "個人番号の誤り",
        "LOCAL_NUMBER_NOT_LINKED" => "宛名番号が未登録",
        "LOCAL_NUMBER_CONFLICT" => "宛名番号の重複",
        "PERSONAL_NUMBER_CONFLICT" => "個人番号の重複",
        "PERSONAL_NUMBER_NOT_PERMITTED" => "個人番号を利用できない",
        "REVISION_CONFLICT" => "改訂番号の重複",
        "STALE_REVISION" => "改訂番号が古い",
        "UNKNOWN_DATASET" => "情報の種類の誤り",
        "STORE_UNAVAILABLE" | "LOG_UNAVAILABLE" => "一時的に利用できない",
        "REVIEW_REQUIRED" => "名寄せ確認",
        _ => "",
    }
}

/// When a transfer was answered, in Japan: `2026-11-01 09:30:00`.
pub(crate) fn japanese_time(transfer: &Transfer) -> String {
    let Some(time) = &transfer.provided_time else { return String::new() };
    match Timestamp::new(time.seconds, 0) {
        Ok(time) => tz::offset(9).to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}

fn suffix(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_filters() {
        assert_eq!(transfer_outcome(TransferOutcome::TimedOut), "TIMED_OUT");
        assert_eq!(direction(TransferDirection::Outbound), "OUTBOUND");
        assert_eq!(dataset_id(DatasetArg::WelfarePension.wire()), "welfare_pension");
    }

    #[test]
    fn times_are_told_in_japan() {
        let time = prost_types::Timestamp { seconds: 1_793_491_200, nanos: 0 };
        let transfer = Transfer { provided_time: Some(time), ..Default::default() };
        assert_eq!(japanese_time(&transfer), "2026-11-01 09:00:00");
    }
}
