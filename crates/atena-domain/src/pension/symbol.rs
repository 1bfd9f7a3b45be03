//! 月別納付記号: the symbol of one month in a payment record, as 「国民年金納付記録の見方」 lists them. Kana are full-width.

use SymbolGroup::{Exempt, Half, Other, Paid, QuarterPaid, Retroactive, ThreeQuartersPaid, Unpaid};

/// A symbol with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentSymbol {
    /// The symbol as sent: one character.
    pub symbol: char,
    /// What it means.
    pub japanese: &'static str,
    /// What kind of month it makes.
    pub group: SymbolGroup,
}

/// What kind of month a symbol makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolGroup {
    /// 未納.
    Unpaid,
    /// 免除等.
    Exempt,
    /// 納付.
    Paid,
    /// 半額免除の納付.
    Half,
    /// 4分の3免除の納付 (a quarter is paid).
    QuarterPaid,
    /// 4分の1免除の納付 (three quarters are paid).
    ThreeQuartersPaid,
    /// 追納 of a student's or deferred month.
    Retroactive,
    /// その他.
    Other,
}

const fn row(symbol: char, japanese: &'static str, group: SymbolGroup) -> PaymentSymbol {
    PaymentSymbol { symbol, japanese, group }
}

// === impl PaymentSymbol ===

impl PaymentSymbol {
    /// Every symbol of the legend.
    pub const ALL: [Self; 64] = [
        row('*', "未納", Unpaid),
        row('X', "定額＋付加未納", Unpaid),
        row('-', "第3号未納", Unpaid),
        row('&', "特定期間未納", Unpaid),
        row('ア', "半額未納", Unpaid),
        row('チ', "4分の3免除の未納", Unpaid),
        row('ヒ', "4分の1免除の未納", Unpaid),
        row('D', "産前産後免除", Exempt),
        row('E', "産前産後免除＋付加", Exempt),
        row('F', "産前産後免除＋付加（充当）", Exempt),
        row('L', "中国残留邦人等の特例", Exempt),
        row('R', "みなし免除（沖縄）", Exempt),
        row('Y', "法定免除", Exempt),
        row('Z', "申請全額免除", Exempt),
        row('サ', "学生納付特例", Exempt),
        row('セ', "納付猶予", Exempt),
        row('A', "定額納付", Paid),
        row('B', "定額＋付加納付", Paid),
        row('C', "定額納付＋付加未納", Paid),
        row('G', "定額前納＋付加納付", Paid),
        row('P', "定額前納", Paid),
        row('Q', "定額前納＋付加前納", Paid),
        row('V', "定額充当", Paid),
        row('W', "定額充当＋付加充当", Paid),
        row('T', "追納", Paid),
        row('U', "追納加算", Paid),
        row('H', "中国残留邦人等の追納", Paid),
        row('K', "特例納付", Paid),
        row('M', "特例納付", Paid),
        row('+', "第3号納付", Paid),
        row('$', "第3号特例納付", Paid),
        row('イ', "半額納付", Half),
        row('ウ', "半額前納", Half),
        row('エ', "半額充当", Half),
        row('オ', "半額納付済の追納", Half),
        row('カ', "半額納付済の追納加算", Half),
        row('キ', "半額前納済の追納", Half),
        row('ク', "半額前納済の追納加算", Half),
        row('ケ', "半額充当済の追納", Half),
        row('コ', "半額充当済の追納加算", Half),
        row('ツ', "4分の3免除の納付", QuarterPaid),
        row('テ', "4分の3免除の前納", QuarterPaid),
        row('ト', "4分の3免除の充当", QuarterPaid),
        row('マ', "4分の3免除納付済の追納", QuarterPaid),
        row('ミ', "4分の3免除納付済の追納加算", QuarterPaid),
        row('ム', "4分の3免除前納済の追納", QuarterPaid),
        row('メ', "4分の3免除前納済の追納加算", QuarterPaid),
        row('モ', "4分の3免除充当済の追納", QuarterPaid),
        row('ヤ', "4分の3免除充当済の追納加算", QuarterPaid),
        row('フ', "4分の1免除の納付", ThreeQuartersPaid),
        row('ヘ', "4分の1免除の前納", ThreeQuartersPaid),
        row('ホ', "4分の1免除の充当", ThreeQuartersPaid),
        row('ナ', "4分の1免除納付済の追納", ThreeQuartersPaid),
        row('ニ', "4分の1免除納付済の追納加算", ThreeQuartersPaid),
        row('ヌ', "4分の1免除前納済の追納", ThreeQuartersPaid),
        row('ネ', "4分の1免除前納済の追納加算", ThreeQuartersPaid),
        row('ノ', "4分の1免除充当済の追納", ThreeQuartersPaid),
        row('ハ', "4分の1免除充当済の追納加算", ThreeQuartersPaid),
        row('シ', "学生納付特例の追納", Retroactive),
        row('ス', "学生納付特例の追納加算", Retroactive),
        row('ソ', "納付猶予の追納", Retroactive),
        row('タ', "納付猶予の追納加算", Retroactive),
        row('/', "無資格", Other),
        row('#', "未切替", Other),
    ];

    /// The symbol that a text is; `None` for anything else, half-width kana included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        let symbol = characters.next().filter(|_| characters.as_str().is_empty())?;
        // By reference: a record has twelve months, and the list is two kilobytes.
        Self::ALL.iter().find(|known| known.symbol == symbol).copied()
    }

    /// Whether money may have been paid for such a month; where not, its amount has to be 0.
    #[must_use]
    pub fn is_paid(self) -> bool {
        match self.symbol {
            // 産前産後 exempts the flat premium alone: the additional premium (付加保険料) is paid or set off.
            'E' | 'F' => true,
            // 第3号 months are paid for by the spouse's scheme, without an amount of their own.
            '+' => false,
            _ => matches!(self.group, Paid | Half | QuarterPaid | ThreeQuartersPaid | Retroactive),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_symbol_of_the_legend_is_there_once() {
        let legend =
            "*X-&アチヒDEFLRYZサセABCGPQVWTUHKM+$イウエオキケカクコツテトマムモミメヤフヘホナヌノニネハシスソタ/#";
        let known: HashSet<char> = PaymentSymbol::ALL.iter().map(|row| row.symbol).collect();
        assert_eq!(known.len(), PaymentSymbol::ALL.len());
        assert_eq!(known, legend.chars().collect());
    }

    #[test]
    fn an_additional_premium_is_paid_even_in_an_exempt_maternity_month() {
        let paid = |text: &str| PaymentSymbol::parse(text).unwrap().is_paid();
        assert!(paid("E") && paid("F"));
        assert!(!paid("D") && !paid("Z") && !paid("+"));
    }

    #[test]
    fn only_one_full_width_character_is_a_symbol() {
        assert!(PaymentSymbol::parse("ア").is_some());
        for wrong in ["", "ｱ", "AA", "a", "Ａ", "あ"] {
            assert!(PaymentSymbol::parse(wrong).is_none(), "{wrong}");
        }
    }
}
