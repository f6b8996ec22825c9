//! The shapes of success: `{"data": …}`, and lists with their page.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::error::{ApiError, Detail};
use crate::http::router::API;
use crate::store::Page;

/// `{"data": …}` with 200.
pub(crate) fn data<T: Serialize>(value: T) -> Response {
    data_with(StatusCode::OK, value)
}

/// `{"data": …}` with 201.
pub(crate) fn created<T: Serialize>(value: T) -> Response {
    data_with(StatusCode::CREATED, value)
}

/// `{"data": …}` with any status.
pub(crate) fn data_with<T: Serialize>(status: StatusCode, value: T) -> Response {
    #[derive(Serialize)]
    struct Data<T> {
        data: T,
    }
    no_store((status, Json(Data { data: value })).into_response())
}

/// The answer to a DELETE: what was there, and beside it in `deletion` how to undo it.
pub(crate) fn deleted<T: Serialize>(value: &T, way_back: &Value) -> Result<Response, ApiError> {
    let mut body = serde_json::to_value(value).map_err(|error| ApiError::Internal(error.into()))?;
    if let Some(body) = body.as_object_mut() {
        body.insert("deletion".to_owned(), way_back.clone());
    }
    Ok(data(body))
}

/// Answers of the API are never kept by anyone.
pub(crate) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Which page of a list is asked for, and the rest of the query for the links to others.
#[derive(Debug, Clone)]
pub(crate) struct Paging {
    page: i64,
    per_page: i64,
    path: String,
    rest: Vec<(String, String)>,
}

const PER_PAGE: i64 = 50;
const MOST_PER_PAGE: i64 = 200;
/// Beyond this a client should narrow its question; it also keeps the offset far from overflow.
const MOST_PAGES: i64 = 1_000_000;

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(query): Query<Vec<(String, String)>> = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::field("query", error.body_text()))?;
        let mut problems = Vec::new();
        let mut number = |name: &str, default: i64, most: i64| {
            let Some((_, text)) = query.iter().find(|(key, _)| key == name) else { return default };
            match text.parse::<i64>() {
                Ok(value) if (1..=most).contains(&value) => value,
                _ => {
                    let message = format!("must be a whole number from 1 to {most}");
                    problems.push(Detail { field: name.to_owned(), message });
                    default
                }
            }
        };
        let page = number("page", 1, MOST_PAGES);
        let per_page = number("per_page", PER_PAGE, MOST_PER_PAGE);
        if !problems.is_empty() {
            return Err(ApiError::Validation(problems));
        }
        // A nested router sees a part of the path; links need all of it.
        let path = format!("{API}{}", parts.uri.path());
        let rest = query.into_iter().filter(|(key, _)| key != "page" && key != "per_page").collect();
        Ok(Self { page, per_page, path, rest })
    }
}

impl Paging {
    /// For the store.
    pub(crate) fn page(&self) -> Page {
        Page { offset: (self.page - 1) * self.per_page, limit: self.per_page }
    }

    /// Values of the query by name.
    pub(crate) fn query(&self) -> HashMap<&str, &str> {
        self.rest.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// One page of a list.
    pub(crate) fn answer<T: Serialize>(&self, rows: &[T], total: i64) -> Response {
        #[derive(Serialize)]
        struct List<'a, T> {
            data: &'a [T],
            pagination: Pagination,
        }
        #[derive(Serialize)]
        struct Pagination {
            page: i64,
            per_page: i64,
            total: i64,
            total_pages: i64,
        }
        let total_pages = (total + self.per_page - 1) / self.per_page;
        let pagination = Pagination { page: self.page, per_page: self.per_page, total, total_pages };
        let mut response = no_store(Json(List { data: rows, pagination }).into_response());
        if let Ok(links) = HeaderValue::from_str(&self.links(total_pages)) {
            response.headers_mut().insert(header::LINK, links);
        }
        response
    }

    fn links(&self, total_pages: i64) -> String {
        let last = total_pages.max(1);
        let link = |page: i64, relation: &str| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.rest);
            query.append_pair("page", &page.to_string()).append_pair("per_page", &self.per_page.to_string());
            format!("<{}?{}>; rel=\"{relation}\"", self.path, query.finish())
        };
        let mut links = vec![link(1, "first")];
        if self.page > 1 {
            links.push(link((self.page - 1).min(last), "prev"));
        }
        if self.page < last {
            links.push(link(self.page + 1, "next"));
        }
        links.push(link(last, "last"));
        links.join(", ")
    }
}

/// A list that is always whole: one page.
pub(crate) fn whole_list<T: Serialize>(paging: &Paging, rows: &[T]) -> Response {
    let page = paging.page();
    let start = usize::try_from(page.offset).unwrap_or(usize::MAX).min(rows.len());
    let end = start.saturating_add(usize::try_from(page.limit).unwrap_or(0)).min(rows.len());
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    paging.answer(rows.get(start..end).unwrap_or_default(), total)
}
