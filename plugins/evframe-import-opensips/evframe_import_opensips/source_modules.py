"""The modules of OpenSIPS that raise events, whose place a package of the same name takes, and their parameters."""

from __future__ import annotations

from typing import Final

from evframe_import_opensips import values
from evframe_import_opensips.tables import Module, ModuleParameter, without_option

SOURCE_MODULES: Final = {
    "dialog": Module("dialog"),
    "dispatcher": Module("dispatcher"),
    "fraud_detection": Module("fraud-detection"),
    "load_balancer": Module("load-balancer"),
    "pike": Module("pike"),
    "rabbitmq_consumer": Module("rabbitmq-consumer"),
    "usrloc": Module("usrloc"),
}

_P = ModuleParameter
_NO_CLUSTER: Final = "each gateway counts for itself: there is no cluster"
_NO_FREESWITCH: Final = "no statistics of FreeSWITCH are fetched"
_NO_SCRIPT: Final = "of the script: there is none"
_DESTINATIONS: Final = "destinations are tables of the configuration, or of `file`"
_RULES: Final = "rules are tables of the configuration, or of `rules_file`"
_STORE: Final = "`db_path` names an SQLite file"
_NO_STORE: Final = "sessions are in memory alone"
_OF_CONNECTIONS: Final = "of each connection"

