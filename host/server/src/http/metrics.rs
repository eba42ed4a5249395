//! `GET /metrics`: for the operator at the front door, for whoever reaches it at an address of its own.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::front_door::FrontDoor;
use super::listener::Answers;
use super::problem::{Answer, Problem, with_type, wrong_method};
use crate::metrics::{METRICS_TYPE, MetricsPage};

/// Answers at the address of the metrics alone, and asks for no key.
pub struct MetricsDoor(pub Arc<MetricsPage>);

#[async_trait]
impl Answers for MetricsDoor {
    async fn answer(&self, request: Request<Incoming>, _peer: IpAddr) -> Answer {
        if request.uri().path() != "/metrics" {
            return Problem::not_found("only /metrics is served here").answer();
        }
        page(&self.0, request.method()).await.unwrap_or_else(Problem::answer)
    }
}

impl FrontDoor {
    pub(super) async fn metrics(&self, request: &Request<Incoming>) -> Answer {
        let answered = match self.need_operator(request.headers()).await {
            Ok(()) => page(&self.metrics, request.method()).await,
            Err(refused) => Err(refused),
        };
        answered.unwrap_or_else(Problem::answer)
    }
}

async fn page(page: &MetricsPage, method: &Method) -> Result<Answer, Problem> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Ok(wrong_method(&["GET"]));
    }
    Ok(with_type(StatusCode::OK, METRICS_TYPE, page.render().await?.into()))
}
