use proptest::prelude::*;

use super::*;

/// What somebody might write who wants out of their prefix, or into somebody else's name.
const REFUSED: &[&str] = &[
    "",
    ".",
    "..",
    "tenant",
    "tenant.",
    "tenant.acme",
    "tenant.acme.sales",
    "tenant.acme.sales.",
    "tenant.acme..order",
    "tenant..sales.order",
    "tenant.acme.sales.order.v1",
    "tenant.acme.sales.order.",
    ".tenant.acme.sales.order",
    "Tenant.acme.sales.order",
    "TENANT.acme.sales.order",
    "tenants.acme.sales.order",
    "tenant.a.sales.order",
    "tenant.-acme.sales.order",
    "tenant.Acme.sales.order",
    "tenant.ac_me.sales.order",
    "tenant.acme.Sales.order",
    "tenant.acme.1sales.order",
    "tenant.acme.sales.1order",
    "tenant.acme.-sales.order",
    "tenant.acme.sales.-order",
    "tenant.acme.sales._order",
    "tenant.acme.sales.order ",
    " tenant.acme.sales.order",
    "tenant.acme.sales.order\n",
    "tenant.acme.sales.order\0",
    "tenant.acme.sales.or\0der",
    "tenant.acme.sales.or der",
    "tenant.acme.sales.or/der",
    "tenant.acme.sales.or\\der",
    "tenant.acme.sales.or:der",
    "tenant.acme.sales.or*der",
    "tenant.acme.sales.or@der",
    "tenant.acme.sales.order@1",
    "tenant.acme.sales.or%2eder",
    "tenant.acme.sales.%2e%2e",
    "tenant.acme.%2e%2e.order",
    "tenant.%2e%2e.sales.order",
    "tenant.acme.sales.%252e",
    "tenant.acme.sales.or%00der",
    "tenant.acme.../../globex.order",
    "tenant.acme/../globex.sales.order",
    "tenant.acme.sales/../../tenant-globex.order",
    "tenant.acme.sales.../order",
    "tenant.acme.sales.order/..",
    "tenant/acme/sales/order",
    "../tenant.acme.sales.order",
    "/tenant.acme.sales.order",
    "file:///tenant.acme.sales.order",
    "tenant.аcme.sales.order",        // Cyrillic а
    "tenant.acme.sаles.order",        // Cyrillic а
    "tenant.acme.sales.оrder",        // Cyrillic о
    "tenant.acme.sales.οrder",        // Greek ο
    "tenant.acme.sales.\u{ff4f}rder", // full-width o
    "tenant.acme.sales.оrder",
    "tenant.acme.sales.ordér",         // precomposed
    "tenant.acme.sales.orde\u{301}r",  // combining
    "tenant.acme.sales.order\u{200b}", // zero width
    "tenant.acme.sales.\u{202e}redro", // right to left
    "tenant\u{ff0e}acme.sales.order",  // full-width dot
    "tenant\u{2024}acme.sales.order",  // one dot leader
    "tenant.acme\u{3002}sales.order",  // ideographic full stop
    "tenant.acme.sales.\u{2215}order", // division slash
    "tenant.acme.sales.ſales",         // long s, which upper-cases to S
    "tenant.acme.sales.\u{212a}elvin", // Kelvin sign, which lower-cases to k
    "tenant.acme.sales.١",             // a digit, and no ASCII one
    "tenant.acme.sales.order\u{feff}",
    "\u{feff}tenant.acme.sales.order",
];

#[test]
fn nothing_gets_out_of_its_prefix() {
    for text in REFUSED {
        assert!(SchemaName::parse(text).is_err(), "{text:?}");
        assert!(VersionName::parse(&format!("{text}@1")).is_err(), "{text:?}");
        // Some are one word, and as such could be any part.
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) || text.is_empty() {
            assert!(SchemaName::new(text, "sales", "order").is_err(), "{text:?}");
            assert!(SchemaName::new("acme", text, "order").is_err(), "{text:?}");
            assert!(SchemaName::new("acme", "sales", text).is_err(), "{text:?}");
        }
    }
}