SOURCE_PARAMETERS: Final = (
    _P("dialog", "default_timeout", "default_timeout_s", values.number),
    _P("dialog", "options_ping_interval", "options_ping_interval_s", values.number),
    _P("dialog", "reinvite_ping_interval", "reinvite_ping_interval_s", values.number),
    _P("dialog", "race_condition_timeout", "race_condition_timeout_s", values.number),
    _P("dialog", "delete_delay", "delete_delay_s", values.number),
    _P("dialog", "hash_size", "hash_size", values.number),
    *without_option("dialog", _NO_STORE, "db_mode", "db_url", "db_update_period", "db_flush_vals_profiles"),
    *without_option("dialog", _NO_STORE, "table_name", "cachedb_url", "profile_no_value_prefix"),
    *without_option("dialog", _NO_STORE, "profile_value_prefix", "profile_size_prefix", "profile_timeout"),
    *without_option(
        "dialog", _NO_CLUSTER, "dialog_replication_cluster", "profile_replication_cluster", "cluster_auto_sync"
    ),
    *without_option("dialog", _NO_SCRIPT, "rr_param", "dlg_extra_hdrs", "dlg_match_mode", "dlg_sharing_tag"),
    *without_option("dialog", "there are no profiles", "profiles_with_value", "profiles_no_value"),
    *without_option("dialog", "there are no profiles", "log_profile_hash_size"),
    _P("dispatcher", "ds_ping_interval", "ds_ping_interval_s", values.number),
    _P("dispatcher", "ds_probing_threshold", "ds_probing_threshold", values.number),
    _P("dispatcher", "ds_probing_threshhold", "ds_probing_threshold", values.number, "the older spelling"),
    _P("dispatcher", "ds_probing_mode", "ds_probing_mode", values.number),
    _P("dispatcher", "ds_probing_list", "ds_probing_list", values.text),
    _P("dispatcher", "ds_ping_method", "ds_ping_method", values.text),
    _P("dispatcher", "ds_ping_from", "ds_ping_from", values.text),
    _P("dispatcher", "ds_ping_maxfwd", "ds_ping_maxfwd", values.number),
    _P("dispatcher", "ds_probing_sock", "ds_probing_sock", values.text),
    _P("dispatcher", "options_reply_codes", "options_reply_codes", values.text),
    _P("dispatcher", "persistent_state", "persistent_state", values.switch, "kept in `state_file`"),
    *without_option("dispatcher", _DESTINATIONS, "db_url", "table_name", "setid_col", "destination_col", "state_col"),
    *without_option("dispatcher", _DESTINATIONS, "weight_col", "priority_col", "attrs_col", "description_col"),
    *without_option("dispatcher", _DESTINATIONS, "socket_col", "probe_mode_col", "partition"),
    *without_option("dispatcher", _NO_SCRIPT, "dst_avp", "attrs_avp", "grp_avp", "cnt_avp", "sock_avp"),
    *without_option("dispatcher", _NO_SCRIPT, "script_attrs_avp", "hash_pvar", "setid_pvar", "algo_route", "flags"),
    *without_option("dispatcher", _NO_SCRIPT, "force_dst", "use_default", "ds_define_blacklist", "ds_define_blocklist"),
    *without_option("dispatcher", _NO_CLUSTER, "cluster_id", "cluster_sharing_tag", "cluster_probing_mode"),
    *without_option("dispatcher", _NO_FREESWITCH, "fetch_freeswitch_stats", "max_freeswitch_weight"),
    _P("fraud_detection", "use_utc_time", "use_utc_time", values.switch),
    *without_option("fraud_detection", _RULES, "db_url", "table_name", "rid_col", "pid_col", "prefix_col"),
    *without_option("fraud_detection", _RULES, "start_h_col", "end_h_col", "days_col", "cpm_thresh_warn_col"),
    *without_option("fraud_detection", _RULES, "cpm_thresh_crit_col", "calldur_thresh_warn_col"),
    *without_option("fraud_detection", _RULES, "calldur_thresh_crit_col", "totalc_thresh_warn_col"),
    *without_option("fraud_detection", _RULES, "totalc_thresh_crit_col", "concalls_thresh_warn_col"),
    *without_option("fraud_detection", _RULES, "concalls_thresh_crit_col", "seqcalls_thresh_warn_col"),
    *without_option("fraud_detection", _RULES, "seqcalls_thresh_crit_col"),
    _P("load_balancer", "probing_interval", "probing_interval_s", values.number),
    _P("load_balancer", "probing_method", "probing_method", values.text),
    _P("load_balancer", "probing_from", "probing_from", values.text),
    _P("load_balancer", "probing_reply_codes", "probing_reply_codes", values.text),
    _P("load_balancer", "probing_verbose", "probing_verbose", values.switch),
    *without_option("load_balancer", _DESTINATIONS, "db_url", "db_table"),
    *without_option("load_balancer", _NO_SCRIPT, "lb_define_blacklist", "lb_define_blocklist"),
    *without_option("load_balancer", _NO_CLUSTER, "cluster_id", "cluster_sharing_tag"),
    *without_option("load_balancer", _NO_FREESWITCH, "fetch_freeswitch_stats", "initial_freeswitch_load"),
    _P("pike", "sampling_time_unit", "sampling_time_unit_s", values.number),
    _P("pike", "reqs_density_per_unit", "reqs_density_per_unit", values.number),
    _P("pike", "remove_latency", "remove_latency_s", values.number),
    _P("pike", "pike_log_level", "pike_log_level", values.number),
    _P("pike", "check_route", note="the service says what is checked: `pike.check`, or the middleware"),
    _P("rabbitmq_consumer", "connection_id", "connections", note="one table for each"),
    _P("rabbitmq_consumer", "connect_timeout", "connections", note=f"`connect_timeout_ms` {_OF_CONNECTIONS}"),
    _P("rabbitmq_consumer", "retry_timeout", "connections", note=f"`retry_timeout_ms` {_OF_CONNECTIONS}"),
    _P("rabbitmq_consumer", "use_tls", note="`amqps` in the `uri` is enough"),
    _P("usrloc", "timer_interval", "timer_interval_s", values.number),
    _P("usrloc", "matching_mode", "matching_mode", values.number),
    _P("usrloc", "cseq_delay", "cseq_delay_s", values.number),
    _P("usrloc", "use_domain", "use_domain", values.switch),
    _P("usrloc", "desc_time_order", "desc_time_order", values.switch),
    _P("usrloc", "hash_size", "hash_size", values.number),
    _P("usrloc", "contact_refresh_timer", "contact_refresh_timer", values.switch),
    _P("usrloc", "latency_event_min_us", "latency_event_min_us", values.number),
    _P("usrloc", "latency_event_min_us_delta", "latency_event_min_us_delta", values.number),
    *without_option("usrloc", _STORE, "db_url", "db_mode", "working_mode_preset", "restart_persistency"),
    *without_option("usrloc", _STORE, "sql_write_mode", "cachedb_url", "db_timer_clean", "max_contact_delete"),
    *without_option("usrloc", _NO_CLUSTER, "cluster_mode", "location_cluster", "ha_cluster", "pinging_mode"),
    *without_option("usrloc", _NO_CLUSTER, "shared_pinging", "skip_replicated_db_ops", "mi_dump_kv_store"),
    *without_option("usrloc", "clients are not pinged", "nat_bflag"),
)
"""Names that are not here are named, too: as parameters that are not known."""
