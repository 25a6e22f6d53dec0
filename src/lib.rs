//! upstreamd keeps nginx load balancers true to etcd.
//! Modules are listed in rank order, which is also a good order to read them in; see ARCHITECTURE.md.

pub mod model;

pub mod demo;
