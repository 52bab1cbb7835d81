//! The subgraph that Apollo's suite asks for, written after what it checks: its products, with
//! every directive of federation 2.3 once.

use async_graphql::{
    ComplexObject, EmptyMutation, EmptySubscription, ID, InputObject, Object, Schema, SimpleObject,
    TypeDirective,
};

pub type Products = Schema<Query, EmptyMutation, EmptySubscription>;

#[TypeDirective(
    location = "Object",
    composable = "https://myspecs.dev/myCustomDirective/v1.0",
    name = "custom"
)]
pub fn custom() {}

#[derive(Clone, Copy)]
struct Entry {
    id: &'static str,
    sku: &'static str,
    package: &'static str,
    variation: &'static str,
    case_number: &'static str,
}

const ENTRIES: [Entry; 2] = [
    Entry {
        id: "apollo-federation",
        sku: "federation",
        package: "@apollo/federation",
        variation: "OSS",
        case_number: "1234",
    },
    Entry {
        id: "apollo-studio",
        sku: "studio",
        package: "",
        variation: "platform",
        case_number: "1235",
    },
];
const STUDIES: [(&str, &str); 2] = [("1234", "Federation Study"), ("1235", "Studio Study")];
const SUPPORT: &str = "support@apollographql.com";

#[derive(SimpleObject)]
#[graphql(directive = custom::apply())]
struct Product {
    id: ID,
    sku: Option<String>,
    package: Option<String>,
    variation: Option<ProductVariation>,
    dimensions: Option<ProductDimension>,
    #[graphql(provides = "totalProductsCreated")]
    created_by: Option<User>,
    #[graphql(tag = "internal")]
    notes: Option<String>,
    research: Vec<ProductResearch>,
}

#[derive(SimpleObject)]
struct ProductVariation {
    id: ID,
}

#[derive(InputObject)]
struct VariationKey {
    id: ID,
}

#[derive(SimpleObject)]
#[graphql(shareable)]
struct ProductDimension {
    size: Option<String>,
    weight: Option<f64>,
    #[graphql(inaccessible)]
    unit: Option<String>,
}

#[derive(SimpleObject)]
struct ProductResearch {
    study: CaseStudy,
    outcome: Option<String>,
}

#[derive(SimpleObject)]
struct CaseStudy {
    case_number: ID,
    description: Option<String>,
}

#[derive(InputObject)]
struct StudyKey {
    case_number: ID,
}

#[derive(SimpleObject)]
struct DeprecatedProduct {
    sku: String,
    package: String,
    reason: Option<String>,
    created_by: Option<User>,
}

#[derive(SimpleObject)]
#[graphql(extends, complex)]
struct User {
    #[graphql(external)]
    email: ID,
    #[graphql(override_from = "users")]
    name: Option<String>,
    #[graphql(external)]
    total_products_created: Option<i32>,
    #[graphql(external)]
    years_of_employment: i32,
}

#[ComplexObject]
impl User {
    #[graphql(requires = "totalProductsCreated yearsOfEmployment")]
    async fn average_products_created_per_year(&self) -> Option<i32> {
        self.total_products_created?.checked_div(self.years_of_employment)
    }
}

#[derive(SimpleObject)]
#[graphql(interface_object)]
struct Inventory {
    id: ID,
    deprecated_products: Vec<DeprecatedProduct>,
}

fn user() -> User {
    User {
        email: SUPPORT.into(),
        name: Some("Jane Smith".to_owned()),
        total_products_created: Some(1_337),
        years_of_employment: 10,
    }
}

fn research(number: &str) -> Option<ProductResearch> {
    let (number, description) = STUDIES.iter().find(|(known, _)| *known == number)?;
    let description = Some((*description).to_owned());
    Some(ProductResearch {
        study: CaseStudy { case_number: (*number).into(), description },
        outcome: None,
    })
}

fn product(chosen: impl Fn(&Entry) -> bool) -> Option<Product> {
    let entry = ENTRIES.iter().find(|entry| chosen(entry))?;
    Some(Product {
        id: entry.id.into(),
        sku: Some(entry.sku.to_owned()),
        package: Some(entry.package.to_owned()),
        variation: Some(ProductVariation { id: entry.variation.into() }),
        dimensions: Some(ProductDimension {
            size: Some("small".to_owned()),
            weight: Some(1.0),
            unit: Some("kg".to_owned()),
        }),
        created_by: Some(user()),
        notes: None,
        research: research(entry.case_number).into_iter().collect(),
    })
}

fn deprecated() -> DeprecatedProduct {
    DeprecatedProduct {
        sku: "apollo-federation-v1".to_owned(),
        package: "@apollo/federation-v1".to_owned(),
        reason: Some("Migrate to Federation V2".to_owned()),
        created_by: Some(user()),
    }
}

#[derive(Default)]
pub struct Query;

#[Object]
impl Query {
    async fn product(&self, id: ID) -> Option<Product> {
        product(|entry| id == entry.id)
    }

    #[graphql(deprecation = "Use product query instead")]
    async fn deprecated_product(&self, sku: String, package: String) -> Option<DeprecatedProduct> {
        Some(deprecated()).filter(|known| known.sku == sku && known.package == package)
    }

    #[graphql(entity)]
    async fn product_by_id(&self, id: ID) -> Option<Product> {
        product(|entry| id == entry.id)
    }

    #[graphql(entity)]
    async fn product_by_package(&self, sku: String, package: String) -> Option<Product> {
        product(|entry| sku == entry.sku && package == entry.package)
    }

    #[graphql(entity)]
    async fn product_by_variation(&self, sku: String, variation: VariationKey) -> Option<Product> {
        product(|entry| sku == entry.sku && variation.id == entry.variation)
    }

    #[graphql(entity)]
    async fn deprecated_by_key(&self, sku: String, package: String) -> Option<DeprecatedProduct> {
        Some(deprecated()).filter(|known| known.sku == sku && known.package == package)
    }

    #[graphql(entity)]
    async fn research_by_study(&self, study: StudyKey) -> Option<ProductResearch> {
        research(&study.case_number)
    }

    #[graphql(entity)]
    async fn user_by_email(
        &self,
        #[graphql(key)] email: ID,
        total_products_created: Option<i32>,
        years_of_employment: Option<i32>,
    ) -> Option<User> {
        (email == SUPPORT).then(|| User {
            total_products_created: total_products_created.or(Some(1_337)),
            years_of_employment: years_of_employment.unwrap_or(10),
            ..user()
        })
    }

    #[graphql(entity)]
    async fn inventory_by_id(&self, id: ID) -> Option<Inventory> {
        (id == "apollo-oss").then(|| Inventory { id, deprecated_products: vec![deprecated()] })
    }
}
