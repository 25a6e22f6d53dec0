//! The table of metrics: the source of each metric's lines on `/metrics` and of its row in `docs/metrics.md`.
//! Pure: holds names and words, never a number.

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name, with the unit.
    pub name: &'static str,
    /// Type of its numbers.
    pub kind: MetricKind,
    /// Names of its labels. Label values are names from conf.d or fixed words, never from the store, except for `cause`: it may be the
    /// name of a key, shortened.
    pub labels: &'static [&'static str],
    /// Help text: a sentence.
    pub help: &'static str,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Counts in buckets by size.
    Histogram,
}

impl MetricKind {
    /// Returns Prometheus' word for it.
    pub fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// Defines a static for each metric, and the list of all of them.
macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub static $id: Metric =
            Metric { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };)*
        /// Every metric, in the order of the page.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "upstreamd_build_info" ["version"] "Always 1; the version is in the label.";
    READY = Gauge "upstreamd_ready" [] "1 when something verified is live and the store is followed and refuses nothing, as /ready says.";
    APPLIED = Gauge "upstreamd_applied" [] "1 once something verified has gone live since the start, as /applied says.";
    IN_SYNC = Gauge "upstreamd_in_sync" [] "1 when what is live is what the store says, or conf.d has no resource; 0 until each group has had its first pass; upstreamd_condition_since_seconds has what is in the way.";
    SERVING = Gauge "upstreamd_serving" [] "1 when nothing is known to keep clients from being served: nginx runs, and each list has a backend; 0 until nginx has been looked at.";
    CONDITION_SINCE = Gauge "upstreamd_condition_since_seconds" ["kind", "subject", "cause"]
        "Start of each thing that is not good, in seconds since 1970; absent when it is over. The cause is the first key, file or process; of old workers there is none.";
    APPLIED_REVISION = Gauge "upstreamd_applied_revision" []
        "Revision of the settings' store that was applied last; absent before the first pass, also after a restore of that store.";
    PROBLEMS = Gauge "upstreamd_configuration_problems" [] "Problems in conf.d and templates; what they concern keeps its last good version.";
    RESOURCES = Gauge "upstreamd_resources" [] "Resources that are kept in sync.";
    LOADS = Counter "upstreamd_configuration_loads_total" [] "Times that conf.d or templates were read and had changed.";
    RENDERS = Counter "upstreamd_renders_total" [] "Renders of a resource.";

    STORE_FOLLOWED = Gauge "upstreamd_store_followed" ["backend"] "1 while the store is followed.";
    STORE_REVISION = Gauge "upstreamd_store_revision" ["backend"] "Newest revision read; absent before the first.";
    STORE_LOST = Gauge "upstreamd_store_lost_seconds" ["backend"] "Time since the store was last followed; 0 while it is followed.";
    STORE_LOST_TOTAL = Counter "upstreamd_store_lost_seconds_total" ["backend"] "Total time in which the store was not followed.";
    STORE_LOSSES = Counter "upstreamd_store_losses_total" ["backend"] "Times that following the store broke off.";

    GROUP_STATE = Gauge "upstreamd_group_state" ["group", "state"]
        "1 for the state of the group. A group is the resources that share their commands, named after the first of them.";
    GROUP_REVISION = Gauge "upstreamd_group_applied_revision" ["group"] "Store revision of the group's last successful pass.";
    GROUP_APPLIED_AT = Gauge "upstreamd_group_applied_timestamp_seconds" ["group"] "When that pass ended, in seconds since 1970.";
    GROUP_FAILURES = Gauge "upstreamd_group_failures" ["group"] "Failed passes since then.";
    PASSES = Counter "upstreamd_passes_total" ["outcome"] "Passes over a group, by outcome.";
    RELOADS = Counter "upstreamd_reloads_total" ["outcome"]
        "Reloads, by outcome: verified; unverified (no nginx to look at); nothing_runs (owed until nginx starts); failed (owed); rolled_back; stuck.";
    RELOADS_OWED = Gauge "upstreamd_reloads_owed" [] "Groups that owe a reload.";
    VERIFY = Histogram "upstreamd_reload_verify_seconds" ["stage"]
        "Time from asking nginx to reload to: accepted (a new worker), healthy (all of them, for a moment), converged (every old one is leaving).";
    DRAIN = Histogram "upstreamd_drain_seconds" [] "Time from a change until nothing uses what it removed: to the end of nginx's last old worker, or of the last connection to a removed backend.";
    ENDPOINTS = Histogram "upstreamd_endpoints_taken_seconds" [] "Time from a change of endpoints that nginx asks for until it has taken them.";
    ENDPOINTS_UNTAKEN = Gauge "upstreamd_endpoints_untaken" [] "Resources whose changed endpoints nginx has not taken yet; for about a second after each change.";
    WORKERS_LEAVING = Gauge "upstreamd_nginx_workers_draining" [] "Old workers of nginx that are finishing their connections.";
    WORKERS_SERVING = Gauge "upstreamd_nginx_workers_serving" [] "Workers of nginx with its current configuration; 0 while it is not running.";
    NGINX_RUNNING = Gauge "upstreamd_nginx_running" [] "1 while nginx runs, looked at every second; 0 while one does not; absent if no group reloads nginx or `verify` is off.";

    HELD = Gauge "upstreamd_resource_held" ["resource"] "1 while the last good file stays because the store has lost backends.";
    FAILING = Gauge "upstreamd_resource_failing" ["resource"] "1 while the resource fails, alone or with others of its group; an nginx that is not running is no failure.";
    SKIPPED_KEYS = Gauge "upstreamd_backends_set_aside" ["resource"] "Keys skipped because they do not decode as a backend.";
    OMITTED = Gauge "upstreamd_series_omitted" [] "Resources and groups beyond the first 1000, which have no lines.";

    CONFD_REQUEST_SECONDS = Histogram "confd_backend_request_duration_seconds" ["backend", "operation"]
        "get_values: reading everything, with every retry; watch_prefix: from one event to the next; health_check_detailed: the request of /ready/detailed.";
    CONFD_REQUESTS = Counter "confd_backend_request_total" ["backend", "operation"] "Number of these requests.";
    CONFD_ERRORS = Counter "confd_backend_errors_total" ["backend", "operation"] "Number of these requests that failed.";
    CONFD_HEALTHY = Gauge "confd_backend_healthy" ["backend"] "Same as upstreamd_store_followed.";
    CONFD_TEMPLATE_SECONDS = Histogram "confd_template_process_duration_seconds" ["dest"] "Time of passes that this destination took part in.";
    CONFD_TEMPLATES = Counter "confd_template_process_total" ["dest", "status"] "Number of these passes: success or error.";
    CONFD_CACHE_HITS = Counter "confd_template_cache_hits_total" [] "Same as upstreamd_renders_total: each uses a compiled template.";
    CONFD_CACHE_MISSES = Counter "confd_template_cache_misses_total" [] "Templates compiled.";
    CONFD_STAT_HITS = Counter "confd_template_stat_cache_hits_total" [] "Same as the cache hits: templates are watched, a render never looks at the file.";
    CONFD_LOADED = Gauge "confd_templates_loaded" [] "Same as upstreamd_resources.";
    CONFD_KEYS = Gauge "confd_watched_keys" [] "Distinct keys that resources ask for.";
    CONFD_BATCHES = Counter "confd_batch_process_total" [] "Passes over a group.";
    CONFD_BATCHES_FAILED = Counter "confd_batch_process_failed_total" [] "Passes in which something failed.";
    CONFD_BATCH_SUCCEEDED = Counter "confd_batch_templates_succeeded_total" [] "Resources that succeeded, over all passes.";
    CONFD_BATCH_FAILED = Counter "confd_batch_templates_failed_total" [] "Resources that failed, over all passes.";
    CONFD_COMMAND_SECONDS = Histogram "confd_command_duration_seconds" ["type", "dest"]
        "Time of check and reload commands; dest is the group's first destination.";
    CONFD_COMMANDS = Counter "confd_command_total" ["type", "dest"] "Number of these runs.";
    CONFD_EXIT_CODES = Counter "confd_command_exit_code_total" ["type", "exit_code"] "Number of these runs by exit code: 0, or 1 for any failure.";
    CONFD_SYNCS = Counter "confd_file_sync_total" ["dest"] "Times the file was replaced.";
    CONFD_CHANGED = Counter "confd_file_changed_total" [] "Files replaced.";
    CONFD_CLEANUP_ERRORS = Counter "confd_stage_file_cleanup_errors_total" [] "Staged files that could not be removed; the next start tries again.";

    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "CPU time of this process, user and system.";
    PROCESS_FILES = Gauge "process_open_fds" [] "Open file descriptors.";
    PROCESS_MAX_FILES = Gauge "process_max_fds" [] "Limit of open file descriptors.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Address space in use.";
    PROCESS_MAX_VIRTUAL = Gauge "process_virtual_memory_max_bytes" [] "Limit of the address space; absent if there is no limit.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When this process started, in seconds since 1970.";
}
