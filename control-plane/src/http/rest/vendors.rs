//! `/vendors`: which vendors are the tenant's, and which of their names are public.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::{PackageName, VendorName};
use serde_json::json;

use crate::error::ApiError;
use crate::http::envelope::{Paging, data, whole_list};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::{tenants, vendors};

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(whole_list(&paging, &vendors::list(&mut transaction).await?))
}

pub(crate) async fn put(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(vendor): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let vendor = VendorName::parse(&vendor).map_err(|error| ApiError::field("vendor", error))?;
    let exclusive = fields.flag("exclusive");
    let public_names = fields.list("public_names", 10_000, |text| {
        let name = PackageName::parse(text).map_err(|error| error.to_string())?;
        match name.vendor() == vendor.as_str() {
            true => Ok(name.as_str().to_owned()),
            false => Err(format!("must lie under the vendor `{}`", vendor.as_str())),
        }
    });
    fields.finish()?;
    let public_names = public_names.map(|mut names| {
        names.sort();
        names.dedup();
        names
    });
    let mut transaction = operator.begin(&state).await?;
    let after = vendors::put(&mut transaction, vendor.as_str(), exclusive, public_names.as_deref()).await?;
    tenants::touch(&mut transaction).await?;
    super::tenants::changed(&mut transaction).await?;
    let detail = json!({"exclusive": after.exclusive, "public_names": after.public_names});
    transaction.audit("vendor.update", vendor.as_str(), detail);
    transaction.commit().await?;
    Ok(data(after))
}
