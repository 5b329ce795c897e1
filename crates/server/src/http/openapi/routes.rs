//! Routes with their descriptions: no route without one, no description without its route.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use throng_domain::admin_token::Role;

use super::operation::Operation;
use crate::state::CoreState;

/// Routes that are described.
#[derive(Debug, Default)]
pub struct DescribedRoutes {
    router: Router<Arc<CoreState>>,
    described: Vec<Route>,
}

/// A method of an address, and its description.
#[derive(Clone, Debug)]
pub struct Route {
    /// In lower case.
    pub method: &'static str,
    /// With its parameters, such as `/polls/{slug}`.
    pub path: String,
    /// The lowest role of a token that is needed, if one is.
    pub role: Option<Role>,
    /// Describes it.
    pub describe: fn() -> Operation,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $filter:ident;)+) => {
        impl DescribedRoutes {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name<H: Handler<T, Arc<CoreState>>, T: 'static>(
                    self,
                    path: &str,
                    handler: H,
                    describe: fn() -> Operation,
                ) -> Self {
                    let Self { router, mut described } = self;
                    described.push(Route { method: stringify!($name), path: path.to_owned(), role: None, describe });
                    Self { router: router.route(path, on(MethodFilter::$filter, handler)), described }
                }
            )+
        }
    };
}

methods! {
    /// With `GET`, and so `HEAD`.
    get GET;
    /// With `POST`.
    post POST;
    /// With `PUT`.
    put PUT;
    /// With `PATCH`.
    patch PATCH;
    /// With `DELETE`.
    delete DELETE;
}

impl DescribedRoutes {
    /// The routes, without their descriptions.
    pub fn into_router(self) -> Router<Arc<CoreState>> {
        self.router
    }

    /// The descriptions alone, of routes below this path, for tokens with this role, if one is needed.
    pub fn into_descriptions(self, prefix: &str, role: Option<Role>) -> Vec<Route> {
        let at = |route: Route| Route { path: format!("{prefix}{}", route.path), role, ..route };
        self.described.into_iter().map(at).collect()
    }
}
