//! The simulated network's controls behind the host's own front door.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, with_type};
use super::{Answered, Call};

impl FrontDoor {
    pub(super) async fn sim_control(&self, request: Request<Incoming>) -> Answered {
        let Some(sim) = &self.sim else {
            return Err(Problem::not_found("this host runs no simulated network"));
        };
        self.need_operator(request.headers()).await?;
        let method = request.method().as_str().to_owned();
        let path_and_query = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let body = Call { request, params: Vec::new() }.bytes(sim.body_bytes_max()).await?;
        let answer = sim.control(&method, &path_and_query, &body).await;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(with_type(status, &answer.content_type, answer.body.into()))
    }
}
