//! The stores against real etcd servers, real files and the environment.

mod follower;

mod etcd_follow;
mod etcd_outage;
