//! The stores against real etcd servers, real files and the environment.

mod follower;

mod env;
mod etcd_access;
mod etcd_cluster;
mod etcd_fleet;
mod etcd_follow;
mod etcd_hostile;
mod etcd_outage;
mod etcd_tls;
mod file;