#[test]
fn a_full_name_has_parts_and_a_key() -> Result<(), Box<dyn std::error::Error>> {
    let name = SchemaName::parse("tenant.acme-1.sales_eu.OrderPlaced-v2")?;
    assert_eq!((name.code(), name.domain(), name.name()), ("acme-1", "sales_eu", "OrderPlaced-v2"));
    let hash = ContentHash::of(b"{}");
    assert_eq!(
        name.object_key(&hash),
        format!("schemas/tenant-acme-1/sales_eu/OrderPlaced-v2/{hash}")
    );
    let version = VersionName::parse("tenant.acme-1.sales_eu.OrderPlaced-v2@12")?;
    assert_eq!(version, name.at(VersionNumber::new(12)?));
    Ok(())
}

#[test]
fn each_part_is_at_most_63_characters() {
    let (fits, long) = ("a".repeat(63), "a".repeat(64));
    let name = |code: &str, domain: &str, name: &str| {
        SchemaName::parse(&format!("tenant.{code}.{domain}.{name}")).map(|name| name.to_string())
    };
    let longest = format!("tenant.{fits}.{fits}.{fits}");
    assert_eq!(longest.len(), MAX_LENGTH);
    assert_eq!(name(&fits, &fits, &fits), Ok(longest));
    assert_eq!(name(&long, "b", "c"), Err(InvalidName::Code));
    assert_eq!(name("aa", &long, "c"), Err(InvalidName::Domain));
    assert_eq!(name("aa", "b", &long), Err(InvalidName::Name));
    assert_eq!(name("aa", "b", &"c".repeat(1 << 20)), Err(InvalidName::Form));
}

#[test]
fn a_versions_number_is_written_in_one_way() {
    let number = |text: &str| VersionNumber::parse(text).map(VersionNumber::get);
    assert_eq!(number("1"), Ok(1));
    assert_eq!(number("2147483647"), Ok(i32::MAX));
    for wrong in
        ["", "0", "01", "+1", "-1", "1 ", " 1", "1.0", "0x1", "2147483648", "1@1", "latest", "١"]
    {
        assert_eq!(number(wrong), Err(InvalidName::Version), "{wrong:?}");
    }
    assert_eq!(VersionNumber::after(None), Some(VersionNumber::FIRST));
    assert_eq!(VersionNumber::after(VersionNumber::new(i32::MAX).ok()), None);
}

proptest! {
    /// Near-misses of names: each character of a real one may be any other.
    #[test]
    fn what_parses_prints_back_to_itself(
        text in "(tenant|tenan.)[.](\\PC|[a-z0-9-]){1,9}[.](\\PC|[a-z_]){1,9}[.](\\PC|[A-Za-z_-]){1,9}(@[0-9]{1,3})?"
    ) {
        if let Ok(name) = SchemaName::parse(&text) {
            prop_assert_eq!(name.to_string(), text.clone());
            prop_assert!(text.is_ascii());
        }
        if let Ok(version) = VersionName::parse(&text) {
            prop_assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn whatever_is_allowed_parses_and_its_key_stays_in_its_prefix(
        code in "[a-z0-9][a-z0-9-]{1,62}",
        domain in "[a-z][a-z0-9_-]{0,62}",
        name in "[A-Za-z][A-Za-z0-9_-]{0,62}",
        number in 1..=i32::MAX,
    ) {
        let text = format!("tenant.{code}.{domain}.{name}@{number}");
        let version = VersionName::parse(&text)?;
        prop_assert_eq!(version.to_string(), text);
        let key = version.schema.object_key(&ContentHash::of(b""));
        let prefix = format!("schemas/tenant-{code}/");
        prop_assert!(key.starts_with(&prefix));
        prop_assert_eq!(&version.schema.tenant_prefix(), &prefix);
        let segments = key.split('/').collect::<Vec<_>>();
        prop_assert_eq!(segments.len(), 5);
        prop_assert!(segments.iter().all(|segment| !segment.is_empty() && !segment.contains('.')));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
        prop_assert!(key.bytes().all(plain));
    }

    #[test]
    fn any_text_at_all_is_refused_or_a_name(text in "\\PC*") {
        if let Ok(name) = SchemaName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
